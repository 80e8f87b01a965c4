"""Test metrics by name, each with a 95 % interval."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.config.names import LOWER_IS_BETTER

LEVEL = 0.95
DRAWS = 2000
"""Bootstrap draws of an interval."""

SMALL = 2_000
"""Rows up to which the bootstrap is corrected for bias and skewness (BCa)."""

LARGE = 100_000
"""Rows above which only closed forms are computed."""

SMALLEST_PROBABILITY = 1e-15

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Metric:
    """A value on the test rows and its 95 % interval, None and None where none is known."""

    name: str
    value: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.4g}"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


@dataclass(frozen=True)
class Difference:
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
    return name in LOWER_IS_BETTER


def score(name: str, truth: Array, outputs: Array) -> float:
    """One metric.

    Args:
        name: of `CLASSIFICATION_METRICS` or `REGRESSION_METRICS`.
        truth: (n_rows,) classes as places 0 … k−1, or values.
        outputs: (n_rows, k) probabilities, or (n_rows,) predicted values.
    """
    return statistic(name, truth, outputs)(slice(None))


def statistic(name: str, truth: Array, outputs: Array) -> Callable[[Any], float]:
    """A metric of any of the rows, by their places (m,) int64, for those who ask many times.

    What a row adds is computed once: its loss, or its cell of the confusion matrix.
    """
    if name in _OF_TABLE:
        k = outputs.shape[1]
        cells = _cells(truth, outputs)
        return lambda rows: float(_OF_TABLE[name](_table(cells[rows], k)))
    if name in _LOSSES:
        losses = _LOSSES[name](truth, outputs)
        root = math.sqrt if name == "rmse" else float
        return lambda rows: root(losses[rows].mean()) + 0.0  # never a minus zero
    return lambda rows: float(_OF_VALUES[name](truth[rows], outputs[rows]))


def measure(name: str, truth: Array, outputs: Array) -> Metric:
    """One metric with its interval.

    Accuracy: Wilson's interval (Wilson 1927). All else: bootstrap of the rows, BCa (Efron 1987) up
    to 2,000 rows and percentiles above; none above 100,000 rows.
    """
    value = score(name, truth, outputs)
    if name == "accuracy":
        low, high = wilson(round(value * len(truth)), len(truth))
        return Metric(name, value, low, high)
    if len(truth) > LARGE or len(truth) < 2:
        return Metric(name, value, None, None)
    drawn = _bootstrapped(statistic(name, truth, outputs), len(truth))
    return Metric(name, value, *drawn[:2])


def measure_difference(name: str, truth: Array, outputs: Array, other: Array) -> Difference:
    """A model's metric minus another's on the same rows, with its interval and p-value.

    Accuracy: Tango's score interval (Tango 1998) and twice McNemar's one-sided mid-p. All else: the
    bootstrap of `measure` with the same draws for both, and twice the smaller share of draws
    without a gain or a loss; neither above 100,000 rows. The p-value of the Brier score is the
    z-test's.

    Args:
        name: as in `score`.
        truth: (n_rows,) as in `score`.
        outputs: of the model.
        other: of the one that it is compared with.
    """
    mine, theirs = (statistic(name, truth, given) for given in (outputs, other))
    value, n = mine(slice(None)) - theirs(slice(None)), len(truth)
    if name == "accuracy":
        gained, lost = _only_right(truth, outputs, other)
        p = float(min(mcnemar_mid_p(gained, lost), mcnemar_mid_p(lost, gained)))
        return Difference(name, value, *tango(gained, lost, n), min(2 * p, 1.0))
    if n > LARGE or n < 2:
        return Difference(name, value, None, None, None)
    low, high, gains = _bootstrapped(lambda rows: mine(rows) - theirs(rows), n)
    p = min((without + 1) / (DRAWS + 1) for without in ((~(gains > 0)).sum(), (~(gains < 0)).sum()))
    if name == "brier":
        apart = _briers(truth, outputs) - _briers(truth, other)
        p = min(mean_p(apart), mean_p(-apart))
    return Difference(name, value, low, high, min(2 * float(p), 1.0))


def _bootstrapped(
    of: Callable[[Array], float], n: int
) -> tuple[float | None, float | None, npt.NDArray[np.float64]]:
    """The 95 % interval of a statistic of rows, None and None where it has none; and its draws."""
    from scipy.stats import DegenerateDataWarning, bootstrap

    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        # of a perfect model all draws are the same: it has no such interval, as NaN says
        warnings.simplefilter("ignore", DegenerateDataWarning)
        drawn = bootstrap(
            (np.arange(n),),
            of,
            n_resamples=DRAWS,
            vectorized=False,
            confidence_level=LEVEL,
            method="BCa" if n <= SMALL else "percentile",
            rng=np.random.default_rng(0),
        )
    low, high = drawn.confidence_interval
    if not np.isfinite([low, high]).all():
        return None, None, drawn.bootstrap_distribution
    return float(low), float(high), drawn.bootstrap_distribution


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share, at 95 %."""
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(confidence_level=LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def tango(gained: int, lost: int, n: int) -> tuple[float, float]:
    """The score interval of a difference of paired shares, at 95 % (Tango 1998).

    Args:
        gained: rows that only the first of both gets right.
        lost: rows that only the other one gets right.
        n: all rows.
    """
    from scipy.optimize import brentq
    from scipy.stats import norm

    limit = float(norm.ppf((1 + LEVEL) / 2))
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


def row_losses(name: str, truth: Array, outputs: Array) -> Array | None:
    """(n_rows,) what each row adds to a mean; None of a metric that is no mean of rows."""
    return _LOSSES[name](truth, outputs) if name in _LOSSES and name != "rmse" else None


def _only_right(truth: Array, outputs: Array, other: Array) -> tuple[int, int]:
    """How many rows only the first gets right, and how many only the other one."""
    first, second = (given.argmax(axis=1) == truth for given in (outputs, other))
    return int((first & ~second).sum()), int((second & ~first).sum())


def confusion(truth: Array, outputs: Array) -> npt.NDArray[np.int64]:
    """(k, k) counts: truth by row, prediction by column."""
    return _table(_cells(truth, outputs), outputs.shape[1])


def _cells(truth: Array, outputs: Array) -> npt.NDArray[np.int64]:
    return np.asarray(truth.astype(np.int64) * outputs.shape[1] + outputs.argmax(axis=1))


def _table(cells: npt.NDArray[np.int64], k: int) -> npt.NDArray[np.int64]:
    return np.bincount(cells, minlength=k * k).reshape(k, k)


def _recalls_mean(table: Array) -> float:
    rows = table.sum(axis=1)
    return float((np.diag(table)[rows > 0] / rows[rows > 0]).mean())


def _precision_macro(table: Array) -> float:
    seen = (table.sum(axis=0) + table.sum(axis=1)) > 0
    predicted = table.sum(axis=0)[seen]
    return float((np.diag(table)[seen] / np.maximum(predicted, 1)).mean())


def _f1_macro(table: Array) -> float:
    both = table.sum(axis=0) + table.sum(axis=1)
    return float((2 * np.diag(table)[both > 0] / both[both > 0]).mean())


def _log_losses(truth: Array, outputs: Array) -> Array:
    right = outputs[np.arange(len(truth)), truth.astype(np.int64)]
    return np.asarray(-np.log(np.clip(right, SMALLEST_PROBABILITY, 1)))


def _briers(truth: Array, outputs: Array) -> Array:
    exact = np.eye(outputs.shape[1])[truth.astype(np.int64)]
    return np.asarray(((outputs - exact) ** 2).sum(axis=1))


def _r2(truth: Array, outputs: Array) -> float:
    spread = ((truth - truth.mean()) ** 2).sum()
    return float(1 - ((truth - outputs) ** 2).sum() / spread) if spread > 0 else float("nan")


_LOSSES: dict[str, Callable[[Array, Array], Array]] = {
    "accuracy": lambda t, o: o.argmax(axis=1) == t,
    "log_loss": _log_losses,
    "brier": _briers,
    "mae": lambda t, o: np.abs(t - o),
    "rmse": lambda t, o: (t - o) ** 2,
}
"""What each row adds to a mean, (n_rows,)."""

_OF_TABLE: dict[str, Callable[[Array], float]] = {
    "balanced_accuracy": _recalls_mean,
    "recall_macro": _recalls_mean,
    "precision_macro": _precision_macro,
    "f1_macro": _f1_macro,
}
"""Functions of the confusion matrix."""

_OF_VALUES: dict[str, Callable[[Array, Array], float]] = {
    "r2": _r2,
    "median_error": lambda t, o: float(np.median(np.abs(t - o))),
}


def measure_all(names: Sequence[str], truth: Array, outputs: Array) -> tuple[Metric, ...]:
    return tuple(measure(name, truth, outputs) for name in names)
