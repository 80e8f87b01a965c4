"""One-sided tests of two models on the same rows: superiority and non-inferiority."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from gristmill.pipelines.config import metric_parts
from gristmill.pipelines.evaluation.labels import Array, Given
from gristmill.pipelines.evaluation.metrics import measures
from gristmill.pipelines.evaluation.metrics import sufficient_statistics as parts
from gristmill.pipelines.evaluation.metrics.exchanges import Exchanges, exchange
from gristmill.pipelines.evaluation.metrics.intervals import DRAWS, jackknifed
from gristmill.pipelines.tables import Floats, Places

POWER = 0.8
"""Power for which the required number of rows is computed."""

FEW = 30
"""Fewest rows of a class for DeLong's test: with 5 its size is 0.08 where 0.05 is allowed. Also
fewest rows for the paired z-test."""

MOST_RANKED = 20_000
"""Most rows times classes whose ranks are exchanged."""

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
        if self.gains is not None:
            return math.sqrt(float((self._by_unit(self.gains) ** 2).sum()) / self.rows)
        if self._is_by_error:
            return self._error * math.sqrt(self.rows)
        known = self._exchanges.drawn[np.isfinite(self._exchanges.drawn)]
        rows = len(self._some.truth)
        return float(np.std(known)) * math.sqrt(rows) if len(known) else math.nan

    def better(self) -> Tested:
        """Test whether the first model is better.

        - accuracy and top-N accuracy: McNemar's mid-p (Fagerland, Lydersen, Laake 2013)
        - Brier score of 30 rows, and other means over more than 10,000 rows: paired z-test
        - ROC AUC: DeLong's test (DeLong, DeLong, Clarke-Pearson 1988; Sun, Xu 2014) if each class
          has 30 rows; average precision of more than 2,000 rows and calibration error, RMSE and R²
          of more than 10,000: z-test with the jackknife's variance
        - otherwise, and by whole groups if rows are in groups: random exchanges of the models'
          answers, see `exchanges`; for means they are flips of signs
        """
        return self._tested(1)

    def worse(self) -> Tested:
        """Test whether the first model is worse, as in `better`."""
        return self._tested(-1)

    def _tested(self, sign: int) -> Tested:
        gains, by_group = self.gains, " by group" * (self._places is not None)
        if gains is None:
            if self._is_by_error and math.isfinite(self.gain):
                return Tested(_tail_of(sign * self.gain, self._error), self._error_method)
            return Tested(self._exchanges.p(sign * self._sign), f"random exchanges{by_group}")
        if not by_group and self._is_share:
            counts = self.only_right[::sign]
            return Tested(float(measures.mcnemar_mid_p(*counts)), "McNemar's mid-p")
        smooth = self.metric == "brier" and self.rows >= FEW
        if not by_group and (smooth or self.rows > measures.SMOOTH):
            return Tested(measures.mean_p(sign * gains), "paired z-test")
        return Tested(flip_p(sign * self._by_unit(gains)), f"sign flips{by_group}")

    def no_worse(self, margin: float) -> Tested:
        """Test whether the first model is worse by less than a margin.

        Accuracy: Tango's score test (Tango 1998). Other means of rows: paired z-test. Areas under
        the ROC curve: DeLong's variance. Other functions of means, counts or ranks: the jackknife's
        variance. Median and largest error: paired bootstrap. Means of rows in groups: flips of the
        signs of the groups' sums, the margin added to each row's gain.

        Args:
            margin: Margin in the metric's own unit, above 0.
        """
        gains, by_group = self.gains, self._places is not None
        if gains is None:
            if self._kind not in parts.OF_ERRORS:
                return Tested(_tail_of(self.gain + margin, self._error), self._error_method)
            without = (~(self._draws > -margin)).sum()
            return Tested(float(without + 1) / (DRAWS + 1), "paired bootstrap")
        if by_group:
            return Tested(flip_p(self._by_unit(gains + margin)), "sign flips by group")
        if self._is_share:
            return Tested(float(tango_p(*self.only_right, self.rows, margin)), "Tango's score")
        return Tested(measures.mean_p(gains + margin), "paired z-test")

    @property
    def only_right(self) -> tuple[int, int]:
        """Numbers of rows that only the first model, and only the other, gets right."""
        gains = np.asarray(self.gains)
        return int((gains > 0).sum()), int((gains < 0).sum())

    @property
    def _kind(self) -> str:
        return metric_parts(self.metric)[0]

    @property
    def _is_share(self) -> bool:
        return self.metric == "accuracy" or self._kind == "top"

    @cached_property
    def _places(self) -> Places | None:
        """Each row's group as a position, (n_rows,); None if no two rows share one."""
        if self.group is None:
            return None
        groups, places = np.unique(self.group, return_inverse=True)
        return None if len(groups) == self.rows else places

    def _by_unit(self, of: Floats) -> Floats:
        """Return the sums of groups, or the rows' values if they are independent."""
        return of if self._places is None else np.bincount(self._places, of).astype(np.float64)

    @cached_property
    def _error(self) -> float:
        """Standard error of the gain by DeLong's or the jackknife's variance."""
        pair = [self.mine, self.theirs]
        if self._kind in parts.RANKS:
            moves = [parts.ranked_by(self.metric, self.truth, *one)[1] for one in pair]
            return measures.deviation_of(moves[0] - moves[1], self._places)
        return jackknifed(parts.summed(self.metric, self.truth, pair, self._places))

    @property
    def _error_method(self) -> str:
        name = "DeLong's test" if self._kind == "roc_auc" else "jackknife z-test"
        return name + " by group" * (self._places is not None)

    @cached_property
    def _is_by_error(self) -> bool:
        """Whether the rows are too many for exchanges, or enough for DeLong's variance."""
        if self._kind not in parts.RANKS:
            return self._kind in parts.ROWS and self.rows > measures.SMOOTH and self._error > 0
        k = self.mine.outputs.shape[1]
        places = parts.ranked_classes(self.metric, k, self.mine.labels)
        if self._kind == "roc_auc":
            counts = np.bincount(self.truth.astype(np.int64), minlength=k)[list(places)]
            enough = int(np.minimum(counts, self.rows - counts).min()) >= FEW
        else:
            enough = self.rows * len(places) > measures.SMALL
        return (enough or self.rows * len(places) > MOST_RANKED) and self._error > 0

    @cached_property
    def _some(self) -> Pair:
        """A random sample of 100,000 rows, if a metric of the errors has more."""
        if self.rows <= measures.LARGE or self._kind not in parts.OF_ERRORS:
            return self
        rows = np.sort(np.random.default_rng(0).choice(self.rows, measures.LARGE, replace=False))
        mine, theirs = (Given(o.outputs[rows], o.labels) for o in (self.mine, self.theirs))
        group = None if self._places is None else self._places[rows]
        return Pair(self.metric, self.truth[rows], mine, theirs, group)

    @cached_property
    def _exchanges(self) -> Exchanges:
        some = self._some
        return exchange(some.metric, some.truth, some.mine, some.theirs, some._places)

    @cached_property
    def _draws(self) -> Floats:
        """Gains of bootstrap samples of rows or of whole groups, (DRAWS,)."""
        some = self._some
        first, second = (
            measures.statistic(some.metric, some.truth, *one) for one in (some.mine, some.theirs)
        )
        draw = _drawer(np.random.default_rng(0), some.rows, some._places)
        rows = (draw() for _ in range(DRAWS))
        return np.array([self._sign * (first(drawn) - second(drawn)) for drawn in rows])


def _drawer(rng: np.random.Generator, n: int, places: Array | None) -> Callable[[], Array]:
    """Return a function that draws rows with replacement, one by one or by whole groups."""
    if places is None:
        return lambda: rng.integers(0, n, n)
    order = np.argsort(places, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(places))[:-1])
    return lambda: np.concatenate([groups[g] for g in rng.integers(0, len(groups), len(groups))])


def _tail_of(gain: float, error: float) -> float:
    """Return the one-sided p-value of a z-test that a gain exceeds 0; 1 if it is undefined."""
    from scipy.special import ndtr

    if not error > 0:
        return 0.0 if gain > 0 else 1.0
    return float(ndtr(-gain / error)) if math.isfinite(gain) else 1.0


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
