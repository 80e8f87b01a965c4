"""Decline of a model on new rows, compared with its test rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from gristmill.pipelines.config import metric_parts
from gristmill.pipelines.evaluation.metrics import Metric, lower_is_better, measure_all
from gristmill.pipelines.evaluation.predictions import Predictions

POINT = 0.01
"""Smallest relevant loss of a score whose best value is 1, as at the gate."""

TENTH = 0.1
"""Smallest relevant growth of an error, as a share of it."""

LEVEL = 0.01
"""Probability of at least one false alarm among all metrics."""

FEWEST = 30
"""Fewest rows on which a metric other than a share is judged: its interval is too narrow then."""

SHARES = ("accuracy", "top")

MOST = 20_000
"""Most rows that metrics use; with these, chance moves a share by at most 0.7 points."""


@dataclass(frozen=True)
class MetricChange:
    """A metric on the test rows and on new ones.

    Attributes:
        test: Metric on the test rows.
        now: Metric on the new rows.
        worse: Loss in the metric's own unit; negative if the metric improved.
        matters: Smallest relevant loss.
        p: One-sided p-value that there is no loss; None without an interval, or with few rows.
        level: A p-value below this is significant.
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
    """Compare each metric on new rows with its value on the test rows.

    A metric has declined where the effect matters *and* chance does not explain it. The effect: a
    loss of a point or more (0.01) of a score whose best value is 1, or growth of an error by a
    tenth or more. Chance: a one-sided p-value below 1 % over the number of metrics (Bonferroni), of
    the difference of two independent samples. Its deviation comes from the two 95 % intervals, by
    the distance from each value to the end of its interval that faces the other value (Zou,
    Donner: Construction of confidence limits about effect measures, 2008; for shares with Wilson's
    intervals this is Newcombe's hybrid score method, 1998). This works for every metric with an
    interval; for accuracy alone the size is 0.4 to 1.6 % with 10 to 400 new rows. Metrics other
    than shares are not judged on fewer than `FEWEST` rows.

    Args:
        names: Names of metrics.
        test: Predictions of the test rows; rows seen in training are left out.
        new: Predictions of the new rows, with their truth.
    """
    then, now = (measured(names, given) for given in (test.unseen(), new))
    level = LEVEL / max(len(names), 1)
    few = min(len(test.unseen().truth), len(new.truth)) < FEWEST
    found = (_change(*pair, level) for pair in zip(then, now, strict=True))
    return tuple(
        replace(one, p=None) if few and metric_parts(one.now.name)[0] not in SHARES else one
        for one in found
    )


def measured(names: Sequence[str], given: Predictions) -> tuple[Metric, ...]:
    """Return metrics of at most `MOST` rows, drawn at random."""
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
