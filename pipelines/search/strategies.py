"""Which points a search tries, and in what order: ask for one, tell what it came to."""

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
    """The strategy that an experiment names.

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
    """The budgets of successive halving in epochs: `epochs`, and less by `factor` down to `least`.

    They rise, and none is below 1.
    """
    budgets = [epochs]
    while (smaller := round(epochs / factor ** len(budgets))) >= least and smaller < budgets[0]:
        budgets.insert(0, smaller)
    return budgets


class FixedPoints:
    """Proposals that are all known beforehand: a grid, or points drawn at random."""

    def __init__(self, proposals: Sequence[Proposal]) -> None:
        self._waiting = iter(proposals)
        self.size = len(proposals)

    def ask(self) -> Proposal | None:
        return next(self._waiting, None)

    def tell(self, proposal: Proposal, result: TrialResult) -> None:
        """Nothing is learnt."""


class Halving:
    """Successive halving: all points for few epochs, then the best ones for more.

    Jamieson and Talwalkar (2016), Non-stochastic Best Arm Identification and Hyperparameter
    Optimization, AISTATS. Points that failed never go on; ties go as in the final choice.

    Args:
        points: that begin.
        budgets: of the rungs, in epochs, rising.
        factor: one point in so many goes on to the next rung; at least one does.
        objective: such as `val_accuracy`.
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
    """Successive halving several times, from many points for few epochs to few for all.

    Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar (2018), Hyperband: A Novel Bandit-Based
    Approach to Hyperparameter Optimization, JMLR 18. The brackets run side by side, each on points
    of its own, so that none of their rungs holds up the others.

    Args:
        points: as many as it asks for.
        budgets: of the rungs of the widest bracket, in epochs, rising; bracket k leaves k out.
        factor: one point in so many goes on to the next rung.
        objective: such as `val_accuracy`.
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
"""Proposes points, at most `size` and never one twice.

`ask` gives the next proposal; None when it waits for a result, or has no more. `tell` is for what a
proposal came to; failed ones are told as well. What a strategy proposes follows from its settings
and from what its proposals came to, not from the order in which they ended: asked again and told
the same, it proposes the same.
"""
