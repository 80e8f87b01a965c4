"""Profiles of the columns of a table, read one by one to limit memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from gristmill.pipelines.profiling.relation import (
    Floats,
    Goal,
    class_goal,
    least_relation,
    level_relation,
    number_goal,
    number_relation,
)

Type = Literal["integer", "number", "boolean", "date", "text", "picture"]
Task = Literal["classification", "regression"]

Form = tuple[int, int, int]
"""Height, width, channels of pictures."""

WHOLE = ("integer", "number")
"""Types whose values can be row numbers."""

STRONG = 0.98
"""Relation at which a column predicts a class almost alone (an AUC of 0.99)."""

SAMPLE = 20_000
"""Rows for relations and plots; counts, missing values and ranges use all rows."""

CELLS = 2**22
"""Values read at a time."""

DAY = 24 * 60 * 60
"""Seconds of a day."""

WEEK, YEAR = 7, 365
"""Days."""

LEVELS = 60
"""Number of levels that are kept of a column, the most frequent ones."""

BARS = 20
"""Bars of a histogram."""


@dataclass(frozen=True)
class ColumnProfile:
    """The profile of one column.

    Attributes:
        name: name of the column.
        type: as in an experiment file's schema, or `picture`.
        rows: rows of the table.
        missing: rows without a value.
        distinct: different values; 0 for pictures, which are not counted.
        levels: (value, rows), the most frequent first; empty for dates and where all are distinct.
        quantiles: minimum, lower quartile, median, upper quartile, maximum; seconds since 1970 for
            dates; empty for text and booleans.
        parts: parts of dates that repeat, if the dates advance: they rise or fall from row to row,
            or are of one year. Empty for others.
        heights: rows of the sample in each bar of the histogram.
        ends: range of the histogram.
        words: mean number of words, for text.
        numbered: whether the values are consecutive whole numbers with one row each: `in order` or
            `shuffled`; empty if they are not.
        relation: to the target, 0 to 1; None without a target, and for pictures.
        least: relation to the classes that the column separates worst, where `relation` is strong.
        form: height, width and channels of pictures.
    """

    name: str
    type: Type
    rows: int
    missing: int
    distinct: int
    levels: tuple[tuple[Any, int], ...] = ()
    quantiles: tuple[float, ...] = ()
    heights: tuple[int, ...] = ()
    ends: tuple[float, float] = (0.0, 0.0)
    words: float = 0.0
    numbered: Literal["", "in order", "shuffled"] = ""
    relation: float | None = None
    least: float = 0.0
    parts: tuple[str, ...] = ()
    form: Form | None = None

    @property
    def present(self) -> int:
        return self.rows - self.missing

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers, at least the most frequent ones."""
        frequent = bool(self.levels) and self.type == "number"
        return (
            self.type == "integer"
            or bool(self.numbered)
            or (frequent and all(float(value).is_integer() for value, _ in self.levels))
        )

    @property
    def missing_share(self) -> float:
        return self.missing / max(self.rows, 1)

    @property
    def distinct_share(self) -> float:
        """Different values as a share of the rows with a value."""
        return self.distinct / max(self.present, 1)


@dataclass(frozen=True)
class TableProfile:
    """The profiles of all columns, in the table's order."""

    rows: int
    columns: tuple[ColumnProfile, ...]

    def column(self, name: str) -> ColumnProfile:
        return next(column for column in self.columns if column.name == name)

    @property
    def names(self) -> list[str]:
        return [column.name for column in self.columns]


class Sample:
    """The columns of a table, whole or sampled; the sample has the same rows for every column."""

    def __init__(self, table: Path) -> None:
        self.file = pa.parquet.ParquetFile(table)
        self.rows = int(self.file.metadata.num_rows)
        self._schema = self.file.schema_arrow
        self.names = [str(name) for name in self._schema.names]
        self._read: dict[str, pa.ChunkedArray] = {}
        self._places: pa.Array | None = None
        if self.rows > SAMPLE:
            chosen = np.random.default_rng(0).choice(self.rows, SAMPLE, replace=False)
            self._places = pa.array(np.sort(chosen))

    def form(self, name: str) -> Form | None:
        """Return height, width and channels of a column of pictures; None for any other."""
        return form_of(self._schema.field(name))

    def whole(self, name: str) -> pa.Array:
        """Return a column as one Arrow array, with null for NaN."""
        if name not in self._read:
            self._read = self._from(name)
        column = self._read.pop(name).combine_chunks()
        if pa.types.is_floating(column.type):
            return pc.if_else(pc.is_nan(column), None, column)
        return column

    def _from(self, name: str) -> dict[str, pa.ChunkedArray]:
        """Read a column and the next ones, because one takes as long as several."""
        first, group = self.names.index(name), max(CELLS // max(self.rows, 1), 1)
        names = [n for n in self.names[first : first + group] if self.form(n) is None]
        read = self.file.read(columns=names)
        return dict(zip(names, read.columns, strict=True))

    def of(self, column: pa.Array) -> pa.Array:
        """Return the sampled rows of a whole column."""
        return column if self._places is None else column.take(self._places)


def profile_table(
    table: Path,
    target: str | None = None,
    task: Task | None = None,
    *,
    only: Sequence[str] | None = None,
) -> TableProfile:
    """Profile the table of an experiment.

    Args:
        table: Parquet file written by the stage `ingest`.
        target: column to which the others are related.
        task: task with this target; without it there are no relations.
        only: columns to read; default: all.
    """
    sample = Sample(table)
    goal = read_goal(sample, target, task) if target and task else None
    names = sample.names if only is None else only
    columns = tuple(_profiles(sample, names, goal, target))
    return TableProfile(sample.rows, columns)


def _profiles(
    sample: Sample, names: Sequence[str], goal: Goal | None, target: str | None
) -> Iterator[ColumnProfile]:
    for name in names:
        if (form := sample.form(name)) is not None:
            missing = gaps_of(sample.file, name)
            yield ColumnProfile(name, "picture", sample.rows, missing, 0, form=form)
            continue
        column = sample.whole(name)
        related = goal if name != target else None
        yield profile_column(name, column, sample.of(column), related)


def profile_column(
    name: str, column: pa.Array, sampled: pa.Array, goal: Goal | None
) -> ColumnProfile:
    """Profile one column.

    Args:
        name: name of the column.
        column: Arrow array of all rows.
        sampled: the sampled rows of `column`.
        goal: target of the sampled rows; None for the target itself or without a target.
    """
    kind = type_of(column.type)
    counts = pc.value_counts(column.drop_null())
    rows = counts.field("counts").to_numpy(zero_copy_only=False)
    order = np.argsort(-rows, kind="stable")[:LEVELS]
    levels = zip(counts.field("values").take(pa.array(order)).to_pylist(), rows[order], strict=True)
    numeric = kind in ("integer", "number", "date")
    numbers = as_numbers(sampled) if kind != "text" else np.empty(0)
    finite = numbers[np.isfinite(numbers)] if numeric else np.empty(0)
    heights, ends = _histogram(finite)
    related, least = _relations(kind, numbers, sampled, goal) if goal else (None, 0.0)
    shown = kind != "date" and (len(counts) < len(column) - column.null_count or len(counts) < 3)
    return ColumnProfile(
        name=name,
        type=kind,
        rows=len(column),
        missing=int(column.null_count),
        distinct=len(counts),
        levels=tuple((value, int(count)) for value, count in levels) if shown else (),
        quantiles=_quantiles(column, finite) if len(finite) else (),
        heights=heights,
        ends=ends,
        words=_words(sampled) if kind == "text" else 0.0,
        numbered=_numbered(column) if kind in WHOLE and len(counts) == len(column) else "",
        parts=_repeating(column) if kind == "date" else (),
        relation=related,
        least=least,
    )


def _repeating(column: pa.Array) -> tuple[str, ...]:
    seconds = as_numbers(column.drop_null())
    if not len(seconds):
        return ()
    span, steps = np.ptp(seconds // DAY) + 1, np.diff(seconds)
    if span >= YEAR and not ((steps >= 0).all() or (steps <= 0).all()):
        return ()
    times = bool((seconds % DAY).any()) and span > 1
    repeat = {"month": span >= YEAR, "weekday": span >= WEEK, "hour": times}
    return tuple(part for part, repeats in repeat.items() if repeats)


def type_of(kind: pa.DataType) -> Type:
    """Return the schema's type for an Arrow type."""
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_integer(kind):
        return "integer"
    if pa.types.is_floating(kind):
        return "number"
    return "date" if pa.types.is_temporal(kind) else "text"


def as_numbers(column: pa.Array) -> Floats:
    """Return (n,) float64 with NaN for missing values; dates in seconds since 1970."""
    if pa.types.is_temporal(column.type):
        stamps = column.cast(pa.timestamp("us", tz=getattr(column.type, "tz", None)))
        seconds = stamps.cast(pa.int64()).to_numpy(zero_copy_only=False).astype("float64") / 1e6
        return np.where(column.is_null().to_numpy(zero_copy_only=False), np.nan, seconds)
    made: Floats = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return made


def as_codes(column: pa.Array) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Return (n,) positions in the list of levels, and this list.

    A missing value is a separate level, named `no value`.
    """
    texts = column.cast(pa.string()) if not pa.types.is_string(column.type) else column
    coded = texts.dictionary_encode(null_encoding="encode")
    names = ["no value" if name is None else str(name) for name in coded.dictionary.to_pylist()]
    return coded.indices.to_numpy(zero_copy_only=False).astype(np.int64), names


def read_goal(sample: Sample, target: str, task: Task) -> Goal:
    """Read the target of the sampled rows.

    Args:
        sample: the table.
        target: name of the target column.
        task: `classification` or `regression`.
    """
    column = sample.of(sample.whole(target))
    if task == "regression":
        return number_goal(as_numbers(column))
    codes, names = as_codes(column)
    return class_goal([names[code] for code in codes])


def _relations(kind: Type, numbers: Floats, sampled: pa.Array, goal: Goal) -> tuple[float, float]:
    """Return the relation to the class that is separated best, and if strong to the worst one."""
    if kind == "text":
        codes = as_codes(sampled)[0]
        best = level_relation(codes, goal)
        return best, least_relation(codes, goal) if best >= STRONG else 0.0
    finite = np.where(np.isinf(numbers), np.nan, numbers)
    best = number_relation(finite, goal)
    return best, least_relation(finite, goal) if best >= STRONG else 0.0


def _quantiles(column: pa.Array, finite: Floats) -> tuple[float, ...]:
    """Return the quantiles of the sample between the minimum and maximum of all rows."""
    low, high = float(finite.min()), float(finite.max())
    ends = pc.min_max(column)
    both = as_numbers(pa.array([ends["min"].as_py(), ends["max"].as_py()], column.type))
    if np.isfinite(both).all():
        low, high = float(both[0]), float(both[1])
    inner = np.quantile(finite, [0.25, 0.5, 0.75])
    return (low, *(float(value) for value in inner), high)


def _histogram(finite: Floats) -> tuple[tuple[int, ...], tuple[float, float]]:
    """Return bars of equal width, and their range; with outliers, 1 % at each end is left out."""
    if not len(finite):
        return (), (0.0, 0.0)
    low, high = float(finite.min()), float(finite.max())
    inner = np.quantile(finite, [0.01, 0.99])
    if high - low > 5 * (inner[1] - inner[0]) > 0:
        low, high = float(inner[0]), float(inner[1])
    if not np.isfinite(high - low) or low == high:
        return (len(finite),), (low, high)
    above = finite - low  # long identifiers leave no room between the ends of bars
    heights, _ = np.histogram(above, bins=BARS, range=(0.0, high - low))
    return tuple(int(height) for height in heights), (low, high)


def _words(sampled: pa.Array) -> float:
    texts = sampled.drop_null()
    if not len(texts):
        return 0.0
    return float(
        pc.mean(pc.add(pc.count_substring(pc.utf8_trim_whitespace(texts), " "), 1)).as_py()
    )


def _numbered(column: pa.Array) -> Literal["", "in order", "shuffled"]:
    """Return whether different values, one for each row, are k, k + 1, …, k + n - 1."""
    values = as_numbers(column)
    whole = np.isfinite(values).all() and (values == np.floor(values)).all()
    if len(values) < 2 or not whole or np.ptp(values) != len(values) - 1:
        return ""
    return "in order" if (np.diff(values) == 1).all() else "shuffled"


def form_of(field: Any) -> Form | None:
    """Return height, width and channels of a column's pictures; None for other columns."""
    about = field.metadata or {}
    if not pa.types.is_fixed_size_binary(field.type) or b"height" not in about:
        return None
    return int(about[b"height"]), int(about[b"width"]), int(about[b"channels"])


def in_words(form: Form) -> str:
    """Return `32 × 32, colour`, height first."""
    height, width, channels = form
    return f"{height} × {width}, {'grey' if channels == 1 else 'colour'}"


def gaps_of(file: Any, name: str) -> int:
    """Return the number of rows without a picture, from the file's statistics."""
    about = file.metadata
    place = file.schema_arrow.names.index(name)
    columns = [about.row_group(group).column(place) for group in range(about.num_row_groups)]
    return sum(column.statistics.null_count for column in columns if column.is_stats_set)
