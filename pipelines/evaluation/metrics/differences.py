"""Difference of two models on the same rows: value, 95 % interval, p-value."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gristmill.pipelines.config import metric_parts
from gristmill.pipelines.evaluation.labels import Array, Given
from gristmill.pipelines.evaluation.metrics import intervals, measures
from gristmill.pipelines.evaluation.metrics import sufficient_statistics as parts
from gristmill.pipelines.evaluation.metrics.paired import Pair


@dataclass(frozen=True)
class MetricDifference:
    """A model's value minus another's on the same rows, and its 95 % interval.

    Attributes:
        p: Two-sided p-value that they are equal; None if unknown, like the interval.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    p: float | None


def measure_difference(
    name: str, truth: Array, mine: Given, theirs: Given, group: Array | None = None
) -> MetricDifference:
    """Return a model's metric minus another's on the same rows, with interval and p-value.

    The p-value is twice the gate's, see `Pair.better`. The interval:

    - accuracy: Tango's score interval (Tango 1998)
    - ROC AUC and average precision: normal, with the variance of the difference (DeLong, DeLong &
      Clarke-Pearson 1988)
    - means and functions of counts: the intervals of `measure` with the same draws for both; RMSE
      and R² above 10,000 rows: the jackknife's normal interval
    - median and largest error: percentiles of paired draws; none above 100,000 rows

    Args:
        name: As in `score`.
        truth: (n_rows,) as in `score`.
        mine: Outputs of the model.
        theirs: Outputs of the other model.
        group: As in `measure`.
    """
    pair = Pair(name, truth, mine, theirs, group)
    value = pair.values[0] - pair.values[1]
    if math.isnan(value) or (len(truth) < 2 and name != "accuracy"):
        return MetricDifference(name, value, None, None, None)
    p = (pair.better() if pair.gain >= 0 else pair.worse()).p
    return MetricDifference(name, value, *_interval(pair, value), min(2 * p, 1.0))


def _interval(pair: Pair, value: float) -> intervals.Ends:
    name, truth, group, n = pair.metric, pair.truth, pair.group, pair.rows
    kind = metric_parts(name)[0]
    if name == "accuracy" and group is None:
        return measures.tango(*pair.only_right, n)
    if kind in parts.RANKS:
        moves = [parts.ranked_by(name, truth, *one)[1] for one in (pair.mine, pair.theirs)]
        return intervals.normal(value, measures.deviation_of(moves[0] - moves[1], group))
    if kind in parts.OF_ERRORS:
        if n > measures.LARGE or group is not None:
            return intervals.NONE
        first, second = (measures.statistic(name, truth, *o) for o in (pair.mine, pair.theirs))
        rng = np.random.default_rng(0)
        rows = (rng.integers(0, n, n) for _ in range(intervals.DRAWS))
        gains = np.array([first(drawn) - second(drawn) for drawn in rows])
        low, high = np.quantile(gains, [(1 - intervals.LEVEL) / 2, (1 + intervals.LEVEL) / 2])
        return float(low), float(high)
    sums = parts.summed(name, truth, [pair.mine, pair.theirs], group)
    if measures.are_many(kind, sums):
        return intervals.normal(value, intervals.jackknifed(sums))
    return intervals.bca(sums)
