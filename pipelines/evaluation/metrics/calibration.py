"""Whether probabilities are what they say: of rows called 0.8, are 80 % so?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gristmill.pipelines.evaluation.metrics.formulas import bins_of, confidence
from gristmill.pipelines.evaluation.metrics.intervals import wilson
from gristmill.pipelines.evaluation.metrics.measures import Metric, measure
from gristmill.pipelines.evaluation.predictions import Predictions


@dataclass(frozen=True)
class CalibrationBin:
    """Rows of much the same probability.

    Attributes:
        confidence: their mean probability.
        share: of them that are so, with Wilson's 95 % interval from `low` to `high`.
    """

    confidence: float
    share: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Calibration:
    """Probabilities against what came of them, in ten bins of equally many rows.

    Attributes:
        of: the class whose probability it is, of two classes the second; empty where it is that of
            the most probable class.
        ece: the expected calibration error, the mean gap between the two by rows. It is above 0
            for a perfect model, too, the more the fewer rows there are.
    """

    of: str
    ece: Metric
    bins: tuple[CalibrationBin, ...]


def calibrate(predictions: Predictions, group: Any = None) -> Calibration | None:
    """None for values, and for answers that are certain in every row."""
    classes = predictions.classes
    if classes is None or not len(predictions.truth):
        return None
    sure, so = confidence(predictions.truth, predictions.outputs)
    if np.isin(sure, (0.0, 1.0)).all():
        return None
    place = bins_of(sure)
    bins = []
    for number in np.unique(place):
        here = place == number
        hits, rows = int(so[here].sum()), int(here.sum())
        bins.append(
            CalibrationBin(float(sure[here].mean()), hits / rows, *wilson(hits, rows), rows)
        )
    ece = measure("ece", predictions.truth, predictions.outputs, group=group)
    return Calibration(classes[1] if len(classes) == 2 else "", ece, tuple(bins))
