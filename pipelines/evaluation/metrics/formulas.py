"""Formulas of metrics: from counts of classes, means over rows, and ranks.

Formulas of counts and means work on many samples at once, so that a bootstrap is a few array
operations; they return NaN if the metric is undefined.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from gristmill.pipelines.evaluation.labels import Array
from gristmill.pipelines.tables import Places

SMALLEST_PROBABILITY = 1e-15
BINS = 10
"""Bins of the calibration error, with equally many rows."""


def _ratio(above: Array, below: Array) -> Array:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(below > 0, above / below, np.nan))


def _mean_over(values: Array, which: Array) -> Array:
    return _ratio(np.where(which, values, 0).sum(axis=-1), which.sum(axis=-1))


def _recalls_mean(hits: Array, true: Array, called: Array) -> Array:
    return _mean_over(_ratio(hits, true), true > 0)


def _precisions(hits: Array, called: Array) -> Array:
    return hits / np.maximum(called, 1)  # a class that is never predicted counts as 0


def _kappa(hits: Array, true: Array, called: Array) -> Array:
    n = true.sum(axis=-1)
    by_chance = _ratio((true * called).sum(axis=-1), n * n)
    return _ratio(_ratio(hits.sum(axis=-1), n) - by_chance, 1 - by_chance)


def _mcc(hits: Array, true: Array, called: Array) -> Array:
    n = true.sum(axis=-1)
    spread = (n * n - (true**2).sum(axis=-1)) * (n * n - (called**2).sum(axis=-1))
    return _ratio(n * hits.sum(axis=-1) - (true * called).sum(axis=-1), np.sqrt(spread))


OF_COUNTS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "accuracy": lambda h, t, c: _ratio(h.sum(axis=-1), t.sum(axis=-1)),
    "balanced_accuracy": _recalls_mean,
    "recall_macro": _recalls_mean,
    "precision_macro": lambda h, t, c: _mean_over(_precisions(h, c), t + c > 0),
    "f1_macro": lambda h, t, c: _mean_over(_ratio(2 * h, t + c), t + c > 0),
    "precision_weighted": lambda h, t, c: _ratio(
        (t * _precisions(h, c)).sum(axis=-1), t.sum(axis=-1)
    ),
    "f1_weighted": lambda h, t, c: _ratio(
        (2 * h * t / np.maximum(t + c, 1)).sum(axis=-1), t.sum(axis=-1)
    ),
    "kappa": _kappa,
    "mcc": _mcc,
}
"""Metrics of (…, k) counts by class: hits, true rows, predicted rows.

Cohen 1960 for kappa; Gorodkin 2004 for Matthews's correlation of more than two classes.
"""

OF_ONE_CLASS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "recall": lambda h, t, c: _ratio(h, t),
    "precision": lambda h, t, c: _ratio(h, c),
    "f1": lambda h, t, c: _ratio(2 * h, t + c),
}
"""Metrics of the counts of a single class, (…,)."""


def log_losses(truth: Array, outputs: Array) -> Array:
    right = outputs[np.arange(len(truth)), truth.astype(np.int64)]
    return np.asarray(-np.log(np.clip(right, SMALLEST_PROBABILITY, 1)))


def briers(truth: Array, outputs: Array) -> Array:
    exact = np.eye(outputs.shape[1])[truth.astype(np.int64)]
    return np.asarray(((outputs - exact) ** 2).sum(axis=1))


def among_first(truth: Array, outputs: Array, count: int) -> Array:
    """Return whether the true class is among the most probable ones, (n_rows,) bool.

    Of equally probable classes the first ones count.

    Args:
        truth: (n_rows,) positions of classes.
        outputs: (n_rows, k) probabilities.
        count: Number of most probable classes.
    """
    first = np.argsort(-outputs, axis=1, kind="stable")[:, :count]
    return np.asarray((first == truth[:, None]).any(axis=1))


def confidence(truth: Array, outputs: Array) -> tuple[Array, Array]:
    """Return probabilities and whether they came true, (n_rows,) float and bool.

    With two classes, the probability of the second; with more, that of the most probable class
    (Guo, Pleiss, Sun, Weinberger 2017).
    """
    if outputs.shape[1] == 2:
        return outputs[:, 1], truth == 1
    return outputs.max(axis=1), outputs.argmax(axis=1) == truth


def bins_of(sure: Array, count: int = BINS) -> Places:
    """Assign rows to bins of equal size, (n_rows,); equal values share a bin, some may be empty.

    Nguyen & O'Connor 2015.
    """
    edges = np.quantile(sure, np.linspace(0, 1, count + 1)[1:-1])
    return np.searchsorted(edges, sure)


def gaps_by_bin(truth: Array, outputs: Array) -> Array:
    """Return each row's part of the gap between share and confidence, (n_rows, BINS)."""
    sure, so = confidence(truth, outputs)
    made = np.zeros((len(truth), BINS))
    made[np.arange(len(truth)), bins_of(sure)] = so - sure
    return made


def pinballs(truth: Array, outputs: Array, quantile: float) -> Array:
    """Return the quantile loss of each row, (n_rows,) (Koenker & Bassett 1978).

    Args:
        truth: (n_rows,) true values.
        outputs: (n_rows,) predicted values.
        quantile: Quantile in (0, 1).
    """
    under = truth - outputs
    return np.asarray(np.maximum(quantile * under, (quantile - 1) * under))


def r2(means: Array) -> Array:
    """Return R² from means, (…, 3): squared error, centred true value, and its square."""
    spread = means[..., 2] - means[..., 1] ** 2
    tiny = 1e-12 * np.maximum(means[..., 2], 1e-300)  # rounding errors of a constant
    return 1 - _ratio(means[..., 0], np.where(spread > tiny, spread, 0))


def ranked(positive: Array, scores: Array) -> tuple[float, Array]:
    """Return the area under the ROC curve, and the influence of each row on it.

    DeLong, DeLong & Clarke-Pearson 1988, by ranks: Sun & Xu 2014.

    Args:
        positive: (n_rows,) bool.
        scores: (n_rows,) scores, higher for positive rows.

    Returns:
        The area, NaN if all rows are positive or all negative; and (n_rows,) float64 influences
        whose squares sum to DeLong's variance.
    """
    m, n = int(positive.sum()), int((~positive).sum())
    moves = np.zeros(len(positive))
    if not (m and n):
        return float("nan"), moves
    together = ranks(scores)
    above = (together[positive] - ranks(scores[positive])) / n
    below = 1 - (together[~positive] - ranks(scores[~positive])) / m
    area = float(above.mean())
    moves[positive] = (above - area) / np.sqrt(m * max(m - 1, 1))
    moves[~positive] = (below - area) / np.sqrt(n * max(n - 1, 1))
    return area, moves


def ranks(values: Array) -> Array:
    """Return ranks from 1; ties share their mean rank. `scipy.stats` is slow to import."""
    return np.asarray(pd.Series(values).rank())


def found_early(positive: Array, scores: Array) -> tuple[float, Array]:
    """Return the average precision, and the influence of each row (infinitesimal jackknife).

    There is no interpolation, ties count together, and the value is NaN without positive rows.
    """
    count = int(positive.sum())
    if not count:
        return float("nan"), np.zeros(len(positive))
    values, place = np.unique(-scores, return_inverse=True)  # from the highest score
    hits = np.bincount(place, positive, len(values))
    found = np.cumsum(hits)
    called = np.cumsum(np.bincount(place, minlength=len(values)))
    precision = found / called
    average = float((hits * precision).sum() / count)
    # a row counts in the precision at its own score and at all lower ones
    gains = np.cumsum((hits / called)[::-1])[::-1]
    losses = np.cumsum((hits * found / called**2)[::-1])[::-1]
    moves = positive * (precision[place] - average + gains[place]) - losses[place]
    return average, moves / count


def _area(positive: Array, codes: Places) -> float:
    """Return the area of `ranked` from whole numbers from 0 in the order of the scores."""
    m, n = int(positive.sum()), int((~positive).sum())
    if not (m and n):
        return float("nan")
    others = np.bincount(codes[~positive], minlength=int(codes.max()) + 1)
    below = np.cumsum(others) - others / 2
    return float(below[codes[positive]].mean() / n)


def _average_precision(positive: Array, codes: Places) -> float:
    """Return the average precision of `found_early` from whole numbers as in `_area`."""
    count, top = int(positive.sum()), int(codes.max()) + 1
    if not count:
        return float("nan")
    hits = np.bincount(codes[positive], minlength=top)[::-1]
    called = np.cumsum(np.bincount(codes, minlength=top)[::-1])
    return float((hits * np.cumsum(hits) / np.maximum(called, 1)).sum() / count)


OF_RANKS: dict[str, Callable[[Array, Places], float]] = {
    "roc_auc": _area,
    "average_precision": _average_precision,
}
"""Rank metrics of (n_rows,) bool and (n_rows,) codes: fast, for repeated calls."""
