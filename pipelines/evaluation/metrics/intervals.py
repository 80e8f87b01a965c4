"""Confidence intervals of metrics, each with its source; None and None if unknown."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gristmill.pipelines.evaluation.labels import Array
from gristmill.pipelines.tables import Places

LEVEL = 0.95
DRAWS = 2000
"""Bootstrap draws of an interval."""

AT_A_TIME = 1 << 20
"""Most numbers that a bootstrap holds in memory at once."""

MOST_UNDEFINED = 0.1
"""Largest share of draws with an undefined metric; those draws are left out."""

Ends = tuple[float | None, float | None]
NONE: Ends = (None, None)


def _z(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))


def wilson(successes: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return Wilson's score interval of a share (Wilson 1927).

    Args:
        successes: From 0 to `n`.
        n: Number of rows, above 0.
        level: Confidence level in (0, 1).

    Examples:
        >>> [round(end, 3) for end in wilson(8, 10)]
        [0.49, 0.943]
    """
    z = _z(level)
    share, below = successes / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / below
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / below
    return (
        0.0 if successes == 0 else max(0.0, middle - half),
        1.0 if successes == n else min(1.0, middle + half),
    )


def clopper_pearson(successes: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the exact interval of a share (Clopper, Pearson 1934).

    Its coverage is at least nominal. Each end alone is a one-sided bound at (1 + level) / 2.

    Args:
        successes: From 0 to `n`.
        n: Number of rows, above 0.
        level: Confidence level in (0, 1).
    """
    from scipy.special import betaincinv

    tail = (1 - level) / 2
    low = betaincinv(successes, n - successes + 1, tail) if successes else 0.0
    high = betaincinv(successes + 1, n - successes, 1 - tail) if successes < n else 1.0
    return float(low), float(high)


def newcombe(area: float, m: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the interval of an area under the ROC curve (Newcombe 2006, method 5).

    It contains each area that is at most z of its standard deviations from the observed one, and
    is also valid for an area of 1.

    Args:
        area: Observed area in [0, 1].
        m: Number of positive rows, above 0.
        n: Number of negative rows, above 0.
        level: Confidence level in (0, 1).
    """
    from scipy.optimize import brentq

    z, star = _z(level), (m + n) / 2 - 1

    def beyond(at: float) -> float:
        spread = at * (1 - at) * (1 + star * (1 - at) / (2 - at) + star * at / (1 + at)) / (m * n)
        return (area - at) ** 2 - z * z * spread

    edge = 1e-9  # at 0 and 1 themselves no spread is left
    low = brentq(beyond, 0.0, min(area, 1 - edge)) if area > 0 else 0.0
    high = brentq(beyond, max(area, edge), 1.0) if area < 1 else 1.0
    return float(low), float(high)


def normal(value: float, deviation: float, level: float = LEVEL) -> Ends:
    """Return value ± z deviations; None and None if undefined or without deviation.

    Args:
        value: Observed value; NaN if undefined.
        deviation: Standard deviation of the value, 0 or more, in its unit.
        level: Confidence level in (0, 1).
    """
    if not (deviation > 0 and math.isfinite(value)):
        return NONE
    half = _z(level) * deviation
    return value - half, value + half


def logit_normal(share: float, deviation: float, level: float = LEVEL) -> Ends:
    """Return a normal interval on the scale of log odds, so within 0 and 1 (Pepe 2003).

    Args:
        share: Observed share; at 0 and 1 the interval is None and None.
        deviation: Standard deviation of the share, 0 or more.
        level: Confidence level in (0, 1).
    """
    if not (deviation > 0 and 0 < share < 1):
        return NONE
    ends = normal(math.log(share / (1 - share)), deviation / (share * (1 - share)), level)
    low, high = (1 / (1 + math.exp(-end)) for end in ends if end is not None)
    return low, high


def order_statistics(values: Array, level: float = LEVEL) -> Ends:
    """Return the distribution-free interval of a median, from order statistics (Conover 1999)."""
    from scipy.stats import binom

    n = len(values)
    low = int(binom.ppf((1 - level) / 2, n, 0.5)) - 1
    if low < 0:
        return NONE
    high = n - 1 - low
    part = np.partition(values, (low, high))
    return float(part[low]), float(part[high])


@dataclass(frozen=True)
class Sums:
    """A statistic of sums over units: rows, or groups of rows.

    Attributes:
        of: Function from (m, d) sums of m samples to (m,) values, NaN if undefined.
        parts: (n_units, d) contributions of the units; dense, or sparse for counts of many classes.
        counts: (n_units,) int64 multiplicities of the units.
    """

    of: Callable[[Array], Array]
    parts: Any
    counts: Places

    @property
    def value(self) -> float:
        return float(self.of(self._sums(self.counts[None]))[0])

    def grouped(self, group: Array | None, unit: Array | None = None) -> Sums:
        """Return the statistic with whole groups as units.

        Args:
            group: (n_rows,), equal for rows of one group; None changes nothing.
            unit: (n_rows,) unit of each row; by default each row is its own unit.
        """
        from scipy import sparse

        if group is None:
            return self
        _, place = np.unique(group, return_inverse=True)
        unit = np.arange(len(place)) if unit is None else unit
        where = sparse.csr_array((np.ones(len(place)), (place, unit)))
        where.resize((int(place.max()) + 1, len(self.counts)))
        return Sums(self.of, where @ self.parts, np.ones(where.shape[0], dtype=np.int64))

    def draws(self, seed: int = 0) -> Array:
        """Return values of bootstrap samples of the same size, (DRAWS,)."""
        rng = np.random.default_rng(seed)
        n, units = int(self.counts.sum()), len(self.counts)
        few = units * 8 < n  # few kinds of units: draw multinomial counts
        every = None if units == n else np.repeat(np.arange(units), self.counts)
        made = []
        step = max(1, min(DRAWS, AT_A_TIME // max(n * (not few), units, self.parts.shape[1])))
        for start in range(0, DRAWS, step):
            size = min(step, DRAWS - start)
            if few:
                drawn = rng.multinomial(n, self.counts / n, size=size)
            else:
                chosen = rng.integers(0, n, (size, n))
                chosen = chosen if every is None else every[chosen]
                chosen += units * np.arange(size)[:, None]
                drawn = np.bincount(chosen.ravel(), minlength=size * units).reshape(size, units)
            made.append(self.of(self._sums(drawn)))
        return np.concatenate(made)

    def without_each(self) -> Array:
        """Return the jackknife values, (n_units,): each without one of that unit."""
        whole = self._sums(self.counts[None])
        step = max(1, AT_A_TIME // self.parts.shape[1])
        starts = range(0, len(self.counts), step)
        parts = (self.parts[start : start + step] for start in starts)
        return np.concatenate(
            [self.of(whole - (p.toarray() if hasattr(p, "toarray") else p)) for p in parts]
        )

    def _sums(self, counts: Array) -> Array:
        return np.asarray(counts.astype("float64") @ self.parts)


def bca(sums: Sums, drawn: Array | None = None, level: float = LEVEL) -> Ends:
    """Return the bootstrap interval corrected for bias and skewness (BCa, Efron 1987).

    Args:
        sums: Statistic.
        drawn: (DRAWS,) its bootstrap draws; drawn here by default.
        level: Confidence level in (0, 1).
    """
    from scipy.special import ndtr, ndtri

    drawn = sums.draws() if drawn is None else drawn
    value, known = sums.value, drawn[np.isfinite(drawn)]
    if not math.isfinite(value) or len(known) < (1 - MOST_UNDEFINED) * len(drawn):
        return NONE
    share = ((known < value).sum() + (known == value).sum() / 2) / len(known)
    without, counts = sums.without_each(), sums.counts
    sure = np.isfinite(without)
    if not 0 < share < 1 or not sure.any() or np.ptp(known) <= 1e-12 * max(1.0, abs(value)):
        return NONE  # all draws of a perfect model are equal
    away = np.average(without[sure], weights=counts[sure]) - without[sure]
    squares = (counts[sure] * away**2).sum()
    skewed = (counts[sure] * away**3).sum() / (6 * squares**1.5) if squares > 0 else 0.0
    bias = float(ndtri(share))
    ends = bias + np.array([-1, 1]) * _z(level)
    ranks = ndtr(bias + ends / (1 - skewed * ends))
    low, high = np.quantile(known, ranks)
    return float(low), float(high)


def jackknifed(sums: Sums) -> float:
    """Return the jackknife standard deviation of a smooth statistic (Efron & Stein 1981)."""
    without, counts = sums.without_each(), sums.counts
    n = counts.sum()
    centre = np.average(without, weights=counts)
    return float(np.sqrt((n - 1) / n * (counts * (without - centre) ** 2).sum()))
