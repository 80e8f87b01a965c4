"""Test metrics by name, each with a 95 % interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gristmill.pipelines.config import LOWER_IS_BETTER, metric_parts
from gristmill.pipelines.evaluation.labels import MOST_PROBABLE, Array, Given, Labels
from gristmill.pipelines.evaluation.metrics import intervals
from gristmill.pipelines.evaluation.metrics import sufficient_statistics as parts
from gristmill.pipelines.reporting import number

SMALL = 2_000
"""Most rows for which a mean has a bootstrap interval (BCa) instead of a normal one."""

SMOOTH = 10_000
"""Most rows for which a root or ratio of means has a bootstrap interval."""

LARGE = 100_000
"""Most rows that are drawn one by one."""


@dataclass(frozen=True)
class Metric:
    """A value on the test rows and its 95 % interval, None and None if unknown.

    Attributes:
        value: Value, NaN if the metric is undefined on these rows.
        why: Reason why the metric is undefined; empty if it is defined.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    why: str = ""

    @property
    def shown(self) -> str:
        """The value as text, without its interval."""
        return f"undefined: {self.why}" if self.why else number(self.value)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return self.shown
        return f"{number(self.value)} [{number(self.low)}, {number(self.high)}]"


def lower_is_better(name: str) -> bool:
    return metric_parts(name)[0] in LOWER_IS_BETTER


def score(name: str, truth: Array, outputs: Array, labels: Labels = MOST_PROBABLE) -> float:
    """Return the value of a metric; NaN if it is undefined on these rows.

    Args:
        name: Name as in an experiment file.
        truth: (n_rows,) classes as positions 0 … k−1, or values.
        outputs: (n_rows, k) probabilities, or (n_rows,) predicted values.
        labels: Rules that turn probabilities into labels.
    """
    return statistic(name, truth, outputs, labels)(slice(None))


def statistic(
    name: str, truth: Array, outputs: Array, labels: Labels = MOST_PROBABLE
) -> Callable[[Any], float]:
    """Return a function that computes a metric of some rows, by their positions, (m,) int64.

    For repeated calls: each row's loss or cell of the confusion matrix is computed only once.

    Args:
        name: As in `score`, like the other arguments.
        truth: (n_rows,) classes as positions, or values.
        outputs: (n_rows, k) probabilities, or (n_rows,) values.
        labels: Rules that turn probabilities into labels.
    """
    kind, _ = metric_parts(name)
    if parts.is_of_counts(kind, name):
        k = outputs.shape[1]
        of, cells = parts.of_counts(name, labels), parts.cells_of(truth, labels.of(outputs), k)
        return lambda rows: float(of(*parts.by_class(parts.table_of(cells[rows], k))))
    if kind in parts.ROWS:
        added, of_means = parts.rows_of(name, truth, outputs)
        return lambda rows: float(of_means(added[rows].mean(axis=0))) + 0.0  # turns -0.0 into 0.0
    if kind in parts.RANKS:
        return lambda rows: parts.ranked_by(name, truth[rows], outputs[rows], labels)[0]
    errors = np.abs(truth - outputs)
    return lambda rows: float(parts.OF_ERRORS[kind](errors[rows]))


def measure(
    name: str,
    truth: Array,
    outputs: Array,
    labels: Labels = MOST_PROBABLE,
    group: Array | None = None,
    level: float = intervals.LEVEL,
) -> Metric:
    """Return a metric with its interval.

    - accuracy, top-N accuracy, recall and precision of one class: Wilson 1927
    - F1, kappa, MCC, balanced accuracy and other functions of counts: BCa (Efron 1987), drawn as
      multinomial counts of confusion cells
    - ROC AUC of two classes or of one: Newcombe 2006, method 5; the mean of several, and average
      precision: normal on log odds (Pepe 2003), with DeLong's variance and the infinitesimal
      jackknife's
    - log loss, Brier, MAE, MAPE, quantile loss: BCa up to 2,000 rows, normal above
    - RMSE, R², calibration error: BCa up to 10,000 rows, above normal with the jackknife's
      variance (Efron & Stein 1981). Their coverage is below 0.95: 0.89 for RMSE with 88 rows, 0.85
      for the calibration error with 300, since its bins stay the same in all draws
    - median error: order statistics (Conover 1999); largest error: none

    Args:
        name: As in `score`, like `truth`, `outputs` and `labels`.
        truth: (n_rows,) classes as positions, or values.
        outputs: (n_rows, k) probabilities, or (n_rows,) values.
        labels: Rules that turn probabilities into labels.
        group: (n_rows,), equal for rows of one group: whole groups are drawn, or summed (Obuchowski
            1997). None if the rows are independent.
        level: Confidence level of the interval, in (0, 1).
    """
    value = score(name, truth, outputs, labels)
    if math.isnan(value):
        return Metric(name, value, None, None, parts.why_undefined(name, truth, outputs, labels))
    return Metric(name, value, *_interval(name, truth, outputs, labels, group, level))


def _interval(
    name: str, truth: Array, outputs: Array, labels: Labels, group: Array | None, level: float
) -> intervals.Ends:
    kind, filled = metric_parts(name)
    if group is None and (share := parts.share_of(name, truth, outputs, labels)) is not None:
        return intervals.wilson(*share, level)
    if len(truth) < 2:
        return intervals.NONE
    if kind in parts.RANKS:
        area, moves = parts.ranked_by(name, truth, outputs, labels)
        if kind == "roc_auc" and group is None and (filled or outputs.shape[1] == 2):
            positive = int((truth == (labels.place(filled) if filled else 1)).sum())
            return intervals.newcombe(area, positive, len(truth) - positive, level)
        return intervals.logit_normal(area, deviation_of(moves, group), level)
    if kind in parts.OF_ERRORS:
        is_median = kind == "median_error" and group is None
        errors = np.abs(truth - outputs)
        return intervals.order_statistics(errors, level) if is_median else intervals.NONE
    sums = parts.summed(name, truth, [Given(outputs, labels)], group)
    if are_many(kind, sums):
        return intervals.normal(sums.value, intervals.jackknifed(sums), level)
    return intervals.bca(sums, level=level)


def are_many(kind: str, sums: intervals.Sums) -> bool:
    """Return whether there are enough units for a normal interval of a mean.

    Args:
        kind: Kind of metric.
        sums: The metric as a statistic of sums.
    """
    return kind in parts.ROWS and len(sums.counts) > (SMALL if kind in parts.LINEAR else SMOOTH)


def deviation_of(moves: Array, group: Array | None) -> float:
    """Return the standard deviation from the influence of each row or group (Obuchowski 1997).

    Args:
        moves: (n_rows,) influences, whose squares sum to the variance of independent rows.
        group: (n_rows,), equal for rows of one group; None if the rows are independent.
    """
    if group is None:
        return float(np.sqrt((moves**2).sum()))
    _, place = np.unique(group, return_inverse=True)
    by_group = np.bincount(place, moves)
    count = len(by_group)
    return float(np.sqrt(count / max(count - 1, 1) * (by_group**2).sum()))


def tango(gained: int, lost: int, n: int) -> tuple[float, float]:
    """Return the 95 % score interval of a difference of paired shares (Tango 1998).

    Args:
        gained: Number of rows that only the first model gets right.
        lost: Number of rows that only the other model gets right.
        n: Number of all rows.

    Examples:
        >>> [round(end, 3) for end in tango(8, 2, 100)]
        [-0.002, 0.134]
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    limit = float(norm.ppf((1 + intervals.LEVEL) / 2))
    found, edge = (gained - lost) / n, 1 - 1e-12

    def beyond(at: float) -> float:
        return float(tango_z(gained, lost, n, at))

    low = brentq(lambda at: beyond(at) - limit, -edge, found) if found > -edge else -1.0
    high = brentq(lambda at: beyond(at) + limit, found, edge) if found < edge else 1.0
    return float(low), float(high)


def tango_z(gained: Any, lost: Any, n: Any, at: float) -> Any:
    """Return Tango's score statistic of the hypothesis that paired shares differ by `at`.

    Args:
        gained: Rows that only the first model gets right, a number or an array.
        lost: Rows that only the other model gets right.
        n: All rows.
        at: Difference of the hypothesis, in (-1, 1).
    """
    b = (2 * n - gained + lost) * at - gained - lost
    q = (np.sqrt(np.maximum(b * b + 8 * n * lost * at * (1 - at), 0.0)) - b) / (4 * n)
    variance = n * (2 * q + at * (1 - at))
    beyond = gained - lost - n * at
    return np.where(variance > 0, beyond / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.0)


def holm(p: Sequence[float | None]) -> tuple[float | None, ...]:
    """Adjust p-values for multiple testing (Holm 1979); None stays None.

    Examples:
        >>> holm([0.01, None, 0.04])
        (0.02, None, 0.04)
    """
    known = sorted((value, place) for place, value in enumerate(p) if value is not None)
    adjusted: list[float | None] = [None] * len(p)
    least = 0.0
    for rank, (value, place) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * value))
        adjusted[place] = least
    return tuple(adjusted)


def mcnemar_mid_p(gained: Any, lost: Any) -> Any:
    """Return McNemar's one-sided mid-p that the candidate is better (Fagerland et al. 2013).

    Args:
        gained: Rows that only the candidate gets right, a number or an array.
        lost: Rows that only the champion gets right.
    """
    from scipy.stats import binom

    n = np.add(gained, lost)
    p = binom.sf(np.subtract(gained, 1), n, 0.5) - 0.5 * binom.pmf(gained, n, 0.5)
    return np.where(n > 0, p, 1.0)[()]


def mean_p(gains: Array) -> float:
    """Return the one-sided p-value of a z-test that the mean gain of rows, (n_rows,), exceeds 0."""
    from scipy.stats import norm

    if len(gains) < 2 or not (spread := float(gains.std(ddof=1))):
        return 0.0 if len(gains) > 1 and gains.mean() > 0 else 1.0
    return float(norm.sf(gains.mean() / spread * math.sqrt(len(gains))))


def row_losses(
    name: str, truth: Array, outputs: Array, labels: Labels = MOST_PROBABLE
) -> Array | None:
    """Return each row's contribution, (n_rows,); None if the metric is not a mean of rows.

    Args:
        name: As in `score`, like the other arguments.
        truth: (n_rows,) classes as positions, or values.
        outputs: (n_rows, k) probabilities, or (n_rows,) values.
        labels: Rules that turn probabilities into labels.
    """
    if name == "accuracy":
        return np.asarray(labels.of(outputs) == truth)
    is_mean = metric_parts(name)[0] in parts.LINEAR
    return parts.rows_of(name, truth, outputs)[0][:, 0] if is_mean else None


def measure_all(
    names: Sequence[str], truth: Array, given: Given, group: Array | None = None
) -> tuple[Metric, ...]:
    """Return several metrics with their intervals.

    Args:
        names: Names as in an experiment file.
        truth: (n_rows,) classes as positions, or values.
        given: Outputs and the rules for their labels.
        group: (n_rows,) groups of dependent rows; None if rows are independent.
    """
    return tuple(measure(name, truth, *given, group) for name in names)
