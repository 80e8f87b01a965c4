"""Test metrics by name, each with a 95 % interval."""

from __future__ import annotations

import math
import re
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
"""Rows up to which means have a bootstrap interval (BCa), and not a normal one."""

SMOOTH = 10_000
"""Rows up to which roots and ratios of means have one."""

LARGE = 100_000
"""Rows above which nothing is drawn row by row."""


@dataclass(frozen=True)
class Metric:
    """A value on the test rows and its 95 % interval, None and None where none is known.

    Attributes:
        value: NaN where the metric is undefined on these rows.
        why: it is undefined; empty where it is defined.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    why: str = ""

    @property
    def shown(self) -> str:
        """The value in words, without its interval."""
        return f"undefined: {self.why}" if self.why else number(self.value)

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return self.shown
        return f"{number(self.value)} [{number(self.low)}, {number(self.high)}]"


@dataclass(frozen=True)
class MetricDifference:
    """How far a model's value is above another's on the same rows, and its 95 % interval.

    Attributes:
        p: two-sided p-value that they are equal; like the interval None where none is known.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    p: float | None


def lower_is_better(name: str) -> bool:
    return metric_parts(name)[0] in LOWER_IS_BETTER


def logged(name: str) -> str:
    """A metric's name with such letters alone as MLflow takes: `recall:<=50K` is `recall:__50K`."""
    return re.sub(r"[^\w.\- :]", "_", name)


def score(name: str, truth: Array, outputs: Array, labels: Labels = MOST_PROBABLE) -> float:
    """One metric; NaN where it is undefined on these rows.

    Args:
        name: as in an experiment file.
        truth: (n_rows,) classes as places 0 … k−1, or values.
        outputs: (n_rows, k) probabilities, or (n_rows,) predicted values.
        labels: how probabilities are read.
    """
    return statistic(name, truth, outputs, labels)(slice(None))


def statistic(
    name: str, truth: Array, outputs: Array, labels: Labels = MOST_PROBABLE
) -> Callable[[Any], float]:
    """A metric of any of the rows, by their places (m,) int64, for those who ask many times.

    What a row adds is computed once: its loss, or its cell of the confusion matrix.
    """
    kind, _ = metric_parts(name)
    if parts.is_of_counts(kind, name):
        k = outputs.shape[1]
        of, cells = parts.of_counts(name, labels), parts.cells_of(truth, labels.of(outputs), k)
        return lambda rows: float(of(*parts.by_class(parts.table_of(cells[rows], k))))
    if kind in parts.ROWS:
        added, of_means = parts.rows_of(name, truth, outputs)
        return lambda rows: float(of_means(added[rows].mean(axis=0))) + 0.0  # never a minus zero
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
    """One metric with its interval.

    - accuracy, top-N accuracy, recall and precision of one class: Wilson 1927
    - F1, kappa, MCC, balanced accuracy and other functions of counts: BCa (Efron 1987), drawn as
      multinomial counts of confusion cells
    - ROC AUC of two classes or of one: Newcombe 2006, method 5; the mean of several, and average
      precision: normal on log odds (Pepe 2003), with DeLong's variance and the infinitesimal
      jackknife's
    - log loss, Brier, MAE, MAPE, quantile loss: BCa up to 2,000 rows, normal above
    - RMSE, R², calibration error: BCa up to 10,000 rows, above normal with the jackknife's
      variance (Efron & Stein 1981). They cover less than they say: that of RMSE 0.89 with 88
      rows, that of the calibration error, whose bins are not drawn anew, 0.85 with 300
    - median error: order statistics (Conover 1999); largest error: none

    Args:
        name: as in `score`, like what follows.
        group: (n_rows,), equal where rows belong together: whole groups are drawn then, or summed
            (Obuchowski 1997).
        level: of the interval.
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
        return intervals.logit_normal(area, _deviation(moves, group), level)
    if kind in parts.OF_ERRORS:
        is_median = kind == "median_error" and group is None
        errors = np.abs(truth - outputs)
        return intervals.order_statistics(errors, level) if is_median else intervals.NONE
    sums = parts.summed(name, truth, [Given(outputs, labels)], group)
    if _are_many(kind, sums):
        return intervals.normal(sums.value, intervals.jackknifed(sums), level)
    return intervals.bca(sums, level=level)


def _are_many(kind: str, sums: intervals.Sums) -> bool:
    """Whether means of so many units have a normal interval."""
    return kind in parts.ROWS and len(sums.counts) > (SMALL if kind in parts.LINEAR else SMOOTH)


def measure_difference(
    name: str, truth: Array, mine: Given, theirs: Given, group: Array | None = None
) -> MetricDifference:
    """A model's metric minus another's on the same rows, with its interval and p-value.

    - accuracy: Tango's score interval (Tango 1998) and twice McNemar's one-sided mid-p
    - ROC AUC and average precision: normal, with the variance of the difference (DeLong, DeLong &
      Clarke-Pearson 1988)
    - log loss, Brier, MAE, MAPE, quantile loss above 2,000 rows: paired z; other means and
      functions of counts: the intervals of `measure` with the same draws for both, and twice the
      smaller share of draws without a gain or a loss; RMSE and R² above 10,000 rows: the
      jackknife's normal interval. The p-value of the Brier score is the z-test's at any size
    - median and largest error: percentiles of paired draws; none above 100,000 rows

    Args:
        name: as in `score`.
        truth: (n_rows,) as in `score`.
        mine: outputs of the model.
        theirs: of the one that it is compared with.
        group: as in `measure`.
    """
    pair = [mine, theirs]
    value = score(name, truth, *pair[0]) - score(name, truth, *pair[1])
    kind, n = metric_parts(name)[0], len(truth)
    if name == "accuracy" and group is None:
        gained, lost = _only_right(truth, *pair)
        p = min(mcnemar_mid_p(gained, lost), mcnemar_mid_p(lost, gained))
        return MetricDifference(name, value, *tango(gained, lost, n), min(2 * p, 1.0))
    if n < 2 or math.isnan(value):
        return MetricDifference(name, value, None, None, None)
    if kind in parts.RANKS:
        moves = [parts.ranked_by(name, truth, *one)[1] for one in pair]
        return _by_z(name, value, _deviation(moves[0] - moves[1], group))
    if kind in parts.OF_ERRORS:
        if n > LARGE or group is not None:
            return MetricDifference(name, value, None, None, None)
        first, second = (statistic(name, truth, *one) for one in pair)
        rng = np.random.default_rng(0)
        rows = (rng.integers(0, n, n) for _ in range(intervals.DRAWS))
        gains = np.array([first(drawn) - second(drawn) for drawn in rows])
        low, high = np.quantile(gains, [(1 - intervals.LEVEL) / 2, (1 + intervals.LEVEL) / 2])
        return MetricDifference(name, value, float(low), float(high), _two_sided(gains))
    sums = parts.summed(name, truth, pair, group)
    if _are_many(kind, sums):
        return _by_z(name, value, intervals.jackknifed(sums))
    drawn = sums.draws()
    p = _two_sided(drawn)
    if name == "brier" and group is None:
        added = [parts.rows_of(name, truth, one.outputs)[0] for one in pair]
        p = min(2 * mean_p((added[0] - added[1])[:, 0] * np.sign(value)), 1.0)
    return MetricDifference(name, value, *intervals.bca(sums, drawn), p)


def _by_z(name: str, value: float, deviation: float) -> MetricDifference:
    from scipy.special import ndtr

    p = 2 * float(ndtr(-abs(value) / deviation)) if deviation > 0 else 1.0
    return MetricDifference(name, value, *intervals.normal(value, deviation), p)


def _two_sided(gains: Array) -> float:
    """Twice the smaller share of draws without a gain or without a loss."""
    without = min((~(gains > 0)).sum(), (~(gains < 0)).sum())
    return min(2 * (float(without) + 1) / (len(gains) + 1), 1.0)


def _deviation(moves: Array, group: Array | None) -> float:
    """Of a statistic, by how far each row moves it, or each group (Obuchowski 1997)."""
    if group is None:
        return float(np.sqrt((moves**2).sum()))
    _, place = np.unique(group, return_inverse=True)
    by_group = np.bincount(place, moves)
    count = len(by_group)
    return float(np.sqrt(count / max(count - 1, 1) * (by_group**2).sum()))


def tango(gained: int, lost: int, n: int) -> tuple[float, float]:
    """The score interval of a difference of paired shares, at 95 % (Tango 1998).

    Args:
        gained: rows that only the first of both gets right.
        lost: rows that only the other one gets right.
        n: all rows.
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
    """How many deviations paired shares differ by more than `at`, with the likeliest shares for it.

    Numbers, or arrays of them; the arguments are those of `tango`.
    """
    b = (2 * n - gained + lost) * at - gained - lost
    q = (np.sqrt(np.maximum(b * b + 8 * n * lost * at * (1 - at), 0.0)) - b) / (4 * n)
    variance = n * (2 * q + at * (1 - at))
    beyond = gained - lost - n * at
    return np.where(variance > 0, beyond / np.sqrt(np.where(variance > 0, variance, 1.0)), 0.0)


def holm(p: Sequence[float | None]) -> tuple[float | None, ...]:
    """p-values of several questions, so that a false answer among all is as rare (Holm 1979)."""
    known = sorted((value, place) for place, value in enumerate(p) if value is not None)
    adjusted: list[float | None] = [None] * len(p)
    least = 0.0
    for rank, (value, place) in enumerate(known):
        least = max(least, min(1.0, (len(known) - rank) * value))
        adjusted[place] = least
    return tuple(adjusted)


def mcnemar_mid_p(gained: Any, lost: Any) -> Any:
    """One-sided McNemar mid-p value that the candidate is better (Fagerland, Lydersen, Laake 2013).

    Args:
        gained: rows that only the candidate gets right; numbers or arrays of them.
        lost: rows that only the champion gets right.
    """
    from scipy.stats import binom

    n = np.add(gained, lost)
    p = binom.sf(np.subtract(gained, 1), n, 0.5) - 0.5 * binom.pmf(gained, n, 0.5)
    return np.where(n > 0, p, 1.0)[()]


def mean_p(gains: Array) -> float:
    """One-sided p-value of the z-test that the mean of rows' gains, (n_rows,), is above 0."""
    from scipy.stats import norm

    if len(gains) < 2 or not (spread := float(gains.std(ddof=1))):
        return 0.0 if len(gains) > 1 and gains.mean() > 0 else 1.0
    return float(norm.sf(gains.mean() / spread * math.sqrt(len(gains))))


def row_losses(
    name: str, truth: Array, outputs: Array, labels: Labels = MOST_PROBABLE
) -> Array | None:
    """(n_rows,) what each row adds to a mean; None of a metric that is no mean of rows."""
    if name == "accuracy":
        return np.asarray(labels.of(outputs) == truth)
    is_mean = metric_parts(name)[0] in parts.LINEAR
    return parts.rows_of(name, truth, outputs)[0][:, 0] if is_mean else None


def _only_right(truth: Array, one: Given, other: Given) -> tuple[int, int]:
    """How many rows only the first gets right, and how many only the other one."""
    first, second = (labels.of(outputs) == truth for outputs, labels in (one, other))
    return int((first & ~second).sum()), int((second & ~first).sum())


def measure_all(
    names: Sequence[str], truth: Array, given: Given, group: Array | None = None
) -> tuple[Metric, ...]:
    return tuple(measure(name, truth, *given, group) for name in names)
