"""How well one column alone predicts the target: from 0 (not at all) to 1 (perfectly).

For classes it is 2·AUC − 1 of the class that is predicted best, against the rest; for a number
|Spearman's ρ|. Numbers and dates are ranked by value. Levels are ranked by the target on one half
of the rows and evaluated on the other half, and vice versa, so that a column with many levels does
not look good by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FEW = 20
"""Rows of a class below which its AUC is unreliable; such classes count only if all are small."""

MOST_IN_PAIRS = 20
"""Classes of which all pairs are compared."""

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Goal:
    """The target of the sampled rows.

    Attributes:
        values: (n,) float64 ranks in [0, 1] for regression, else int64 positions in `classes`.
        classes: labels as text, the most frequent first; None for regression.
        raw: (n,) the target as numbers, for regression.
    """

    values: Any
    classes: tuple[str, ...] | None
    raw: Floats | None = None


def class_goal(labels: list[str]) -> Goal:
    """Return the goal of a classification with these labels."""
    names, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    new = np.empty_like(order)
    new[order] = np.arange(len(order))
    return Goal(new[places], tuple(str(names[i]) for i in order))


def number_goal(values: Floats) -> Goal:
    """Return the goal of a regression with these (n,) numbers."""
    return Goal(_ranks(values) / max(len(values), 1), None, values)


def _ranks(values: Floats) -> Floats:
    """Return ranks from 1; equal values have the mean of their ranks."""
    return np.asarray(pd.Series(values).rank())  # scipy.stats takes a second to import


def least_relation(x: npt.NDArray[Any], goal: Goal) -> float:
    """Return the relation of a column to the classes that it separates worst, in [0, 1].

    A column can predict one of three classes perfectly and say little about the other two. For
    numbers it is the least relation to a pair of classes; for levels, to a class.

    Args:
        x: (n,) numbers, or int64 positions of levels.
        goal: the target of the same rows.
    """
    levels = np.issubdtype(x.dtype, np.integer)
    relation: Any = level_relation if levels else number_relation
    if goal.classes is None or len(goal.classes) == 2:
        return float(relation(x, goal))
    enough = _enough(np.bincount(goal.values, minlength=len(goal.classes)))
    classes = np.flatnonzero(enough)[:MOST_IN_PAIRS].tolist()
    sides = combinations(classes, 1 if levels else 2)
    return min((float(relation(*_against(x, goal, side))) for side in sides), default=0.0)


def _against(x: Any, goal: Goal, side: tuple[int, ...]) -> tuple[Any, Goal]:
    """Return the rows of two classes, or all rows with one class against the rest."""
    first = goal.values == side[0]
    rows = np.ones(len(x), dtype=bool) if len(side) == 1 else first | (goal.values == side[1])
    return x[rows], Goal(first[rows].astype(np.int64), ("", ""))


def number_relation(x: Floats, goal: Goal) -> float:
    """Return the relation of a column of numbers to the target, in [0, 1].

    Args:
        x: (n,) float64; rows with NaN, a missing value, are ignored.
        goal: the target of the same rows.
    """
    there = ~np.isnan(x)
    if there.sum() < 3 or np.ptp(x[there]) == 0:
        return 0.0
    ranks, y = _ranks(x[there]), goal.values[there]
    if goal.classes is None:
        return abs(_correlation(ranks, y))
    counts = np.bincount(y, minlength=len(goal.classes))
    sums = np.bincount(y, weights=ranks, minlength=len(goal.classes))
    kept = _enough(counts)
    inside, outside = counts[kept], len(y) - counts[kept]
    areas = (sums[kept] - inside * (inside + 1) / 2) / (inside * outside)
    return float(np.max(np.abs(2 * areas - 1), initial=0.0))


def level_relation(codes: Codes, goal: Goal) -> float:
    """Return the relation of a column of levels to the target, in [0, 1].

    Args:
        codes: (n,) int64 positions of levels, from 0; a missing value is a separate level.
        goal: the target of the same rows.
    """
    if len(codes) < 4 or not np.ptp(codes):
        return 0.0
    half = np.arange(len(codes)) % 2 == 0
    both = [_judge(codes, goal, half), _judge(codes, goal, ~half)]
    return float(max(0.0, np.max(np.mean(both, axis=0), initial=0.0)))


def _judge(codes: Codes, goal: Goal, learn: npt.NDArray[np.bool_]) -> Floats:
    """Rank levels on the rows `learn` and evaluate them on the rest.

    Returns:
        One number for each class, or one for regression.
    """
    size, y = int(codes.max()) + 1, goal.values
    if goal.classes is None:
        overall = float(y[learn].mean())
        rows = np.bincount(codes[learn], minlength=size)
        means = (np.bincount(codes[learn], weights=y[learn], minlength=size) + overall) / (rows + 1)
        return np.array([_correlation(means[codes[~learn]], y[~learn])])
    classes = len(goal.classes)
    table = [
        np.bincount(codes[part] * classes + y[part], minlength=size * classes).reshape(size, -1)
        for part in (learn, ~learn)
    ]
    prior = table[0].sum(axis=0) / table[0].sum()
    rates = (table[0] + prior) / (table[0].sum(axis=1, keepdims=True) + 1)
    kept = _enough(np.bincount(y, minlength=classes))
    return np.array(
        [2 * _area(rates[:, c], table[1], c) - 1 for c in np.flatnonzero(kept).tolist()]
    )


def _area(scores: Floats, counts: Codes, which: int) -> float:
    """Return the AUC of scores by level, for one class against the rest; ties count half."""
    _, places = np.unique(scores, return_inverse=True)
    inside = np.bincount(places, weights=counts[:, which])
    outside = np.bincount(places, weights=counts.sum(axis=1) - counts[:, which])
    if not inside.sum() or not outside.sum():
        return 0.5
    before = np.cumsum(outside) - outside
    return float((inside * (before + outside / 2)).sum() / (inside.sum() * outside.sum()))


def _enough(counts: Codes) -> npt.NDArray[np.bool_]:
    """Return which classes have enough rows to be evaluated, and rows outside."""
    some = (counts > 0) & (counts < counts.sum())
    many = some & (counts >= FEW)
    kept: npt.NDArray[np.bool_] = many if many.any() else some
    return kept


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum() / size) if size else 0.0
