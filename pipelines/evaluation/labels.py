"""Which class an output means: the most probable, or of two classes by a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Threshold:
    """From which probability on a row is called positive, chosen on validation rows.

    Attributes:
        value: in [0, 1]; a row is positive from it on.
        place: of the positive one of the two classes, 0 or 1.
        reached: whether the precision that was asked for was reached on the validation rows.
        rule: what was asked for, in words.
    """

    value: float
    place: int
    reached: bool = True
    rule: str = ""


@dataclass(frozen=True)
class Labels:
    """How outputs are read.

    Attributes:
        classes: as text, in the order of the outputs; empty where no metric names one.
        threshold: of two classes; None for the most probable class.
    """

    classes: tuple[str, ...] = ()
    threshold: Threshold | None = None

    def of(self, outputs: Array) -> npt.NDArray[np.int64]:
        """(n_rows,) places of the classes that (n_rows, k) probabilities mean."""
        if self.threshold is None:
            return np.asarray(outputs.argmax(axis=1))
        place = self.threshold.place
        return np.where(outputs[:, place] >= self.threshold.value, place, 1 - place)

    def place(self, name: str) -> int:
        """Of a class, by its name.

        Raises:
            KeyError: there is no such class.
        """
        if name not in self.classes:
            raise KeyError(name)
        return self.classes.index(name)


MOST_PROBABLE = Labels()


class Given(NamedTuple):
    """(n_rows, k) probabilities or (n_rows,) values, and how they are read."""

    outputs: Array
    labels: Labels = MOST_PROBABLE


def choose_threshold(
    truth: Array,
    outputs: Array,
    place: int,
    *,
    false_positive: float = 1.0,
    false_negative: float = 1.0,
    precision: float | None = None,
) -> Threshold:
    """The threshold that costs least, or finds most at a precision.

    Candidates lie halfway between neighbouring probabilities, so that a row of either side may
    move a little. Of equal ones the nearest to a half is taken.

    Args:
        truth: (n_rows,) places of the classes, of rows that no metric is reported of.
        outputs: (n_rows, 2) probabilities.
        place: of the positive class.
        false_positive: what it costs to call a negative row positive.
        false_negative: what it costs to miss a positive row.
        precision: in (0, 1); the costs do not count where it is given. Where no threshold reaches
            it, the one of the highest precision is taken.
    """
    positive, given = truth == place, outputs[:, place].astype("float64")
    values, inverse = np.unique(given, return_inverse=True)
    hits = np.bincount(inverse, positive, len(values))
    rows = np.bincount(inverse, minlength=len(values)).astype("float64")
    above = max((values[-1] + 1) / 2, np.nextafter(values[-1], 2))
    cuts = np.concatenate([[values[0] / 2], (values[1:] + values[:-1]) / 2, [above]])
    found = np.append(np.cumsum(hits[::-1])[::-1], 0.0)  # positive rows from each cut on
    called = np.append(np.cumsum(rows[::-1])[::-1], 0.0)
    if precision is None:
        cost = false_positive * (called - found) + false_negative * (positive.sum() - found)
        best = np.flatnonzero(cost == cost.min())
        rule = f"least cost: false positive {false_positive:g}, false negative {false_negative:g}"
        reached = True
    else:
        with np.errstate(invalid="ignore"):
            precisions = np.where(called > 0, found / called, -1.0)
        reached = bool((precisions >= precision).any())
        kept = precisions >= (precision if reached else precisions.max())
        best = np.flatnonzero(kept & (found == found[kept].max()))
        rule = f"highest recall at a precision of {precision:g}"
    cut = cuts[best[np.abs(cuts[best] - 0.5).argmin()]]
    return Threshold(float(cut), place, reached, rule)
