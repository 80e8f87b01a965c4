"""`gristmill score`: predictions for the rows of a file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pandas as pd
from rich.console import Console

from pipelines.config import ConfigError, EnvironmentFault, InputError, Project, writing
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
    rows = _read(file)
    answers, absent = _answers(version, rows)
    table = pd.concat([rows.reset_index(drop=True), answers.reset_index(drop=True)], axis=1)
    with writing(target.absolute()) as aside:
        if target.suffix == ".csv":
            table.to_csv(aside, index=False)
        else:
            table.to_parquet(aside, index=False)
    Console(highlight=False).print(
        f"{len(table):,} rows scored with {name} version {version.number}: {target}", soft_wrap=True
    )
    if absent:
        Console(highlight=False).print(
            "not in the file, taken as missing in every row: " + ", ".join(absent), soft_wrap=True
        )


def _read(file: Path) -> pd.DataFrame:
    """The rows as training saw them: through the same reader."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.parquet"
        ingest_file(file.absolute(), table)
        return pd.read_parquet(table, dtype_backend="numpy_nullable")


def _answers(version: Version, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The model's answers, and the columns that it wants but can do without and has to."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        with _Quiet():
            model = mlflow.pyfunc.load_model(version.address)
    except (MlflowException, OSError) as error:
        raise EnvironmentFault(
            f"{version.model} version {version.number} cannot be loaded",
            found=str(error).strip().split("\n")[0][:300],
            next=f"gristmill models {version.model}",
        ) from error
    schema = model.metadata.get_input_schema()
    wanted = schema.input_names()
    refused = [name for name in schema.required_input_names() if name not in rows]
    if refused:
        raise InputError(
            "the file does not have the columns that the model was trained on",
            expected=f"{len(wanted)} columns: " + ", ".join(wanted[:8]) + "…" * (len(wanted) > 8),
            found="without " + ", ".join(refused[:8]) + "…" * (len(refused) > 8),
        )
    try:
        present = [name for name in wanted if name in rows]
        answers = model.predict(plain_types(rows[present]))
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
    return pd.DataFrame(answers), [name for name in wanted if name not in rows]


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
