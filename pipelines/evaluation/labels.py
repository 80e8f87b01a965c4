"""Labels from outputs: the most probable class, or one of two classes by a threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Threshold:
    """Decision threshold for two classes, chosen on validation rows.

    Attributes:
        value: Probability from which a row is positive; above 1 if no row ever is.
        place: Position of the positive class, 0 or 1.
        reached: Whether the required precision was reached on the validation rows.
        rule: Rule that chose the value, as text.
    """

    value: float
    place: int
    reached: bool = True
    rule: str = ""


@dataclass(frozen=True)
class Labels:
    """Rules that turn outputs into labels.

    Attributes:
        classes: Class names in the order of the outputs; empty if no metric names a class.
        threshold: Threshold of two classes; None for the most probable class.
    """

    classes: tuple[str, ...] = ()
    threshold: Threshold | None = None

    def of(self, outputs: Array) -> npt.NDArray[np.int64]:
        """Return the predicted class of each row, (n_rows,), from (n_rows, k) probabilities."""
        if self.threshold is None:
            return np.asarray(outputs.argmax(axis=1))
        place = self.threshold.place
        return np.where(outputs[:, place] >= self.threshold.value, place, 1 - place)

    def place(self, name: str) -> int:
        """Return the position of a class.

        Raises:
            KeyError: There is no class with this name.
        """
        if name not in self.classes:
            raise KeyError(name)
        return self.classes.index(name)


MOST_PROBABLE = Labels()


class Given(NamedTuple):
    """Outputs, (n_rows, k) probabilities or (n_rows,) values, and the rules for their labels."""

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
    """Return the threshold with the least cost, or with the highest recall at a precision.

    Candidates are halfway between neighbouring probabilities, so that small changes of a
    probability do not change a label. Of equally good ones, the nearest to 0.5 is used.

    Args:
        truth: (n_rows,) positions of the classes; validation rows, not rows that metrics report.
        outputs: (n_rows, 2) probabilities.
        place: Position of the positive class, 0 or 1.
        false_positive: Cost of a false positive.
        false_negative: Cost of a false negative.
        precision: Required precision in (0, 1); the costs are ignored if it is set. If no threshold
            reaches it, the one with the highest precision is used.
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
