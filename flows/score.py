"""`gristmill score`: predictions for the rows of a file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console

from pipelines.config import (
    ConfigError,
    Data,
    EnvironmentFault,
    InputError,
    Project,
    load_experiment,
    writing,
)
from pipelines.ingestion.table import ingest_file
from pipelines.registry import plain_types, require_champion
from pipelines.registry.models import Version, require_version, require_versions

FORMATS = (".csv", ".parquet")


def score(name: str, file: Path, output: Path | None, number: str | None) -> None:
    """Writes the rows of a file with the model's answers beside them.

    Raises:
        ConfigError: no such file, model, version or format.
        InputError: the file is no table, or not of the columns that the model was trained on.
    """
    project = Project.find()
    target = (
        output if output is not None else file.with_name(f"{file.stem.split('.')[0]}.scored.csv")
    )
    if target.suffix not in FORMATS:
        raise ConfigError(
            "scores are written as CSV or Parquet",
            expected="a name that ends in " + " or ".join(FORMATS),
            found=str(target),
        )
    if not file.is_file():
        raise ConfigError("the file to score is not there", expected="a file", found=str(file))
    version = (
        require_champion(project, name)
        if number is None
        else require_version(require_versions(project, name), number)
    )
    model = _loaded(version)
    rows = read_rows(file, _declared(project, name), *_columns(model))
    answers = _answers(model, rows)
    table = pd.concat([rows.reset_index(drop=True), answers.reset_index(drop=True)], axis=1)
    with writing(target.absolute()) as aside:
        if target.suffix == ".csv":
            table.to_csv(aside, index=False)
        else:
            table.to_parquet(aside, index=False)
    Console(highlight=False).print(
        f"{len(table):,} rows scored with {name} version {version.number}: {target}", soft_wrap=True
    )


def read_rows(
    file: Path, data: Data | None, texts: Collection[str], numbers: Collection[str]
) -> pd.DataFrame:
    """The rows of a file through the reader of ingest, with the kinds of columns of a model.

    A few rows may look like numbers where training saw text, and the other way round.

    Args:
        file: to read.
        data: the experiment's section, whose dialect is used; None where there is none.
        texts: columns that the model takes as text.
        numbers: columns that it takes as numbers.
    """
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.parquet"
        ingest_file(file.absolute(), table, data, not_numbers=texts)
        rows = pd.read_parquet(table, dtype_backend="numpy_nullable")
    for name in numbers:
        if name in rows and pd.api.types.is_string_dtype(rows[name]):
            with contextlib.suppress(ValueError):  # left as it is, the model says what is wrong
                rows[name] = pd.to_numeric(rows[name])
    return rows


def _declared(project: Project, name: str) -> Data | None:
    known = project.experiment_file(name).is_file()
    return load_experiment(project, name).data if known else None


def _columns(model: Any) -> tuple[list[str], list[str]]:
    """The columns that a package takes as text, and those that it takes as numbers.

    Its signature leaves types open, its statistics do not.
    """
    statistics = model.unwrap_python_model()._statistics
    texts, numbers = ([c["name"] for c in statistics[k]] for k in ("categories", "numbers"))
    return texts, numbers


def _loaded(version: Version) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        with _Quiet():
            return mlflow.pyfunc.load_model(version.address)
    except (MlflowException, OSError) as error:
        raise EnvironmentFault(
            f"{version.model} version {version.number} cannot be loaded",
            found=str(error).strip().split("\n")[0][:300],
            next=f"gristmill models {version.model}",
        ) from error


def _answers(model: Any, rows: pd.DataFrame) -> pd.DataFrame:
    from mlflow.exceptions import MlflowException

    wanted = model.metadata.get_input_schema().input_names()
    absent = [name for name in wanted if name not in rows]
    if absent:
        raise InputError(
            "the file does not have the columns that the model was trained on",
            expected=f"{len(wanted)} columns: " + ", ".join(wanted[:8]) + "…" * (len(wanted) > 8),
            found="without " + ", ".join(absent[:8]) + "…" * (len(absent) > 8),
        )
    try:
        answers = model.predict(plain_types(rows[wanted]))
    except (MlflowException, ValueError) as error:
        raise InputError(
            "the model does not take these rows",
            expected="columns of the types that it was trained on",
            found=str(error).strip().split("\n")[0][:300],
        ) from error
    taken = [name for name in answers if name in rows]
    if taken:
        raise InputError(
            "the file has columns with the names of answers already",
            expected="a file without them",
            found=", ".join(map(str, taken)),
        )
    return pd.DataFrame(answers)


class _Quiet:
    """TensorFlow's greetings on standard error, which come before its log level counts."""

    def __enter__(self) -> None:
        self._kept = os.dup(2)
        self._nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(self._nowhere, 2)

    def __exit__(self, *_: object) -> None:
        os.dup2(self._kept, 2)
        os.close(self._kept)
        os.close(self._nowhere)
