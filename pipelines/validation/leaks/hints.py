"""Warnings about columns that predict too well, and about rows ordered by the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.tables import Flags, Floats, Places, counts_time
from gristmill.pipelines.validation.leaks.leak import Leak, make_leak
from gristmill.pipelines.validation.leaks.reading import Codes, Values, ranks

STRONG = 0.99
"""AUC or skill at which a column alone predicts the target almost perfectly."""

MOST_BINS = 256
BIN_ROWS = 5
"""Training rows per bin of a column with more values than bins."""

HELD_OUT = 20
"""Least number of rows for an evaluation."""

ROW_ORDER = 0.1
"""Warn when the previous row explains at least this share of the target."""

SEQUENCE, SEQUENCE_ROWS = 0.9, 50
"""Share from which rows that are not sorted are a sequence, and the least number of rows."""

APART, CLOSER = 8, 0.7
"""Neighbours in a sequence have at most this share of the distance of rows so many places apart."""

MISPLACED = 0.02
"""Largest share of steps against the order in a sorted file."""

MOST_STEPS = 10
"""A column of more values orders rows by what it measures."""


@dataclass(frozen=True)
class Learnt:
    """The target, and the rows for learning.

    Attributes:
        y: the target.
        training: (n_rows,) bool; rows for learning, the others are for evaluation.
        classes: whether the task is classification.
    """

    y: Values
    training: Flags
    classes: bool


def strength(x: Values, learnt: Learnt) -> Leak | None:
    """Return a warning if a column alone predicts the target almost perfectly.

    With two classes and ordered values the measure is the AUC. Otherwise, or if the AUC is lower
    (one class may have the middle values), it is the skill of a table of bins: 0 for guessing, 1
    for no errors.
    """
    binary = learnt.classes and len(learnt.y.levels) == 2
    area = auc(x.codes, learnt.y.codes) if binary and x.kind != "text" else 0.5
    found: float | None = max(area, 1 - area)
    what = f"an AUC of {found:.4f}"
    if found is not None and found < STRONG:
        found = skill(x, learnt)
        if found is None or found < STRONG:
            return None
        what = f"a skill of {found:.4f} on unseen rows"
    words = f"alone predicts {learnt.y.name} with {what}: is it known before the target?"
    return make_leak("strength", x.name, words, len(x.codes), found or 0.0)


def auc(x: Codes, y: Codes) -> float:
    """Return the area under the ROC curve for class 1, from ranks (Mann, Whitney 1947).

    Args:
        x: (n_rows,) ordered codes; missing values, -1, count as the lowest.
        y: (n_rows,) 0 or 1.
    """
    ones = int((y == 1).sum())
    zeros = len(y) - ones
    if not ones or not zeros:
        return 0.5
    return float((ranks(x + 1)[y == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def skill(x: Values, learnt: Learnt) -> float | None:
    """Return how well a table from the column's bins to the target predicts unseen rows.

    Returns:
        For classes the balanced accuracy, rescaled so that guessing is 0; for numbers R². None if
        there are too few rows.
    """
    training, judging = learnt.training, ~learnt.training
    if training.sum() < HELD_OUT or judging.sum() < HELD_OUT or len(x.levels) < 2:
        return None
    bins = _bins(x, training)
    if learnt.classes:
        return _class_skill(bins, learnt)
    line = _line_skill(x, learnt) if x.kind == "number" and (x.codes >= 0).all() else 0.0
    return max(line, _number_skill(bins, learnt))


def row_order(
    y: Values, places: Places, classes: bool, columns: Sequence[Values], *, stops: bool
) -> Leak | None:
    """Return the leak of rows whose target the previous row predicts.

    It is an error if the previous row explains almost everything, and the rows are neither in the
    order of the target or of a feature nor in blocks of alike or equal rows.

    Args:
        y: the target.
        places: (n_rows,) row numbers in the file, ascending.
        classes: whether the task is classification.
        columns: the feature columns of the same rows.
        stops: whether it can be an error: each row has its role by chance.
    """
    share = previous_row(y.codes, y.levels, places, classes)
    if not share:
        return None
    by_value = in_order(y.codes, classes) or any(_rises(x) for x in columns) or _repeat(columns)
    moves = classes or _drifts(y.levels[y.codes])
    enough = share >= SEQUENCE and len(places) >= SEQUENCE_ROWS
    proven = stops and enough and moves and not by_value
    what = "its rows are a sequence" if proven else "the file is sorted or its rows are a sequence"
    advice = "" if proven else "; consider split.time or split.group"
    words = (
        f"the previous row explains {share:.0%} of {y.name}: {what}, so rows of one role reveal "
        f"those of another{advice}"
    )
    found = make_leak("row order", "", words, len(places), share)
    return found if proven else replace(found, severity="warning")


def previous_row(y: Codes, levels: npt.NDArray[Any], places: Places, classes: bool) -> float:
    """Return the share of the target that the previous row explains; 0 if it can be chance.

    Args:
        y: (n_rows,) codes of the target.
        levels: the values of the target by code.
        places: (n_rows,) positions of the rows, ascending; only neighbours are compared.
        classes: whether the task is classification.
    """
    next_to = np.diff(places) == 1
    before, after = y[:-1][next_to], y[1:][next_to]
    n = len(before)
    if n < HELD_OUT:
        return 0.0
    share = _same_class(before, after) if classes else _correlation(levels, before, after)
    return share if share >= max(ROW_ORDER, 5 / np.sqrt(n)) else 0.0


def in_order(y: Codes, classes: bool) -> bool:
    """Return whether rows are sorted by the target, except a few; classes can be in any order."""
    steps = np.diff(y)
    if classes:
        return int(np.count_nonzero(steps)) < 3 * len(np.unique(y))
    against = min(np.count_nonzero(steps > 0), np.count_nonzero(steps < 0))
    return bool(against <= MISPLACED * len(y))


def _drifts(y: npt.NDArray[Any]) -> bool:
    """Return whether neighbours are closer than rows a few places apart, unlike in blocks."""
    numbers = y.astype(np.float64)
    near, far = (np.abs(numbers[lag:] - numbers[:-lag]).mean() for lag in (1, APART))
    inner = [np.median(np.abs(numbers[lag:] - numbers[:-lag])) for lag in (1, APART)]
    return bool(near < CLOSER * far and inner[0] < CLOSER * inner[1])


def _repeat(columns: Sequence[Values]) -> bool:
    """Return whether most rows equal the one before, as in a sorted table of few categories."""
    equal = np.logical_and.reduce([np.diff(x.codes) == 0 for x in columns])
    return bool(equal.mean() > 0.5)


def _rises(x: Values) -> bool:
    """Return whether the rows are in the order of a measurement, which can explain neighbours."""
    if x.kind != "number" or len(x.levels) <= MOST_STEPS or (x.codes < 0).any():
        return False
    return not counts_time(x.name, *x.levels[[0, -1]]) and in_order(x.codes, False)


def _bins(x: Values, training: Flags) -> Codes:
    """Return (n_rows,) bins with similar numbers of rows, or one bin per level if few."""
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
    """Return R² of a straight line, because bins are coarse if there are few rows."""
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
