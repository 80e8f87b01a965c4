"""Calibration: whether 80 % of the rows with a probability of 0.8 are positive."""

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
    """Rows with similar probabilities.

    Attributes:
        confidence: Mean probability.
        share: Observed share, with Wilson's 95 % interval from `low` to `high`.
        rows: Number of rows.
    """

    confidence: float
    share: float
    low: float
    high: float
    rows: int


@dataclass(frozen=True)
class Calibration:
    """Probabilities against observed shares, in ten bins of equally many rows.

    Attributes:
        of: Class of the probabilities, the second of two classes; empty for the most probable class
            of more.
        ece: Expected calibration error: the mean gap between probability and share, weighted by
            rows. It is above 0 even for a perfect model, and more so with fewer rows.
        bins: Bins by increasing probability; empty ones are left out.
    """

    of: str
    ece: Metric
    bins: tuple[CalibrationBin, ...]


def calibrate(predictions: Predictions, group: Any = None) -> Calibration | None:
    """Return the calibration; None for regression and if every probability is 0 or 1."""
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
