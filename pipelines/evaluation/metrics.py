"""Test metrics by name, each with a 95 % interval."""

from __future__ import annotations

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


def lower_is_better(name: str) -> bool:
    return name in LOWER_IS_BETTER


def score(name: str, truth: Array, outputs: Array) -> float:
    """One metric.

    Args:
        name: of `CLASSIFICATION_METRICS` or `REGRESSION_METRICS`.
        truth: (n_rows,) classes as places 0 … k−1, or values.
        outputs: (n_rows, k) probabilities, or (n_rows,) predicted values.
    """
    return float(_FUNCTIONS[name](truth, outputs))


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
    from scipy.stats import DegenerateDataWarning, bootstrap

    rows = np.arange(len(truth))
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        # of a perfect model all draws are the same: it has no such interval, as NaN says
        warnings.simplefilter("ignore", DegenerateDataWarning)
        drawn = bootstrap(
            (rows,),
            lambda index: score(name, truth[index], outputs[index]),
            n_resamples=DRAWS,
            vectorized=False,
            confidence_level=LEVEL,
            method="BCa" if len(rows) <= SMALL else "percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
    finite = np.isfinite([drawn.low, drawn.high]).all()
    return (
        Metric(name, value, float(drawn.low), float(drawn.high))
        if finite
        else Metric(name, value, None, None)
    )


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's score interval of a share, at 95 %."""
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(confidence_level=LEVEL, method="wilson")
    return float(interval.low), float(interval.high)


def mcnemar_mid_p(gained: int, lost: int) -> float:
    """One-sided McNemar mid-p value that the candidate is better (Fagerland, Lydersen, Laake 2013).

    Args:
        gained: rows that only the candidate gets right.
        lost: rows that only the champion gets right.
    """
    from scipy.stats import binom

    n = gained + lost
    if n == 0:
        return 1.0
    return float(binom.sf(gained - 1, n, 0.5) - 0.5 * binom.pmf(gained, n, 0.5))


def paired_p(name: str, truth: Array, candidate: Array, champion: Array) -> float:
    """One-sided p-value that the candidate is better on the same rows.

    McNemar's mid-p for accuracy; else the share of paired bootstrap draws without a gain.
    """
    if name == "accuracy":
        right, other = (outputs.argmax(axis=1) == truth for outputs in (candidate, champion))
        return mcnemar_mid_p(int((right & ~other).sum()), int((other & ~right).sum()))
    sign = -1.0 if lower_is_better(name) else 1.0
    rng = np.random.default_rng(0)
    n, without = len(truth), 0
    for _ in range(DRAWS):
        rows = rng.integers(0, n, n)
        gain = score(name, truth[rows], candidate[rows]) - score(name, truth[rows], champion[rows])
        without += not sign * gain > 0  # a gain that is no number is none
    return (without + 1) / (DRAWS + 1)


def confusion(truth: Array, outputs: Array) -> npt.NDArray[np.int64]:
    """(k, k) counts: truth by row, prediction by column."""
    k = outputs.shape[1]
    cells = truth.astype(np.int64) * k + outputs.argmax(axis=1)
    return np.bincount(cells, minlength=k * k).reshape(k, k)


def _accuracy(truth: Array, outputs: Array) -> float:
    return float((outputs.argmax(axis=1) == truth).mean())


def _recalls(truth: Array, outputs: Array) -> Array:
    table = confusion(truth, outputs)
    rows = table.sum(axis=1)
    return np.asarray(np.diag(table)[rows > 0] / rows[rows > 0])


def _precision_macro(truth: Array, outputs: Array) -> float:
    table = confusion(truth, outputs)
    seen = (table.sum(axis=0) + table.sum(axis=1)) > 0
    predicted = table.sum(axis=0)[seen]
    return float((np.diag(table)[seen] / np.maximum(predicted, 1)).mean())


def _f1_macro(truth: Array, outputs: Array) -> float:
    table = confusion(truth, outputs)
    both = table.sum(axis=0) + table.sum(axis=1)
    return float((2 * np.diag(table)[both > 0] / both[both > 0]).mean())


def _log_loss(truth: Array, outputs: Array) -> float:
    right = outputs[np.arange(len(truth)), truth.astype(np.int64)]
    losses = -np.log(np.clip(right, SMALLEST_PROBABILITY, 1))
    return float(losses.mean()) + 0.0  # never a minus zero


def _brier(truth: Array, outputs: Array) -> float:
    exact = np.eye(outputs.shape[1])[truth.astype(np.int64)]
    return float(((outputs - exact) ** 2).sum(axis=1).mean())


def _r2(truth: Array, outputs: Array) -> float:
    spread = ((truth - truth.mean()) ** 2).sum()
    return float(1 - ((truth - outputs) ** 2).sum() / spread) if spread > 0 else float("nan")


_FUNCTIONS: dict[str, Callable[[Array, Array], float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": lambda t, o: float(_recalls(t, o).mean()),
    "recall_macro": lambda t, o: float(_recalls(t, o).mean()),
    "precision_macro": _precision_macro,
    "f1_macro": _f1_macro,
    "log_loss": _log_loss,
    "brier": _brier,
    "mae": lambda t, o: float(np.abs(t - o).mean()),
    "rmse": lambda t, o: float(np.sqrt(((t - o) ** 2).mean())),
    "r2": _r2,
    "median_error": lambda t, o: float(np.median(np.abs(t - o))),
}


def measure_all(names: Sequence[str], truth: Array, outputs: Array) -> tuple[Metric, ...]:
    return tuple(measure(name, truth, outputs) for name in names)
