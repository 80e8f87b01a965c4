"""Permutation tests: the two models exchange their answers to random rows or groups.

If two models are equally good, an exchange of their answers changes nothing but chance: the share
of exchanges with at least the observed gain is a p-value that is valid at any number of rows
(Fisher 1935; Good 2005, *Permutation, Parametric and Bootstrap Tests of Hypotheses*).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from gristmill.pipelines.config import metric_parts
from gristmill.pipelines.evaluation.labels import Array, Given
from gristmill.pipelines.evaluation.metrics import formulas
from gristmill.pipelines.evaluation.metrics import sufficient_statistics as parts
from gristmill.pipelines.evaluation.metrics.intervals import DRAWS, Sums
from gristmill.pipelines.tables import Floats, Places

AT_ONCE = 1 << 20
"""Most numbers that are drawn at once."""

SLACK = 1e-12
"""Relative difference up to which two gains are equal: they are sums in different orders."""


@dataclass(frozen=True)
class Exchanges:
    """First model's metric minus the other's, as observed and after random exchanges.

    Attributes:
        observed: Observed difference.
        drawn: (DRAWS,) differences after exchanges; NaN if undefined.
    """

    observed: float
    drawn: Floats

    def p(self, sign: float = 1.0) -> float:
        """Return the one-sided p-value that the difference, times a sign, exceeds 0."""
        gain, gains = sign * self.observed, sign * self.drawn
        slack = SLACK * float(np.max(np.abs(gains[np.isfinite(gains)]), initial=abs(gain)))
        return float((~(gains < gain - slack)).sum() + 1) / (len(gains) + 1)


def exchange(
    name: str, truth: Array, mine: Given, theirs: Given, group: Array | None = None
) -> Exchanges:
    """Exchange the answers of two models to random rows, or to whole groups.

    Args:
        name: Name of the metric.
        truth: (n_rows,) classes as positions, or values.
        mine: Outputs of the first model.
        theirs: Outputs of the other model.
        group: (n_rows,), equal for rows of one group; None if the rows are independent.
    """
    kind, _ = metric_parts(name)
    if kind in parts.RANKS:
        return _of_rows(_ranked(name, truth, mine, theirs), group, len(truth))
    if kind in parts.OF_ERRORS:
        errors = [np.abs(truth - one.outputs) for one in (mine, theirs)]
        of = parts.OF_ERRORS[kind]

        def difference(swap: Array) -> float:
            return float(of(np.where(swap, *errors[::-1])) - of(np.where(swap, *errors)))

        return _of_rows(difference, group, len(truth))
    return _of_sums(*parts.beside(name, truth, mine, theirs, group))


def _of_rows(difference: Callable[[Array], float], group: Array | None, n: int) -> Exchanges:
    """Draw exchanges of a metric that is computed from all rows each time."""
    rng = np.random.default_rng(0)
    places = np.arange(n) if group is None else np.unique(group, return_inverse=True)[1]
    units = int(places.max()) + 1
    swaps = (rng.random(units) < 0.5 for _ in range(DRAWS))
    drawn = [difference(swap[places]) for swap in swaps]
    return Exchanges(difference(np.zeros(n, dtype=bool)), np.array(drawn))


def _of_sums(of: Callable[[Array], Array], both: Sums) -> Exchanges:
    """Draw exchanges of a metric of sums over units.

    Args:
        of: Function from (m, d) sums of one model to (m,) values.
        both: (n_units, 2d) contributions of both models; units that occur several times, such as
            the cells of a table, are exchanged one by one.
    """
    width = both.parts.shape[1] // 2
    mine, theirs = both.parts[:, :width], both.parts[:, width:]
    total, apart = both.counts @ (mine + theirs), mine - theirs
    differ = np.flatnonzero(abs(apart).sum(axis=1))
    apart, counts = apart[differ], both.counts[differ]
    rng = np.random.default_rng(0)

    def difference(moved: Array) -> Floats:
        return np.asarray(of((total + moved) / 2) - of((total - moved) / 2))

    def drawn() -> Iterator[Floats]:
        size = max(1, AT_ONCE // max(len(counts), width))
        for start in range(0, DRAWS, size):
            shape = (min(size, DRAWS - start), len(counts))
            if (counts == 1).all():
                kept = rng.integers(0, 2, shape, dtype=np.int8).astype(np.float64)
            else:
                kept = rng.binomial(counts, 0.5, shape).astype(np.float64)
            yield difference(np.asarray((2 * kept - counts) @ apart))

    observed = difference(np.asarray(counts @ apart)[None])
    return Exchanges(float(observed[0]), np.concatenate([*drawn()]))


def _ranked(name: str, truth: Array, mine: Given, theirs: Given) -> Callable[[Array], float]:
    """Return the difference of rank metrics as a function of the rows to exchange.

    Ranks are exchanged, not scores, whose scales can differ (Venkatraman & Begg 1996).
    """
    kind, _ = metric_parts(name)
    of, k = formulas.OF_RANKS[kind], mine.outputs.shape[1]
    each = [
        (truth == place, *(_codes(one.outputs[:, place]) for one in (mine, theirs)))
        for place in parts.ranked_classes(name, k, mine.labels)
    ]

    def difference(swap: Array) -> float:
        made = [
            of(positive, np.where(swap, other, one)) - of(positive, np.where(swap, one, other))
            for positive, one, other in each
        ]
        return float(np.mean(made))

    return difference


def _codes(scores: Array) -> Places:
    """Return twice the mean rank of each score, from 0, (n_rows,) int64."""
    return (2 * formulas.ranks(scores) - 2).astype(np.int64)
