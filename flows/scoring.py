"""`gristmill score`: predictions for the rows of a file."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet

from gristmill.pipelines.base import ConfigError, DataInvalid, InputError, first_line, writing
from gristmill.pipelines.config import Csv, Data, Document, Pictures, Project, load_experiment
from gristmill.pipelines.ingestion import (
    find_format,
    folder_label,
    ingest_file,
    is_picture,
    is_zoned,
    listed_labels,
    plain_name,
    read_as_written,
    read_unlabelled,
    rows_in_a_block,
)
from gristmill.pipelines.packaging import plain_types
from gristmill.pipelines.preparation import (
    MISSING,
    UNSEEN,
    class_name,
    class_places,
    input_names,
    labels,
    optional_names,
)
from gristmill.pipelines.registry import (
    Version,
    loaded_version,
    require_champion,
    require_version,
    require_versions,
)
from gristmill.pipelines.reporting import Screen

FORMATS = (".csv", ".parquet")

USUAL = r"(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[+-]\d+)?|(?i:true|false))"
"""Numbers and truths as programs write them; all else is kept as it is written."""


def score(name: str, file: Path, output: Path | None, number: str | None) -> None:
    """Predict the rows of a file and write them with the predictions as additional columns.

    Args:
        name: registered model.
        file: table, picture file or folder, with or without the target.
        output: CSV or Parquet file to write; None: FILE with the ending .scored.csv.
        number: version; None: the champion.

    Raises:
        ConfigError: the file, model or version does not exist, or the format is unknown.
        InputError: the file is not a table, or lacks columns that the model needs.
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
    with loaded_version(project, version) as (model, about):
        _score(project, version, model, about, file, target)


def _score(
    project: Project, version: Version, model: Any, about: list[str], file: Path, target: Path
) -> None:
    """Score a file with a loaded model and write the rows; `about` are notes on the model."""
    name = version.model
    document = declared(project, name)
    data = None if document is None else document.data
    statistics = model.unwrap_python_model().statistics
    notes: list[str] = []
    if picture := statistics.get("picture"):
        blocks = read_pictures(file, data, statistics, notes)
        made = _scored(model, blocks, [picture["name"]])
    else:
        rows, found = read_rows(file, data, *columns_of(model), statistics["columns"])
        notes += found
        made = _scored(model, iter([rows]))
        made.rows = as_written(file, data, rows, typed=target.suffix == ".parquet")
    surprises = made.surprises
    notes += surprises.lines()
    table, replaced = _beside_answers(made, input_names(model.unwrap_python_model().statistics))
    if replaced:
        notes.append("columns of the file that were replaced by answers: " + ", ".join(replaced))
    if document is not None:
        _require_seen(surprises, document.score.unseen, f"experiments/{name}.yaml")
    with writing(target.absolute()) as aside:
        if target.suffix == ".csv":
            said = {str(n): a.map(class_name) for n, a in made.answers.items() if a.dtype == bool}
            table.assign(**said).to_csv(aside, index=False)  # true, as in probability_true
        else:
            table.to_parquet(aside, index=False)
    screen = Screen()
    scored = f"{len(table):,} rows scored with {name} version {version.number}: {target}"
    screen.say(scored, whole=True)
    for note in [*notes, *about]:
        screen.say(f"! {note}", whole=True)
    if made.absent:
        missing = "not in the file, treated as missing in every row: "
        screen.say(missing + ", ".join(made.absent), whole=True)


def require_file(file: Path, what: str) -> None:
    """Raise ConfigError if a file does not exist; `what` is the verb of the message."""
    if not file.exists():
        raise ConfigError(
            f"the file to {what} does not exist", expected="a file or a folder", found=str(file)
        )


def _beside(project: Project, file: Path) -> Path:
    """Return the default output path: next to the file, but never in the pinned data."""
    name = f"{file.absolute().stem.split('.')[0]}.scored.csv"
    pinned = file.resolve().is_relative_to(project.root.resolve() / "data")
    return Path(name) if pinned else file.with_name(name)


@dataclass
class Surprises:
    """Values that training did not have, counted over all rows of a file.

    Attributes:
        rows: number of rows.
        unseen: number of rows with at least one value unseen in training.
        counts: number of rows by column and kind.
        examples: some values by column.
    """

    rows: int = 0
    unseen: int = 0
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, rows: int, found: Sequence[Any]) -> None:
        """Add rows and the surprises that a package finds in them."""
        self.rows += rows
        flags = [one.rows for one in found if one.what == UNSEEN]
        self.unseen += int(np.any(flags, axis=0).sum()) if flags else 0
        for one in found:
            self.counts[one.name, one.what] += int(one.rows.sum())
            self.examples.setdefault(one.name, one.examples)

    def lines(self) -> list[str]:
        """Return a line for each column and kind."""
        return [
            f"{name}: {count:,} of {self.rows:,} rows have {what}"
            + (f": {', '.join(self.examples[name])}, …" if self.examples[name] else "")
            for (name, what), count in self.counts.items()
        ]


def _require_seen(surprises: Surprises, most: float | None, where: str) -> None:
    if most is not None and surprises.unseen > most * surprises.rows:
        raise DataInvalid(
            f"{surprises.unseen:,} of {surprises.rows:,} rows have values unseen in training",
            expected=f"at most a share of {most:g} (score: {{unseen: {most:g}}} in {where})",
            found="\n".join(surprises.lines()),
            next=f"train on rows with these values, or raise score.unseen in {where}",
        )


@dataclass
class _Scored:
    """Rows and their answers.

    Attributes:
        rows: the rows to return.
        answers: the answers, in the same order.
        absent: optional columns that the rows lack.
        surprises: values that training did not have.
    """

    rows: pd.DataFrame
    answers: pd.DataFrame
    absent: list[str]
    surprises: Surprises


def _scored(model: Any, blocks: Iterator[pd.DataFrame], hidden: Collection[str] = ()) -> _Scored:
    """Return the rows, without hidden columns, and their answers."""
    kept: list[pd.DataFrame] = []
    made: list[pd.DataFrame] = []
    absent: list[str] = []
    surprises, inner = Surprises(), model.unwrap_python_model()
    for rows in blocks:
        answers, absent = answer(model, rows)
        if not hidden and hasattr(inner, "surprises"):  # packages of earlier versions lack it
            surprises.add(len(rows), inner.surprises(plain_types(rows)))
        made.append(answers)
        kept.append(rows.drop(columns=[name for name in hidden if name in rows]))
    rows, answers = (pd.concat(parts, ignore_index=True) for parts in (kept, made))
    return _Scored(rows, answers, absent, surprises)


def as_written(file: Path, data: Data | None, rows: pd.DataFrame, *, typed: bool) -> pd.DataFrame:
    """Return the rows of a file with its own names and values, such as 21.12.2023 or 1E5.

    Args:
        file: file to read.
        data: the experiment's data section, or None.
        rows: the same rows as the model reads them.
        typed: convert text to numbers and truths where they are written in the usual way.
    """
    dates = [name for name in map(str, rows) if pd.api.types.is_datetime64_any_dtype(rows[name])]
    written = read_as_written(file.absolute(), data, dates)
    if written is None:
        return rows
    frame: pd.DataFrame = written.to_pandas(types_mapper=pd.ArrowDtype)
    for name in map(str, frame) if typed else ():
        read = rows[plain_name(name)]
        converted = pd.api.types.is_numeric_dtype(read)  # or boolean
        if converted and pd.api.types.is_string_dtype(frame[name]):
            usual = frame[name].dropna().str.fullmatch(USUAL).all()
            frame[name] = read if usual else frame[name]
    return frame


def _beside_answers(made: _Scored, inputs: Collection[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return rows with their answers, and the columns of the rows that answers replaced."""
    taken = [name for name in map(str, made.rows) if plain_name(name) in made.answers]
    if used := [name for name in taken if plain_name(name) in inputs]:
        raise InputError(
            "the model was trained on columns with the names of its answers",
            expected="other names",
            found=", ".join(used),
            next=f"leave them out: features: {{exclude: [{', '.join(used)}]}}, or rename them "
            "in the data; then train again",
        )
    kept = made.rows.drop(columns=taken).reset_index(drop=True)
    return pd.concat([kept, made.answers], axis=1), taken


def read_pictures(
    file: Path, data: Data | None, statistics: Mapping[str, Any], notes: list[str]
) -> Iterator[pd.DataFrame]:
    """Yield in blocks the pictures of a folder, an image file or a file of arrays.

    Args:
        file: folder or file to read.
        data: the experiment's data section, or None.
        statistics: those of the model: `picture` (`height`, `width`, `channels` and others of
            `Pictures`), `target` and `classes`.
        notes: what was done to the pictures is appended, in words, after the last block.

    Yields:
        Columns `path`, `picture` and, where labels are known, the target.
    """
    picture = statistics["picture"]
    form = Pictures(**{name: picture[name] for name in Pictures.model_fields if name in picture})
    if is_picture(file) or (file.is_dir() and find_format(file).module == "picture_folders"):
        rows = read_unlabelled(file, form)
        label = _labels_in(file, data, statistics)
        for batch in rows.batches:
            frame = batch.to_pandas()
            if label is not None:
                found = [label(path) for path in frame["path"]]
                frame[statistics["target"]] = pd.Series(found, frame.index, dtype=object)
            yield frame
        notes += rows.notes
        return
    data = data and data.model_copy(update={"pictures": form})
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.parquet"
        notes += ingest_file(file.absolute(), table, data, unlabelled=True).notes
        with pyarrow.parquet.ParquetFile(table) as stored:
            if picture["name"] not in stored.schema_arrow.names:
                raise InputError(
                    f"{file.name} has no pictures",
                    expected="a folder of pictures, a picture file or a file of arrays",
                    found="columns " + ", ".join(stored.schema_arrow.names[:8]),
                    next="give the folder of the pictures; a CSV of labels in it is read, too",
                )
            for batch in stored.iter_batches(batch_size=rows_in_a_block(form)):
                yield batch.to_pandas()


def _labels_in(
    folder: Path, data: Data | None, statistics: Mapping[str, Any]
) -> Callable[[str], Any] | None:
    """Return the function from a path to its label; None if the pictures have no labels.

    They are in the CSV beside the pictures, or are the names of folders, if one is a class.
    """
    if not folder.is_dir():
        return None
    listed = listed_labels(folder, statistics["target"], Csv() if data is None else data.csv)
    if listed is not None:
        return listed.get
    inner = [one.relative_to(folder) for one in folder.rglob("*") if one.is_dir()]
    names = [folder_label(f"{one.as_posix()}/a.png") for one in inner]
    known = bool(names) and (class_places(names, statistics["classes"] or ()) >= 0).any()
    return (lambda path: folder_label(path) or None) if known else None


def read_rows(
    file: Path,
    data: Data | None,
    texts: Collection[str],
    numbers: Collection[str],
    trained: Sequence[Mapping[str, Any]] = (),
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read the rows of a file as ingest does, with the column types that a model expects.

    A few rows can look like numbers where training saw text, and the other way round.

    Args:
        file: file to read.
        data: the experiment's data section, whose CSV dialect is used, or None.
        texts: columns to read as text.
        numbers: columns to read as numbers.
        trained: statistics of the model's columns.

    Returns:
        The rows, and notes about what was done to their values.
    """
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.parquet"
        made = ingest_file(file.absolute(), table, data, not_numbers=texts, unlabelled=True)
        return typed_rows(table, numbers), (*made.notes, *about_offsets(table, trained))


def about_offsets(table: Path, trained: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a line for each column whose dates have an offset from UTC only here, or never here.

    Args:
        table: file written by ingest.
        trained: statistics of the model's columns.
    """
    schema = pyarrow.parquet.read_schema(table)
    for column in trained:
        name, before = column["name"], column.get("zoned", False)
        if column["kind"] != "date" or name not in schema.names:
            continue
        now = is_zoned(schema.field(name))
        if now and not before:
            yield f"{name}: converted to UTC by the offsets of the dates; training had none"
        elif before and not now and pyarrow.types.is_timestamp(schema.field(name).type):
            yield f"{name}: dates without an offset read as UTC; training had offsets"


def typed_rows(table: Path, numbers: Collection[str]) -> pd.DataFrame:
    """Read a table written by ingest, and convert the named text columns to numbers."""
    rows = pd.read_parquet(table, dtype_backend="numpy_nullable")
    for name in numbers:
        if name in rows and pd.api.types.is_string_dtype(rows[name]):
            with contextlib.suppress(ValueError):  # left unchanged: the model reports the error
                rows[name] = pd.to_numeric(rows[name])
    return rows


def declared(project: Project, name: str) -> Document | None:
    """Return the experiment file of a model, or None if it no longer exists."""
    known = project.experiment_file(name).is_file()
    return load_experiment(project, name).document if known else None


def columns_of(model: Any) -> tuple[list[str], list[str]]:
    """Return the columns that a model reads as unchanged text, and those it reads as numbers."""
    statistics = model.unwrap_python_model().statistics
    texts = [c["name"] for c in statistics["columns"] if not _are_numbers(c.get("levels", [""]))]
    return texts, [column["name"] for column in statistics["numbers"]]


def _are_numbers(levels: Collection[str]) -> bool:
    """Return whether all levels except the missing one are numbers in their usual notation."""
    known = [level for level in levels if level != MISSING]
    return labels(pd.to_numeric(pd.Series(known, dtype=object), "coerce")) == known


def answer(model: Any, rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the model's predictions, and the optional columns that the rows lack."""
    from mlflow.exceptions import MlflowException

    wanted = model.metadata.get_input_schema().input_names()
    optional = optional_names(model.unwrap_python_model().statistics)
    refused = [name for name in wanted if name not in rows and name not in optional]
    if refused:
        raise InputError(
            "the file lacks columns that the model was trained on",
            expected=f"{len(wanted)} columns: " + ", ".join(wanted[:8]) + "…" * (len(wanted) > 8),
            found="without " + ", ".join(refused[:8]) + "…" * (len(refused) > 8),
        )
    try:
        present = [name for name in wanted if name in rows]
        answers = model.predict(plain_types(rows[present]))
    except (MlflowException, ValueError) as error:
        raise InputError(
            "the model refuses these rows",
            expected="columns with the types that it was trained on",
            found=first_line(error),
        ) from error
    return pd.DataFrame(answers), [name for name in wanted if name not in rows]
