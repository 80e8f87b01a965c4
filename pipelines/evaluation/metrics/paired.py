"""One-sided tests of two models on the same rows: superiority and non-inferiority."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gristmill.pipelines.evaluation.labels import MOST_PROBABLE, Array, Given, Labels
from gristmill.pipelines.evaluation.metrics import measures
from gristmill.pipelines.evaluation.metrics.intervals import DRAWS
from gristmill.pipelines.tables import Floats, Places

POWER = 0.8
"""Power for which the required number of rows is computed."""

AT_ONCE = 1 << 22
"""Most signs that are drawn at once."""


@dataclass(frozen=True)
class Tested:
    """The p-value of a one-sided test, and the name of the test."""

    p: float
    method: str


@dataclass(frozen=True, eq=False)
class Pair:
    """Predictions of two models for the same rows.

    If a test needs the bootstrap and there are more than 100,000 rows, it uses a random sample of
    100,000.

    Attributes:
        metric: Metric of the comparison.
        truth: (n_rows,) as in `score`.
        mine: Outputs of the model that is tested.
        theirs: Outputs of the other model.
        group: (n_rows,) hashes; rows of one group are not independent. None if all rows are.
    """

    metric: str
    truth: Array
    mine: Given
    theirs: Given
    group: Array | None = None

    @property
    def rows(self) -> int:
        return len(self.truth)

    @property
    def _sign(self) -> float:
        return -1.0 if measures.lower_is_better(self.metric) else 1.0

    @cached_property
    def values(self) -> tuple[float, float]:
        """The metric of each model; NaN if undefined."""
        mine, theirs = (
            measures.score(self.metric, self.truth, *one) for one in (self.mine, self.theirs)
        )
        return mine, theirs

    @property
    def gain(self) -> float:
        """Gain of the first model over the other; NaN if the metric is undefined."""
        mine, theirs = self.values
        return self._sign * (mine - theirs)

    @property
    def turned(self) -> Pair:
        """The same pair with the models swapped."""
        return Pair(self.metric, self.truth, self.theirs, self.mine, self.group)

    @cached_property
    def gains(self) -> Floats | None:
        """Gain of each row, (n_rows,); None if the metric is not a mean of rows."""
        mine = measures.row_losses(self.metric, self.truth, *self.mine)
        theirs = measures.row_losses(self.metric, self.truth, *self.theirs)
        if mine is None or theirs is None:
            return None
        return np.asarray(self._sign * (mine.astype(np.float64) - theirs))

    @cached_property
    def deviation(self) -> float:
        """Root mean square of the per-row gain, with the rows of a group summed.

        Without a true gain, the observed gain of n rows has this over √n as its standard deviation.
        For accuracy it is the root of the share of rows that only one of both models gets right.
        """
        if self.gains is None:
            return float(np.std(self._draws) * math.sqrt(self.rows))
        sums = self.gains if self._places is None else self._sums(self.gains)
        return math.sqrt(float((sums**2).sum()) / self.rows)

    def better(self) -> Tested:
        """Test whether the first model is better.

        Accuracy: McNemar's mid-p (Fagerland, Lydersen, Laake 2013). Brier score, and other means
        over more than 100,000 rows: paired z-test. Otherwise: paired bootstrap. Rows in groups:
        whole groups swap models at random; sign flips of their sums if the metric is a mean.
        """
        if self._places is not None:
            return Tested(self._flipped(0.0), "sign flips by group")
        if self.metric == "accuracy":
            return Tested(float(measures.mcnemar_mid_p(*self._only_right)), "McNemar's mid-p")
        if self.metric == "brier" or (self.gains is not None and self.rows > measures.LARGE):
            return Tested(measures.mean_p(np.asarray(self.gains)), "paired z-test")
        return Tested(self._share_without(0.0), "paired bootstrap")

    def no_worse(self, margin: float) -> Tested:
        """Test whether the first model is worse by less than a margin.

        Accuracy: Tango's score test (Tango 1998). Other means of rows: z-test. Otherwise: paired
        bootstrap. Rows in groups as in `better`, the margin added to each row's gain.

        Args:
            margin: Margin in the metric's own unit, above 0.
        """
        if self._places is not None and self.gains is not None:
            return Tested(self._flipped(margin), "sign flips by group")
        if self._places is None and self.metric == "accuracy":
            return Tested(float(tango_p(*self._only_right, self.rows, margin)), "Tango's score")
        if self._places is None and self.gains is not None:
            return Tested(measures.mean_p(self.gains + margin), "paired z-test")
        return Tested(self._share_without(-margin), "paired bootstrap")

    @property
    def _only_right(self) -> tuple[int, int]:
        gains = np.asarray(self.gains)
        return int((gains > 0).sum()), int((gains < 0).sum())

    @cached_property
    def _places(self) -> Places | None:
        """Each row's group as a position, (n_rows,); None if no two rows share one."""
        if self.group is None:
            return None
        groups, places = np.unique(self.group, return_inverse=True)
        return None if len(groups) == self.rows else places

    def _sums(self, of: Array) -> Floats:
        return np.bincount(np.asarray(self._places), of).astype(np.float64)

    def _flipped(self, margin: float) -> float:
        if self.gains is not None:
            return flip_p(self._sums(self.gains + margin))
        return self._swapped()

    def _swapped(self) -> float:
        """Return the p-value for any metric by swapping the models of whole groups."""
        n, places = self.rows, np.asarray(self._places)
        of = measures.statistic(
            self.metric,
            np.concatenate([self.truth] * 2),
            np.concatenate([self.mine.outputs, self.theirs.outputs]),
            _Halves(self.mine.labels.classes, self.mine.labels.threshold, self.theirs.labels),
        )
        rng, rows, without = np.random.default_rng(0), np.arange(n), 0
        for _ in range(DRAWS):
            swap = (rng.random(int(places.max()) + 1) < 0.5)[places]
            drawn = self._sign * (
                of(np.where(swap, rows + n, rows)) - of(np.where(swap, rows, rows + n))
            )
            without += not drawn < self.gain
        return (without + 1) / (DRAWS + 1)

    def _share_without(self, least: float) -> float:
        """Return the share of draws with at most a certain gain; NaN counts as no gain."""
        return float(((~(self._draws > least)).sum() + 1) / (DRAWS + 1))

    @cached_property
    def _draws(self) -> Floats:
        """Gains of bootstrap samples of rows or of whole groups, (DRAWS,)."""
        rng = np.random.default_rng(0)
        truth, mine, theirs, places = self.truth, self.mine, self.theirs, self._places
        if self.rows > measures.LARGE:
            some = np.sort(rng.choice(self.rows, measures.LARGE, replace=False))
            truth = truth[some]
            mine, theirs = (Given(one.outputs[some], one.labels) for one in (mine, theirs))
            places = None if places is None else np.unique(places[some], return_inverse=True)[1]
        first, second = (measures.statistic(self.metric, truth, *one) for one in (mine, theirs))
        draw = _drawer(rng, len(truth), places)
        made = np.empty(DRAWS)
        for number in range(DRAWS):
            rows = draw()
            made[number] = self._sign * (first(rows) - second(rows))
        return made


@dataclass(frozen=True)
class _Halves(Labels):
    """Label rules for the first half of the rows, and others for the second."""

    other: Labels = MOST_PROBABLE

    def of(self, outputs: Array) -> Places:
        half = len(outputs) // 2
        return np.concatenate([super().of(outputs[:half]), self.other.of(outputs[half:])])


def _drawer(rng: np.random.Generator, n: int, places: Array | None) -> Callable[[], Array]:
    """Return a function that draws rows with replacement, one by one or by whole groups."""
    if places is None:
        return lambda: rng.integers(0, n, n)
    order = np.argsort(places, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(places))[:-1])
    return lambda: np.concatenate([groups[g] for g in rng.integers(0, len(groups), len(groups))])


def tango_p(gained: Any, lost: Any, n: Any, margin: float) -> Any:
    """Return the one-sided p-value that a share is worse by less than a margin (Tango 1998).

    Args:
        gained: Rows that only the candidate gets right, a number or an array.
        lost: Rows that only the other model gets right.
        n: All rows.
        margin: Margin in (0, 1).
    """
    from scipy.stats import norm

    return norm.sf(measures.tango_z(gained, lost, n, -margin))


def flip_p(sums: Floats, draws: int = DRAWS) -> float:
    """Return the one-sided sign-flip p-value that sums of groups exceed 0 (Fisher 1935).

    Args:
        sums: (n_groups,) sums of independent groups, symmetric about 0 without a gain.
        draws: Number of random draws of all signs.
    """
    rng, found, without = np.random.default_rng(0), float(sums.sum()), 0
    size = max(1, AT_ONCE // max(1, len(sums)))
    slack = 1e-12 * float(np.abs(sums).sum())
    for start in range(0, draws, size):
        count = min(size, draws - start)
        signs = rng.integers(0, 2, (count, len(sums)), dtype=np.int8)
        drawn = 2 * (signs @ sums) - found
        without += int((drawn >= found - slack).sum())
    return (without + 1) / (draws + 1)


def rows_enough(deviation: float, gain: float, alpha: float, power: float = POWER) -> int:
    """Return the number of rows that show a true gain with a certain power (Connor 1987).

    Args:
        deviation: As `Pair.deviation`; for accuracy the root of the share of rows that only one of
            two models gets right.
        gain: True gain in the metric's unit, above 0.
        alpha: Size of the one-sided test, in (0, 1).
        power: Power in (0, 1).

    Examples:
        >>> rows_enough(0.3, 0.02, 0.05)
        1389
    """
    from scipy.stats import norm

    apart = math.sqrt(max(deviation**2 - gain**2, 0.0))
    needed = (norm.isf(alpha) * deviation + norm.isf(1 - power) * apart) / gain
    return math.ceil(max(float(needed), 0.0) ** 2)


def power_of(deviation: float, gain: float, rows: int, alpha: float) -> float:
    """Return the power of a number of rows for a true gain, the inverse of `rows_enough`.

    Args:
        deviation: As in `rows_enough`.
        gain: True gain in the metric's unit, above 0.
        rows: Number of rows.
        alpha: Size of the one-sided test, in (0, 1).
    """
    from scipy.stats import norm

    apart = math.sqrt(max(deviation**2 - gain**2, 1e-12))
    return float(norm.sf((norm.isf(alpha) * deviation - gain * math.sqrt(rows)) / apart))
