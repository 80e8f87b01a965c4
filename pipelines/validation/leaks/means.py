"""Proofs that a column was computed from means of the target: target encoding over all rows.

If a column contains the target's mean for each level of another column, the target's mean over the
rows with one of its values is that value, so that the other column need not be known. A mean
without the row itself, (S − y) / (n − 1), is not a function of the level, and is compared with each
column of levels.

Source of both encodings: Micci-Barreca: A preprocessing scheme for high-cardinality categorical
attributes, 2001.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from gristmill.pipelines.tables import Flags, Floats
from gristmill.pipelines.validation.leaks.leak import PROOF, Leak, prove
from gristmill.pipelines.validation.leaks.reading import Codes, Values

CHANCE = 1e-12
SUSPECT = 1e-4
"""Probability of chance agreement below which it is a proof, and below which it is a warning."""

FEWEST = 3
"""Least number of levels with different means."""

NEAR = 0.15
"""Largest distance between the means of column and target, in standard deviations of the target."""

ROWS = 50
"""Least number of rows."""

MOST_CLASSES = 20
"""Classes up to which a column is compared with the share of each class."""


@dataclass(frozen=True)
class NumericTarget:
    """The target as a number: a numeric target, or the indicator of a class.

    Attributes:
        name: description of its mean.
        y: (n_rows,) float64.
    """

    name: str
    y: Floats


def numeric_targets(y: Values, classes: bool) -> list[NumericTarget]:
    """Return the numeric forms of the target whose means a column may contain."""
    found = []
    if y.kind == "number":
        found.append(NumericTarget(f"mean of {y.name}", y.levels[y.codes].astype(np.float64)))
    if classes and len(y.levels) <= MOST_CLASSES:
        found += [
            NumericTarget(f"share of {y.name} = {level}", (y.codes == code).astype(np.float64))
            for code, level in enumerate(y.levels)
        ]
    return found


def may_be_mean(x: Values, goal: NumericTarget) -> bool:
    """Return whether a column's numbers can be means of the target; excludes most columns."""
    if x.kind != "number" or len(x.codes) < ROWS or (x.codes < 0).any() or len(x.levels) < FEWEST:
        return False
    low, high = goal.y.min(), goal.y.max()
    if x.levels[0] < low or x.levels[-1] > high or _broken(x.levels).sum() < FEWEST:
        return False
    counts = np.bincount(x.codes, minlength=len(x.levels))
    mean = float(counts @ x.levels) / len(x.codes)
    return bool(abs(mean - goal.y.mean()) <= NEAR * goal.y.std())


def own_mean(x: Values, goal: NumericTarget) -> Leak | None:
    """Return the leak of a column whose values are the target's mean over the rows with them.

    It also recognises means shrunk towards that of all rows with weight m: (S + m·mean) / (n + m).
    """
    counts = np.bincount(x.codes, minlength=len(x.levels)).astype(np.float64)
    if len(x.levels) > len(x.codes) / 2:
        return None
    seen = counts > 0
    sums = np.bincount(x.codes, weights=goal.y, minlength=len(x.levels)).astype(np.float64)
    levels, counts, sums = x.levels[seen], counts[seen], sums[seen]
    squares = np.bincount(x.codes, weights=goal.y**2, minlength=len(x.levels))[seen]
    spread = np.sqrt(np.maximum(squares / counts - (sums / counts) ** 2, 0.0))
    everywhere = float(goal.y.mean())
    for m in (0.0, _weight(levels, counts, sums, everywhere)):
        if m is None:
            continue
        off = _apart(levels, counts, sums, m, everywhere) > _rounding(levels)
        noise = spread if not m else np.full(len(levels), goal.y.std())
        chance = _log_chance(levels, counts, noise, off)
        if counts[off].sum() <= PROOF * len(x.codes) and chance < np.log(SUSPECT):
            drawn = f", shrunk towards the mean of all rows with weight {m:g}" if m else ""
            words = f"is the {goal.name} over the rows with that value{drawn}"
            proven, exceptions = bool(chance < np.log(CHANCE)), int(counts[off].sum())
            return prove("target mean", x.name, words, exceptions, range(len(x.codes)), proven)
    return None


def left_out_mean(x: Values, groups: Iterable[Values], goal: NumericTarget) -> Leak | None:
    """Return the leak of a column that is the target's mean over the other rows of a level.

    Args:
        x: the column.
        groups: columns whose levels are tried.
        goal: the target as a number.
    """
    numbers = x.levels[x.codes]
    slack = _rounding(numbers)
    if slack > 0.05 * goal.y.std():
        return None
    for group in groups:
        counts, expected = left_out(group.codes, goal.y)
        judged = counts > 1
        off = judged & ~(np.abs(expected - numbers) <= slack)
        n = int(judged.sum())
        if n < ROWS or off.sum() > PROOF * n:
            continue
        if len(np.unique(expected[judged])) >= 2 * FEWEST and len(group.levels) >= FEWEST:
            words = f"is the {goal.name} over the other rows with the same {group.name}"
            exceptions = int(off.sum()) + len(numbers) - n
            return prove("target mean", x.name, words, exceptions, range(len(numbers)), True)
    return None


def left_out(codes: Codes, y: Floats) -> tuple[Floats, Floats]:
    """Return the rows in each row's level and the mean of y over the other ones, both (n_rows,)."""
    present = np.where(codes < 0, codes.max() + 1, codes)  # a missing value is a level too
    counts = np.bincount(present).astype(np.float64)[present]
    sums = np.bincount(present, weights=y)[present]
    with np.errstate(divide="ignore", invalid="ignore"):
        return counts, (sums - y) / (counts - 1)


def is_group(column: Values) -> bool:
    """Return whether the column has levels over which a mean may have been computed."""
    return FEWEST - 1 <= len(column.levels) <= len(column.codes) / 2


def _apart(levels: Floats, counts: Floats, sums: Floats, m: float, everywhere: float) -> Floats:
    """Return each value's distance from the mean, shrunk with weight m.

    With shrinkage, up to four groups of equal size can share a value.
    """
    groups = np.arange(1, 5 if m else 2)[:, None]
    means = (sums / groups + m * everywhere) / (counts / groups + m)
    return np.asarray(np.abs(means - levels).min(axis=0))


def _weight(levels: Floats, counts: Floats, sums: Floats, everywhere: float) -> float | None:
    """Estimate the weight m, as the median over the levels."""
    apart = np.abs(levels - everywhere) > 1e-3 * (np.abs(levels).max() + 1e-12)
    if apart.sum() < FEWEST:
        return None
    m = counts[apart] * (sums[apart] / counts[apart] - levels[apart]) / (levels[apart] - everywhere)
    middle = float(np.median(m))
    whole = round(middle, 2)
    return whole if 0 < whole < 1e6 else None


def _rounding(numbers: Floats) -> float:
    """Return half of the numbers' last decimal place, or a small tolerance if they use all."""
    size = float(np.abs(numbers).max()) or 1.0
    for places in range(2, 7):
        if np.allclose(numbers, np.round(numbers, places), rtol=0, atol=1e-9 * size):
            return float(0.5001 * 10.0**-places)
    return 1e-6 * size


def _log_chance(levels: Floats, counts: Floats, spread: Floats, off: Flags) -> float:
    """Return the log probability that so many levels agree by chance.

    Even a column that is right on average misses each level's mean by about spread / √rows; the
    probability that it is as close as the rounding is small.
    """
    telling = ~off & (counts > 1) & (spread > 1e-6 * (np.abs(levels) + 1)) & _broken(levels)
    if telling.sum() < FEWEST:
        return 0.0
    errors = spread[telling] / np.sqrt(counts[telling])
    chances = np.minimum(1.0, 2 * _rounding(levels) / (errors * np.sqrt(2 * np.pi)))
    return float(np.log(np.maximum(chances, 1e-300)).sum())


def _broken(numbers: Floats) -> Flags:
    return np.asarray(numbers != np.floor(numbers))
