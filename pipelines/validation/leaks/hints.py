"""Warnings about columns that are too good, and about rows whose order tells the target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gristmill.pipelines.tables import Flags, Floats, Places
from gristmill.pipelines.validation.leaks.leak import Leak, make_leak
from gristmill.pipelines.validation.leaks.reading import Codes, Values, ranks

STRONG = 0.99
"""AUC, or skill, from which on a column alone is nearly as good as the target."""

MOST_BINS = 256
BIN_ROWS = 5
"""Rows to learn from in each bin of a column that has more values than bins."""

HELD_OUT = 20
"""Fewest rows to judge by."""

ROW_ORDER = 0.1
"""Share of the target that the row before tells, from which on the order of the rows matters."""


@dataclass(frozen=True)
class Learnt:
    """Which rows to learn from, and the target.

    Attributes:
        y: the target.
        training: (n_rows,) whether a row is for training; the others judge.
        classes: whether the target is one of some classes, not a number.
    """

    y: Values
    training: Flags
    classes: bool


def strength(x: Values, learnt: Learnt) -> Leak | None:
    """A column that alone tells the target nearly as well as the target itself.

    By its AUC where there are two classes and values in order; else, or where the middle values
    are one class, by the skill of a table of its bins: 0 is a guess, 1 is never wrong.
    """
    binary = learnt.classes and len(learnt.y.levels) == 2
    area = auc(x.codes, learnt.y.codes) if binary and x.kind != "text" else 0.5
    found: float | None = max(area, 1 - area)
    what = f"an AUC of {found:.4f}"
    if found is not None and found < STRONG:
        found = skill(x, learnt)
        if found is None or found < STRONG:
            return None
        what = f"a skill of {found:.4f} on rows it has not seen"
    words = f"tells {learnt.y.name} all alone, with {what}: is it known before the target is?"
    return make_leak("strength", x.name, words, len(x.codes), found or 0.0)


def auc(x: Codes, y: Codes) -> float:
    """Area under the ROC curve of values in order for class 1, from ranks (Mann, Whitney 1947).

    Missing values, -1, count as the lowest.
    """
    ones = int((y == 1).sum())
    zeros = len(y) - ones
    if not ones or not zeros:
        return 0.5
    return float((ranks(x + 1)[y == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def skill(x: Values, learnt: Learnt) -> float | None:
    """What a table from the column's bins to the target is worth on rows that it has not seen.

    Returns:
        For classes the share of right answers, each class weighing the same, between that of a
        guess (0) and 1; for numbers R². None where there are too few rows.
    """
    training, judging = learnt.training, ~learnt.training
    if training.sum() < HELD_OUT or judging.sum() < HELD_OUT or len(x.levels) < 2:
        return None
    bins = _bins(x, training)
    if learnt.classes:
        return _class_skill(bins, learnt)
    line = _line_skill(x, learnt) if x.kind == "number" and (x.codes >= 0).all() else 0.0
    return max(line, _number_skill(bins, learnt))


def row_order(y: Values, places: Places, classes: bool) -> Leak | None:
    """A target that the row before tells: a sorted file, or rows that come in sequence."""
    next_to = np.diff(places) == 1
    before, after = y.codes[:-1][next_to], y.codes[1:][next_to]
    n = len(before)
    if n < HELD_OUT:
        return None
    told = _same_class(before, after) if classes else _correlation(y.levels, before, after)
    if told < max(ROW_ORDER, 5 / np.sqrt(n)):
        return None
    words = (
        f"the row before tells {told:.0%} of {y.name}: the file is sorted or its rows come in "
        "sequence, so rows of one role know those of another; split.time or split.group may help"
    )
    return make_leak("row order", "", words, n, told)


def _bins(x: Values, training: Flags) -> Codes:
    """(n_rows,) bins with about the same number of rows; a level each where they are few."""
    codes = x.codes + 1
    if x.kind == "text" or len(x.levels) < MOST_BINS:
        return codes
    wanted = int(np.clip(training.sum() // BIN_ROWS, 2, MOST_BINS))
    below = np.cumsum(np.bincount(codes[training], minlength=len(x.levels) + 1))
    return np.asarray((below * wanted // (below[-1] + 1))[codes])


def _class_skill(bins: Codes, learnt: Learnt) -> float | None:
    y, training = learnt.y.codes, learnt.training
    classes = len(learnt.y.levels)
    size = int(bins.max()) + 1
    if size * classes > 10_000_000:
        return None
    seen = np.bincount(bins[training] * classes + y[training], minlength=size * classes)
    seen = seen.reshape(size, classes)
    of_class = np.maximum(seen.sum(axis=0), 1)
    answer = (seen / of_class).argmax(axis=1)
    answer[seen.sum(axis=1) == 0] = -1
    right = answer[bins[~training]] == y[~training]
    rows = np.bincount(y[~training], minlength=classes)
    hits = np.bincount(y[~training], weights=right, minlength=classes)
    judged = rows > 0
    if judged.sum() < 2:
        return None
    recall = float((hits[judged] / rows[judged]).mean())
    guess = 1 / int(judged.sum())
    return (recall - guess) / (1 - guess)


def _number_skill(bins: Codes, learnt: Learnt) -> float:
    y, training = learnt.y.levels[learnt.y.codes].astype(np.float64), learnt.training
    size = int(bins.max()) + 1
    rows = np.bincount(bins[training], minlength=size)
    sums = np.bincount(bins[training], weights=y[training], minlength=size)
    answer = np.where(rows > 0, sums / np.maximum(rows, 1), float(y[training].mean()))
    return _explained(y[~training], answer[bins[~training]])


def _line_skill(x: Values, learnt: Learnt) -> float:
    """What a straight line is worth: bins are coarse where rows are few."""
    y, training = learnt.y.levels[learnt.y.codes].astype(np.float64), learnt.training
    numbers = x.levels[x.codes].astype(np.float64)
    spread = float(numbers[training].std())
    if spread == 0 or not np.isfinite(spread):
        return 0.0
    middle, mean = float(numbers[training].mean()), float(y[training].mean())
    slope = float(((numbers[training] - middle) * (y[training] - mean)).mean()) / spread**2
    return _explained(y[~training], mean + slope * (numbers[~training] - middle))


def _explained(truth: Floats, answer: Floats) -> float:
    spread = float(((truth - truth.mean()) ** 2).sum())
    return 1 - float(((truth - answer) ** 2).sum()) / spread if spread else 0.0


def _same_class(before: Codes, after: Codes) -> float:
    shares = np.bincount(after) / len(after)
    chance = float((shares**2).sum())
    return (float((before == after).mean()) - chance) / (1 - chance) if chance < 1 else 0.0


def _correlation(levels: Floats, before: Codes, after: Codes) -> float:
    first, second = levels[before].astype(np.float64), levels[after].astype(np.float64)
    if first.std() == 0 or second.std() == 0:
        return 0.0
    return float(np.corrcoef(first, second)[0, 1])
