"""Whether a model does worse on new rows than it did on its test rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gristmill.pipelines.evaluation.metrics import Metric, lower_is_better, measure_all
from gristmill.pipelines.evaluation.predictions import Predictions

POINT = 0.01
"""Of a score whose best value is 1: a loss of less is of no interest, as at the gate."""

TENTH = 0.1
"""Of an error: a growth by less than this share of it is of no interest."""

LEVEL = 0.01
"""Chance of one false alarm or more among all metrics together."""

MOST = 20_000
"""Rows that metrics are taken of: there, chance moves a share by 0.7 points at most."""


@dataclass(frozen=True)
class MetricChange:
    """A metric on the test rows and on new ones.

    Attributes:
        test: on the test rows, with its 95 % interval.
        now: on the new rows, with its 95 % interval.
        worse: by how much it is worse now, in the metric's own unit; negative where it is better.
        matters: the loss from which on it is of interest.
        p: one-sided, that it is no worse; None where an interval is not known.
        level: the p-value from which on it is more than chance.
    """

    test: Metric
    now: Metric
    worse: float
    matters: float
    p: float | None
    level: float

    @property
    def declined(self) -> bool:
        return self.p is not None and self.p < self.level and self.worse >= self.matters


def decline(names: Sequence[str], test: Predictions, new: Predictions) -> tuple[MetricChange, ...]:
    """Each metric on new rows against the same on the test rows.

    A metric has declined where the effect matters *and* chance does not explain it. The effect: a
    loss of a point or more (0.01) of a score whose best value is 1, or growth of an error by a
    tenth or more. Chance: a one-sided p-value below 1 % over the number of metrics (Bonferroni), of
    the difference of two independent samples. Its deviation comes from the two 95 % intervals, by
    the distances from each value to that end of its interval which faces the other one (Zou,
    Donner: Construction of confidence limits about effect measures, 2008; for shares with Wilson's
    intervals this is Newcombe's hybrid score method, 1998). So it holds for every metric that has
    an interval; for accuracy alone the size is 0.4 to 1.6 % with 10 to 400 new rows.

    Args:
        names: of metrics.
        test: what the model said of its test rows; those that were seen in training do not count.
        new: what it said of new rows, with their truth.
    """
    then, now = (measured(names, given) for given in (test.unseen(), new))
    level = LEVEL / max(len(names), 1)
    return tuple(_change(*pair, level) for pair in zip(then, now, strict=True))


def measured(names: Sequence[str], given: Predictions) -> tuple[Metric, ...]:
    """Metrics of at most `MOST` of the rows, drawn at random."""
    if len(given.truth) > MOST:
        drawn = np.random.default_rng(0).choice(len(given.truth), MOST, replace=False)
        given = given.rows(np.sort(drawn))
    return measure_all(names, given.truth, given.given)


def _change(test: Metric, now: Metric, level: float) -> MetricChange:
    lower = lower_is_better(test.name)
    worse = now.value - test.value if lower else test.value - now.value
    matters = TENTH * abs(test.value) if lower else POINT
    return MetricChange(test, now, worse, matters, _p(test, now, worse, lower), level)


def _p(test: Metric, now: Metric, worse: float, lower: bool) -> float | None:
    from scipy.stats import norm

    ends = (test.high, now.low) if lower else (test.low, now.high)
    both = zip(ends, (test.value, now.value), strict=True)
    distances = [abs(end - value) for end, value in both if end is not None]
    deviation = math.hypot(*distances) / float(norm.isf(0.025))
    if len(distances) < 2 or not math.isfinite(deviation):
        return None
    return float(norm.sf(worse / deviation)) if deviation > 0 else float(worse <= 0)
