"""Search strategies: which points to try, and in what order, through `ask` and `tell`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from gristmill.pipelines.config import Experiment, Scalar
from gristmill.pipelines.search.bayesian import Bayesian
from gristmill.pipelines.search.points import rank
from gristmill.pipelines.search.space import Proposal, Values, draws, grid, identify
from gristmill.pipelines.training import TrialResult


def strategy_of(experiment: Experiment, past: Iterable[tuple[Values, float]] = ()) -> Strategy:
    """Return the strategy that an experiment names.

    Args:
        experiment: the checked file with overrides.
        past: points of earlier searches and their objective, for strategies that learn from them.
    """
    search, space = experiment.document.search, experiment.space
    epochs, objective = experiment.document.training.epochs, experiment.document.objective
    if search.strategy == "bayesian":
        return Bayesian(search, space, objective, past)
    if search.strategy == "hyperband":
        budgets = rungs(epochs, search.min_epochs, search.factor)
        return Hyperband(draws(space, search.seed), budgets, search.factor, objective)
    if search.strategy == "grid" or not (space and search.max_trials):
        points: Iterable[Values] = grid(space)
    else:
        points = draws(space, search.seed)
    listed = list(itertools.islice(points, search.max_trials))
    if search.strategy == "halving":
        budgets = rungs(epochs, search.min_epochs, search.factor)
        return Halving(listed, budgets, search.factor, objective)
    return FixedPoints([Proposal(values) for values in listed])


def rungs(epochs: int, least: int, factor: int) -> list[int]:
    """Return the budgets of successive halving in epochs, ascending.

    Args:
        epochs: the largest budget.
        least: lower bound of the budgets.
        factor: ratio of successive budgets, at least 2.

    Examples:
        >>> rungs(27, 2, 3)
        [3, 9, 27]
    """
    budgets = [epochs]
    while (smaller := round(epochs / factor ** len(budgets))) >= least and smaller < budgets[0]:
        budgets.insert(0, smaller)
    return budgets


class FixedPoints:
    """Proposals that are fixed in advance: a grid, or points drawn at random."""

    def __init__(self, proposals: Sequence[Proposal]) -> None:
        self._waiting = iter(proposals)
        self.size = len(proposals)

    def ask(self) -> Proposal | None:
        return next(self._waiting, None)

    def tell(self, proposal: Proposal, result: TrialResult) -> None:
        """Ignore the result."""


class Halving:
    """Successive halving: all points for few epochs, then the best ones for more.

    Jamieson and Talwalkar (2016), Non-stochastic Best Arm Identification and Hyperparameter
    Optimization, AISTATS. Failed points are not promoted; ties are broken as in the final choice.

    Args:
        points: points of the first rung.
        budgets: epochs of each rung, ascending.
        factor: one point in `factor` is promoted to the next rung, at least one.
        objective: name of a score, for example `val_accuracy`.
    """

    def __init__(
        self, points: Sequence[Values], budgets: Sequence[int], factor: int, objective: str
    ) -> None:
        self._budgets, self._factor = list(budgets), factor
        self._rank: Callable[[TrialResult], object] = rank(objective)
        self._rung = 0
        self._begin(points)
        starts = range(len(self._budgets))
        self.size = sum(max(len(points) // factor**rung, 1) for rung in starts) if points else 0

    def _begin(self, points: Sequence[Values]) -> None:
        self._waiting = [Proposal(values, self._budgets[self._rung]) for values in points]
        self._asked = len(self._waiting)
        self._told: list[tuple[TrialResult, Values]] = []

    def ask(self) -> Proposal | None:
        if not self._waiting and len(self._told) == self._asked:
            self._climb()
        return self._waiting.pop(0) if self._waiting else None

    def _climb(self) -> None:
        if self._rung + 1 == len(self._budgets):
            return
        finished = [entry for entry in self._told if entry[0].status == "finished"]
        finished.sort(key=lambda entry: self._rank(entry[0]))  # type: ignore[arg-type,return-value]
        going = max(self._asked // self._factor, 1)
        self._rung += 1
        self._begin([values for _, values in finished[:going]])

    def tell(self, proposal: Proposal, result: TrialResult) -> None:
        self._told.append((result, proposal.values))


class Hyperband:
    """Several brackets of successive halving, from many points for few epochs to few for all.

    Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar (2018), Hyperband: A Novel Bandit-Based
    Approach to Hyperparameter Optimization, JMLR 18. The brackets run in parallel on separate
    points, so that no rung of one delays the others.

    Args:
        points: an iterator of new points; as many as needed are drawn from it.
        budgets: epochs of each rung of the widest bracket, ascending; bracket k skips the first k.
        factor: one point in `factor` is promoted to the next rung.
        objective: name of a score, for example `val_accuracy`.
    """

    def __init__(
        self, points: Iterator[Values], budgets: Sequence[int], factor: int, objective: str
    ) -> None:
        count = len(budgets)
        self._brackets = []
        for place in range(count):
            halvings = count - 1 - place
            width = math.ceil(count / (halvings + 1) * factor**halvings)
            own = list(itertools.islice(points, width))
            self._brackets.append(Halving(own, budgets[place:], factor, objective))
        self._asked: dict[tuple[Scalar, ...], Halving] = {}
        self.size = sum(bracket.size for bracket in self._brackets)

    def ask(self) -> Proposal | None:
        for bracket in self._brackets:
            if (proposal := bracket.ask()) is not None:
                self._asked[identify(proposal.values)] = bracket
                return proposal
        return None

    def tell(self, proposal: Proposal, result: TrialResult) -> None:
        self._asked[identify(proposal.values)].tell(proposal, result)


Strategy = FixedPoints | Halving | Hyperband | Bayesian
"""Proposes at most `size` points, none of them twice.

`ask` returns the next proposal, or None if it waits for a result or has no more. `tell` passes the
result of a proposal, failed ones included. The proposals depend on the settings and the results,
not on the order in which trials end.
"""
