"""Whether the distribution of a column differs from that in an earlier version of the data.

The measure is the population stability index, PSI = Σ (p − q) · ln(p / q) over the bins of the
earlier version. Without drift its mean is (B − 1)(1/n + 1/m) for B bins, n and m rows, and PSI over
(1/n + 1/m) is distributed as χ² with B − 1 degrees of freedom (Yurdakul & Naranjo: Statistical
properties of the population stability index, 2020). A column has drifted if the effect is relevant
(PSI above 0.1) *and* significant at a level of 1 % over all columns.

Dates and running numbers advance by themselves: later rows always have other values. Of these
columns only the share of missing values is compared, and of dates the weekday and the hour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gristmill.pipelines.tables import GOLDEN, Floats, Hashes, TableRows, mix, storage
from gristmill.pipelines.validation.schema import Array, as_text, dates, plain

BINS = 10
MATTERS = 0.1
"""PSI below which a difference is irrelevant; a shift by 0.3 standard deviations has about 0.1."""

LEVEL = 0.01
"""Probability of at least one false alarm among all columns."""

SAMPLE = 50_000
"""Rows of a summary; with so many, the PSI without drift is about 0.0004."""

CELLS = 10_000_000
"""Largest number of values in a sample, so that a wide table has fewer rows."""

FEWEST = 2_000
"""Least number of rows in a sample, also of a wide table."""

PRIOR = 0.5
"""Added to the count of every bin, so that an empty one has a logarithm (Jeffreys)."""

Summary = Mapping[str, Any]
Column = dict[str, Any]
"""Summary of a column: `type` (number, date, text, boolean), `cuts` or `levels`, `counts`,
`missing`; `range` (first and last value) if it advances by itself; `parts` of a date: the summaries
of its weekday and hour."""

DAY = 24 * 60 * 60 * 1_000_000
"""Microseconds of a day."""

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
PARTS = ("weekday", "hour")
HOURS = tuple(f"{hour:02d}:00 to {hour + 2:02d}:59" for hour in range(0, 24, 3))


@dataclass(frozen=True)
class Shift:
    """The difference between the distributions of a column in two versions.

    Attributes:
        column: name of the column.
        psi: the population stability index; infinite if the type changed.
        bound: the PSI above which the column has drifted.
        change: the largest difference, in words.
        bins: (label, share of the rows before, share now), in [0, 1]; empty if the type changed.
    """

    column: str
    psi: float
    bound: float
    change: str
    bins: tuple[tuple[str, float, float], ...] = ()

    @property
    def drifted(self) -> bool:
        return self.psi > self.bound

    def __str__(self) -> str:
        if np.isinf(self.psi):
            return self.change
        return f"PSI {self.psi:.3g}, limit {self.bound:.3g}; {self.change}"


@dataclass(frozen=True)
class TableDifference:
    """The differences between two versions of a table.

    Attributes:
        rows: number of rows before and now.
        added: columns that are new.
        removed: columns that no longer exist.
        retyped: columns with another type, as (column, type before, type now).
        drifted: columns with another distribution.
    """

    rows: tuple[int, int]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    retyped: tuple[tuple[str, str, str], ...]
    drifted: tuple[Shift, ...]


def compare_tables(old: Path, new: Path, exclude: Sequence[str] = ()) -> TableDifference:
    """Compare two Parquet tables.

    Args:
        old: the earlier version.
        new: the later version.
        exclude: columns or patterns that are allowed to drift.
    """
    before = summarise(old, exclude)
    return compare(before, summarise(new, exclude, like=before))


def compare(reference: Summary, current: Summary) -> TableDifference:
    """Compare two summaries, the second computed `like` the first."""
    before, now = reference["columns"], current["columns"]
    kinds = [(n, str(before[n]["type"]), str(now[n]["type"])) for n in before if n in now]
    return TableDifference(
        (int(reference["rows"]), int(current["rows"])),
        tuple(name for name in now if name not in before),
        tuple(name for name in before if name not in now),
        tuple(kind for kind in kinds if kind[1] != kind[2]),
        tuple(drifted(reference, current)),
    )


def summarise(
    table: Path, exclude: Sequence[str] = (), *, like: Summary | None = None
) -> dict[str, Any]:
    """Summarise the distribution of every column: counts in ten bins, or of ten levels.

    The summary is of a sample. A hash of a row's number decides whether it is in the sample, so
    that equal tables have equal summaries. Numbers and dates with more than ten different values
    are counted between their deciles (a bin includes its upper end; the outer bins are open), all
    others by level, with one count for the remaining levels.

    Args:
        table: a Parquet file.
        exclude: columns or patterns to leave out; pictures are always left out.
        like: an earlier summary whose bins are used.

    Returns:
        `rows` (of the table), `sampled` (rows) and `columns`, all serialisable as JSON.
    """
    rows = TableRows(table)
    names = [
        name
        for name in rows.names
        if rows.storage(name) != "picture" and not any(fnmatchcase(name, one) for one in exclude)
    ]
    some = _sample(rows, names)
    earlier = like["columns"] if like is not None else {}
    columns = {name: _summary(plain(some[name]), earlier.get(name)) for name in names}
    for name, column in columns.items():
        parts = column.get("parts", {})
        for part in [p for p in parts if any(fnmatchcase(_part(name, p), one) for one in exclude)]:
            del parts[part]
    return {"rows": rows.count, "sampled": some.num_rows, "columns": columns}


def drifted(reference: Summary, current: Summary) -> list[Shift]:
    """Return the columns that have drifted, the largest PSI first.

    Args:
        reference: the summary of the accepted version.
        current: a summary computed `like` it.
    """
    return [shift for shift in shifts(reference, current) if shift.drifted]


def shifts(reference: Summary, current: Summary) -> list[Shift]:
    """Compare each column, and each part of a date, that both summaries have; largest PSI first.

    Args:
        reference: the summary of the accepted version.
        current: a summary computed `like` it.
    """
    from scipy.stats import chi2

    old = dict(_compared(reference, current))
    new = dict(_compared(current, reference))
    both = [name for name in old if name in new]
    found = []
    for name, before, now in ((name, old[name], new[name]) for name in both):
        if before["type"] != now["type"]:
            words = f"was {before['type']}, is {now['type']}"
            found.append(Shift(name, float("inf"), MATTERS, words))
            continue
        p, q = _counts(before), _counts(now)
        used = (p + q) > 0
        labels = [label for label, seen in zip(_labels(before), used, strict=True) if seen]
        p, q = p[used], q[used]
        noise = 1 / max(p.sum(), 1) + 1 / max(q.sum(), 1)
        bound = max(MATTERS, float(noise * chi2.isf(LEVEL / len(both), max(len(p) - 1, 1))))
        before_now = p / max(p.sum(), 1), q / max(q.sum(), 1)
        bins = tuple(zip(labels, *(shares.tolist() for shares in before_now), strict=True))
        found.append(Shift(name, psi(p, q), bound, _change(bins), bins))
    return sorted(found, key=lambda one: (-one.psi, one.column))


def rows_needed(reference: Summary, names: Sequence[str]) -> int | None:
    """Return the rows of another version with which every relevant PSI is significant.

    Args:
        reference: the summary of the earlier version.
        names: the columns to compare.

    Returns:
        The number of rows; None if the earlier version itself has too few.
    """
    from scipy.stats import chi2

    rows = 0.0
    columns = dict(_compared(reference, reference))
    for name in names:
        p = _counts(columns[name])
        limit = float(chi2.isf(LEVEL / len(names), max((p > 0).sum() - 1, 1)))
        left = MATTERS / limit - 1 / max(p.sum(), 1)
        if left <= 0:
            return None
        rows = max(rows, 1 / left)
    return int(np.ceil(rows))


def advanced(reference: Summary, current: Summary) -> list[str]:
    """Return a sentence for each column that advances by itself and has other values now.

    Args:
        reference: the summary of the accepted version.
        current: a summary computed `like` it.
    """
    old, new = reference["columns"], current["columns"]
    lines = []
    for name in (name for name in old if name in new):
        before, now = old[name].get("range"), new[name].get("range")
        if before and now and before != now:
            both = [set(one[name].get("parts", ())) for one in (old, new)]
            parts = " and ".join(part for part in PARTS if part in both[0] & both[1])
            rest = f"only its {parts} and missing values are" if parts else "not"
            ranges = f"{before[0]} to {before[1]} before, {now[0]} to {now[1]} now"
            lines.append(f"{name} advances by itself ({ranges}): {rest} compared")
    return lines


def psi(before: npt.ArrayLike, now: npt.ArrayLike) -> float:
    """Return the population stability index of two vectors of counts, (n_bins,) each."""
    p, q = _shares(np.asarray(before)), _shares(np.asarray(now))
    return float(((q - p) * np.log(q / p)).sum())


def _shares(counts: npt.NDArray[Any]) -> Floats:
    smooth = counts + PRIOR
    return np.asarray(smooth / smooth.sum(), dtype=np.float64)


def _counts(column: Column) -> Floats:
    return np.array([*column["counts"], column["missing"]], dtype=np.float64)


def _part(name: str, part: str) -> str:
    return f"{name} ({part})"


def _compared(summary: Summary, other: Summary) -> Iterator[tuple[str, Column]]:
    """Yield what is compared: of columns that advance by themselves only whether a value exists."""
    for name, column in summary["columns"].items():
        like = other["columns"].get(name, column)
        by_itself = column["type"] == "date" or ("range" in column and "range" in like)
        if by_itself and column["type"] == like["type"]:
            present = sum(column["counts"])
            yield name, {**column, "levels": ["a value"], "counts": [present, 0]}
            for part, counted in column.get("parts", {}).items():
                yield _part(name, part), counted
        else:
            yield name, column


def _labels(column: Column) -> list[str]:
    if "levels" in column:
        return [*column["levels"], "other values", "missing"]
    words = _words(column["cuts"])
    inner = [f"above {low} up to {high}" for low, high in pairwise(words)]
    return [f"up to {words[0]}", *inner, f"above {words[-1]}", "missing"]


def _words(cuts: Sequence[Any]) -> list[str]:
    """Format cuts for people, numbers with as many digits as are needed to distinguish them."""
    if any(isinstance(cut, str) for cut in cuts):
        return [cut.removesuffix("T00:00:00.000000Z") for cut in cuts]
    tries = ([f"{cut:.{digits}g}" for cut in cuts] for digits in range(4, 18))
    return next((words for words in tries if len(set(words)) == len(cuts)), [*map(str, cuts)])


def _change(bins: Sequence[tuple[str, float, float]]) -> str:
    label, before, now = max(bins, key=lambda one: abs(one[2] - one[1]), default=("no value", 0, 0))
    return f"{label}: {before:.1%} of the rows before, {now:.1%} now"


def _sample(rows: TableRows, names: Sequence[str]) -> pa.Table:
    wanted = min(SAMPLE, max(FEWEST, CELLS // max(len(names), 1)))
    share = wanted / max(rows.count, 1)
    numbers = np.arange(rows.count, dtype=np.uint64)
    some = TableRows(rows.source, _hashed(numbers) < share if share < 1 else None)
    schema = pa.schema([rows.schema.field(name) for name in names])
    return pa.Table.from_batches(some.batches(names, plain=names), schema)


def _hashed(numbers: Hashes) -> Floats:
    """Hash row numbers to [0, 1), so that periodic rows do not bias the sample.

    The hash is SplitMix64 (Steele, Lea, Flood 2014).
    """
    return np.asarray((mix(numbers * GOLDEN) >> np.uint64(11)) * 2.0**-53)


def _summary(column: Array, like: Column | None) -> Column:
    present = column.drop_null()
    kind = storage(column.type)
    if like is not None and not len(present):  # a column without values fits every type
        kind = like["type"]
    made: Column = {"type": kind, "missing": column.null_count}
    if like is not None and like["type"] != kind:
        like = None
    if kind in ("number", "date"):
        values = _numeric(present, kind)
        if kind == "date":
            made["parts"] = _calendar(values, like)
        if kind == "date" or _runs(values, like):
            made["range"] = _range(values, kind)
        if "cuts" in like if like is not None else len(np.unique(values)) > BINS:
            cuts = _deciles(values) if like is None else _cuts(like, kind)
            bins = np.searchsorted(cuts, values, side="left")
            counts = np.bincount(bins, minlength=len(cuts) + 1).tolist()
            return made | {"cuts": _written(cuts, kind), "counts": counts}
    values, times = pc.value_counts(present).flatten()
    found = Counter(dict(zip(map(as_text, values.to_pylist()), times.to_pylist(), strict=True)))
    ranked = sorted(found, key=lambda level: (-found[level], level))
    levels = list(like["levels"]) if like is not None else ranked[:BINS]
    counts = [found[level] for level in levels]
    return made | {"levels": levels, "counts": [*counts, found.total() - sum(counts)]}


def _numeric(present: Array, kind: str) -> npt.NDArray[Any]:
    is_date = kind == "date"
    numbers = (
        dates(present)[0].cast(pa.int64()) if is_date else present.cast(pa.float64(), safe=False)
    )
    return np.asarray(numbers.to_numpy(zero_copy_only=False))


def _runs(values: npt.NDArray[Any], like: Column | None) -> bool:
    """Return whether numbers count something that goes on, such as orders.

    They are whole and different, and they rise or fall, or take each value of their range. Rows
    that are compared with such a column can have any order and gaps.
    """
    if not len(values) or not np.isfinite(values).all() or (values % 1).any():
        return False
    if like is not None:
        return "range" in like and len(np.unique(values)) == len(values)
    steps = np.diff(values)
    if (steps > 0).all() or (steps < 0).all():
        return True
    return bool(np.ptp(values) + 1 == len(values) == len(np.unique(values)))


def _range(values: npt.NDArray[Any], kind: str) -> list[str]:
    if not len(values):
        return []
    ends = np.array([values.min(), values.max()])
    if kind == "number":
        return [f"{end:.0f}" for end in ends]
    return [str(end) for end in ends.astype("int64").view("datetime64[us]").astype("datetime64[D]")]


def _calendar(moments: npt.NDArray[Any], like: Column | None) -> dict[str, Column]:
    """Count the weekdays of the last whole weeks, and the hours of the last whole days.

    A part is left out where the moments do not cover a week or a day. Hours are left out, too,
    where all are the same.
    """
    if not len(moments):
        return {}
    parts: dict[str, Column] = {}
    ways = zip(PARTS, (DAY, DAY // 24), (7, 24), (WEEKDAYS, HOURS), strict=True)
    for part, size, turn, bins in ways:
        units = moments.astype(np.int64) // size
        first = 3 if part == "weekday" else 0  # the first day of the epoch was a Thursday
        covered = (units.max() - units.min() + 1) // turn * turn
        if not covered:
            continue
        places = (units[units > units.max() - covered] + first) % turn * len(bins) // turn
        if part == "hour" and like is None and len(np.unique(places)) == 1:
            continue
        counts = np.bincount(places, minlength=len(bins)).tolist()
        parts[part] = {"type": "text", "levels": [*bins], "counts": [*counts, 0], "missing": 0}
    return parts


def _deciles(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return np.zeros(1)
    steps = np.arange(1, BINS) / BINS
    return np.unique(np.quantile(finite, steps, method="inverted_cdf"))


def _written(cuts: npt.NDArray[Any], kind: str) -> list[Any]:
    if kind == "number":
        return [float(cut) for cut in cuts]
    return [str(moment) + "Z" for moment in cuts.astype("int64").view("datetime64[us]")]


def _cuts(like: Column, kind: str) -> npt.NDArray[Any]:
    if kind == "number":
        return np.array(like["cuts"], dtype=np.float64)
    return np.array([cut.rstrip("Z") for cut in like["cuts"]], dtype="datetime64[us]").view("int64")
