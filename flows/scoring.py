"""`gristmill score`: predictions for the rows of a file."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet

from gristmill.pipelines.base import ConfigError, InputError, first_line, writing
from gristmill.pipelines.config import Data, Document, Pictures, Project, load_experiment
from gristmill.pipelines.ingestion import (
    find_format,
    ingest_file,
    is_picture,
    read_unlabelled,
    rows_in_a_block,
)
from gristmill.pipelines.packaging import plain_types
from gristmill.pipelines.preparation import MISSING, labels
from gristmill.pipelines.registry import (
    load_version,
    require_champion,
    require_version,
    require_versions,
)
from gristmill.pipelines.reporting import Screen

FORMATS = (".csv", ".parquet")


def score(name: str, file: Path, output: Path | None, number: str | None) -> None:
    """Writes the rows of a file with the model's answers beside them.

    Raises:
        ConfigError: no such file, model, version or format.
        InputError: the file is no table, or not of the columns that the model was trained on.
    """
    project = Project.find()
    target = output if output is not None else _beside(project, file)
    if target.suffix not in FORMATS:
        raise ConfigError(
            "scores are written as CSV or Parquet",
            expected="a name that ends in " + " or ".join(FORMATS),
            found=str(target),
        )
    require_file(file, "score")
    version = (
        require_champion(project, name)
        if number is None
        else require_version(require_versions(project, name), number)
    )
    model, others = load_version(project, version)
    document = declared(project, name)
    data = None if document is None else document.data
    picture = model.unwrap_python_model().statistics.get("picture")
    if picture:
        blocks, hidden = read_pictures(file, data, picture), [picture["name"]]
    else:
        blocks, hidden = iter([read_rows(file, data, *columns_of(model))]), []
    table, absent = _scored(model, blocks, hidden)
    with writing(target.absolute()) as aside:
        if target.suffix == ".csv":
            table.to_csv(aside, index=False)
        else:
            table.to_parquet(aside, index=False)
    screen = Screen()
    scored = f"{len(table):,} rows scored with {name} version {version.number}: {target}"
    screen.say(scored, whole=True)
    for other in others:
        screen.say(f"! the model was made with {other}", whole=True)
    if absent:
        taken = "not in the file, taken as missing in every row: "
        screen.say(taken + ", ".join(absent), whole=True)


def require_file(file: Path, what: str) -> None:
    """Raises ConfigError where the file that is to be read is not there."""
    if not file.exists():
        raise ConfigError(
            f"the file to {what} is not there", expected="a file or a folder", found=str(file)
        )


def _beside(project: Project, file: Path) -> Path:
    """Where scores are written: beside the file, but never into the data that are pinned."""
    name = f"{file.absolute().stem.split('.')[0]}.scored.csv"
    pinned = file.resolve().is_relative_to(project.root.resolve() / "data")
    return Path(name) if pinned else file.with_name(name)


def _scored(
    model: Any, blocks: Iterator[pd.DataFrame], hidden: Collection[str]
) -> tuple[pd.DataFrame, list[str]]:
    """The rows with the answers, without the columns to hide; and what the rows did not have."""
    tables: list[pd.DataFrame] = []
    absent: list[str] = []
    for rows in blocks:
        answers, absent = answer(model, rows)
        kept = rows.drop(columns=[name for name in hidden if name in rows])
        both = [kept.reset_index(drop=True), answers.reset_index(drop=True)]
        tables.append(pd.concat(both, axis=1))
    return pd.concat(tables, ignore_index=True), absent


def read_pictures(
    file: Path, data: Data | None, picture: Mapping[str, Any]
) -> Iterator[pd.DataFrame]:
    """The pictures of a folder, or one; or of a file that holds such, in blocks.

    Args:
        file: to read.
        data: the experiment's section; None where there is none.
        picture: the form that the model takes, and the name of its column.
    """
    form = Pictures(**{side: picture[side] for side in ("height", "width", "channels")})
    if is_picture(file) or (file.is_dir() and find_format(file).module == "picture_folders"):
        yield from (batch.to_pandas() for batch in read_unlabelled(file, form).batches)
        return
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.parquet"
        ingest_file(file.absolute(), table, data and data.model_copy(update={"pictures": form}))
        with pyarrow.parquet.ParquetFile(table) as rows:
            for batch in rows.iter_batches(batch_size=rows_in_a_block(form)):
                yield batch.to_pandas()


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
        return typed_rows(table, numbers)


def typed_rows(table: Path, numbers: Collection[str]) -> pd.DataFrame:
    """The rows that ingest made of a file, those columns as numbers that are wanted as such."""
    rows = pd.read_parquet(table, dtype_backend="numpy_nullable")
    for name in numbers:
        if name in rows and pd.api.types.is_string_dtype(rows[name]):
            with contextlib.suppress(ValueError):  # left as it is, the model says what is wrong
                rows[name] = pd.to_numeric(rows[name])
    return rows


def declared(project: Project, name: str) -> Document | None:
    """The experiment file of a model; None where there is none any more."""
    known = project.experiment_file(name).is_file()
    return load_experiment(project, name).document if known else None


def columns_of(model: Any) -> tuple[list[str], list[str]]:
    """The columns that a model takes as text as it is written, and those it takes as numbers."""
    statistics = model.unwrap_python_model().statistics
    texts = [c["name"] for c in statistics["columns"] if not _are_numbers(c.get("levels", [""]))]
    return texts, [column["name"] for column in statistics["numbers"]]


def _are_numbers(levels: Collection[str]) -> bool:
    """Whether levels are what numbers look like once they are read, but for the missing one."""
    known = [level for level in levels if level != MISSING]
    return labels(pd.to_numeric(pd.Series(known, dtype=object), "coerce")) == known


def answer(model: Any, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The model's answers, and the columns that it wants but can do without and has to."""
    from mlflow.exceptions import MlflowException

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
            found=first_line(error),
        ) from error
    taken = [name for name in answers if name in rows]
    if taken:
        raise InputError(
            "the file has columns with the names of answers already",
            expected="a file without them",
            found=", ".join(map(str, taken)),
        )
    return pd.DataFrame(answers), [name for name in wanted if name not in rows]
