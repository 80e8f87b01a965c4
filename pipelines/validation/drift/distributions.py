"""Whether the distribution of a column left that of an earlier version of the data.

The measure is the population stability index, PSI = Σ (p − q) · ln(p / q) over the bins of the
earlier version. Without drift its mean is (B − 1)(1/n + 1/m) for B bins, n and m rows, and PSI over
(1/n + 1/m) is distributed as χ² with B − 1 degrees of freedom (Yurdakul & Naranjo: Statistical
properties of the population stability index, 2020). A column has drifted where the effect matters
(PSI above 0.1) *and* chance does not explain it at a level of 1 % over all columns.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
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
"""PSI below which a difference is of no interest; a shift of 0.3 deviations has about 0.1."""

LEVEL = 0.01
"""Chance of one false alarm or more among all columns together."""

SAMPLE = 50_000
"""Rows that a summary is made of: there, chance alone makes a PSI of 0.0004."""

CELLS = 10_000_000
"""Values of a sample: a wide table gives fewer rows, …"""

FEWEST = 2_000
"""… but not fewer than these."""

PRIOR = 0.5
"""Added to the count of every bin, so that an empty one has a logarithm (Jeffreys)."""

Summary = Mapping[str, Any]
Column = dict[str, Any]
"""Of a sample: `type` (number, date, text, boolean), `cuts` or `levels`, `counts`, `missing`."""


@dataclass(frozen=True)
class Shift:
    """How far the distribution of a column is from that of an earlier version.

    Attributes:
        column: its name.
        psi: the population stability index; infinite for another type.
        bound: what it may be.
        change: what is different most, in words.
        bins: (label, share of the rows before, share now), both in [0, 1]; none for another type.
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
        return f"PSI {self.psi:.3g}, may be {self.bound:.3g}; {self.change}"


@dataclass(frozen=True)
class TableDifference:
    """What sets two versions of a table apart.

    Attributes:
        rows: of the old and of the new one.
        added: columns that only the new one has.
        removed: columns that only the old one has.
        retyped: columns of another type, as (column, before, now).
        drifted: columns of another distribution.
    """

    rows: tuple[int, int]
    added: tuple[str, ...]
    removed: tuple[str, ...]
    retyped: tuple[tuple[str, str, str], ...]
    drifted: tuple[Shift, ...]


def compare_tables(old: Path, new: Path, exclude: Sequence[str] = ()) -> TableDifference:
    """What sets two Parquet tables apart.

    Args:
        old: the earlier version.
        new: the later version.
        exclude: columns or patterns whose distribution may change.
    """
    before = summarise(old, exclude)
    return compare(before, summarise(new, exclude, like=before))


def compare(reference: Summary, current: Summary) -> TableDifference:
    """What sets two summaries apart, the second made `like` the first."""
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
    """The distribution of every column: counts in ten bins between quantiles, or of ten levels.

    Of a sample: a row is in it where a hash of its number is small, so that equal tables give equal
    summaries. Numbers and dates of more than ten different values are counted between their deciles
    (each bin holds its upper end; the outer ones are open), all others by level, the rest together.

    Args:
        table: a Parquet file.
        exclude: columns or patterns to leave out; pictures are left out always.
        like: an earlier summary, whose bins are to be used.

    Returns:
        `rows` (of the table), `sampled` (rows), and `columns`, which can be written as JSON.
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
    return {"rows": rows.count, "sampled": some.num_rows, "columns": columns}


def drifted(reference: Summary, current: Summary) -> list[Shift]:
    """The columns that have drifted, the worst first.

    Args:
        reference: the summary of the accepted version.
        current: a summary made `like` it.
    """
    return [shift for shift in shifts(reference, current) if shift.drifted]


def shifts(reference: Summary, current: Summary) -> list[Shift]:
    """How far each column that both have is from what it was, the worst first; as `drifted`."""
    from scipy.stats import chi2

    old, new = reference["columns"], current["columns"]
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
    """Rows of another version from which no PSI that matters can be chance, in any column.

    None where the earlier version itself has too few.
    """
    from scipy.stats import chi2

    rows = 0.0
    for name in names:
        p = _counts(reference["columns"][name])
        limit = float(chi2.isf(LEVEL / len(names), max((p > 0).sum() - 1, 1)))
        left = MATTERS / limit - 1 / max(p.sum(), 1)
        if left <= 0:
            return None
        rows = max(rows, 1 / left)
    return int(np.ceil(rows))


def psi(before: npt.ArrayLike, now: npt.ArrayLike) -> float:
    """The population stability index of two vectors of counts, (n_bins,) each."""
    p, q = _shares(np.asarray(before)), _shares(np.asarray(now))
    return float(((q - p) * np.log(q / p)).sum())


def _shares(counts: npt.NDArray[Any]) -> Floats:
    smooth = counts + PRIOR
    return np.asarray(smooth / smooth.sum(), dtype=np.float64)


def _counts(column: Column) -> Floats:
    return np.array([*column["counts"], column["missing"]], dtype=np.float64)


def _labels(column: Column) -> list[str]:
    if "levels" in column:
        return [*column["levels"], "other values", "missing"]
    words = _words(column["cuts"])
    inner = [f"above {low} up to {high}" for low, high in pairwise(words)]
    return [f"up to {words[0]}", *inner, f"above {words[-1]}", "missing"]


def _words(cuts: Sequence[Any]) -> list[str]:
    """Cuts as people write them, numbers with as many digits as tell them apart."""
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
    """Numbers in [0, 1) (SplitMix64; Steele, Lea, Flood 2014): no rhythm of the rows is kept."""
    return np.asarray((mix(numbers * GOLDEN) >> np.uint64(11)) * 2.0**-53)


def _summary(column: Array, like: Column | None) -> Column:
    present = column.drop_null()
    kind = storage(column.type)
    if like is not None and not len(present):  # no value speaks for another type
        kind = like["type"]
    made: Column = {"type": kind, "missing": column.null_count}
    if like is not None and like["type"] != kind:
        like = None
    if kind in ("number", "date"):
        values = _numeric(present, kind)
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
    numbers = dates(present)[0].cast(pa.int64()) if is_date else present.cast(pa.float64())
    return np.asarray(numbers.to_numpy(zero_copy_only=False))


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
