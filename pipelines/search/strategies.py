"""Which points a search tries, and in what order: ask for one, tell what it came to."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from gristmill.pipelines.config import Distribution, Experiment, Scalar
from gristmill.pipelines.search.choice import rank
from gristmill.pipelines.training import TrialResult

Values = Mapping[str, Scalar]
Space = Mapping[str, Distribution]

IN_VAIN = 1000
"""Draws in a row that gave no new point, after which a space is taken as used up."""


@dataclass(frozen=True)
class Candidate:
    """A point that a strategy asks for.

    Attributes:
        values: of the varied parameters.
        epochs: the budget; None for the file's.
    """

    values: Values
    epochs: int | None = None


class Strategy(Protocol):
    """Proposes candidates, never one twice.

    What it proposes follows from its settings and from what its candidates came to, not from the
    order in which they ended: asked again and told the same, it proposes the same.
    """

    @property
    def size(self) -> int:
        """Candidates at most."""

    def ask(self) -> Candidate | None:
        """The next candidate; None when it waits for a result, or has no more."""

    def tell(self, candidate: Candidate, result: TrialResult) -> None:
        """What a candidate came to; failed ones are told as well."""


def strategy_of(experiment: Experiment, past: Iterable[tuple[Values, float]] = ()) -> Strategy:
    """The strategy that an experiment names.

    Args:
        experiment: the checked file with overrides.
        past: points of earlier searches and their objective, for strategies that learn from them.
    """
    search, space = experiment.document.search, experiment.space
    epochs, objective = experiment.document.training.epochs, experiment.document.objective
    if search.strategy == "bayesian":
        from gristmill.pipelines.search.bayesian import Bayesian

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
    return Listed([Candidate(values) for values in listed])


def grid(space: Space) -> Iterator[Values]:
    """Every point of choices: sorted names, `itertools.product` of their values."""
    names = sorted(space)
    for values in itertools.product(*(space[name].choice or () for name in names)):
        yield dict(zip(names, values, strict=True))


def draws(space: Space, seed: int) -> Iterator[Values]:
    """Points drawn at random, none of them twice; they end when the space is used up.

    A value follows from the seed, its place and its name alone: more draws keep the first ones,
    and a parameter that joins or leaves the space moves no other one.
    """
    seen: set[tuple[Scalar, ...]] = set()
    size = math.prod(values.size for values in space.values())
    vain = 0
    for place in itertools.count():
        point = {name: space[name].at(_share(seed, place, name)) for name in sorted(space)}
        if identity(point) in seen:
            vain += 1
            if len(seen) >= size or vain == IN_VAIN:
                return
            continue
        vain = 0
        seen.add(identity(point))
        yield point


def identity(values: Values) -> tuple[Scalar, ...]:
    """What tells points of a space apart; true is not 1 here."""
    return tuple(repr(values[name]) for name in sorted(values))


def _share(seed: int, place: int, name: str) -> float:
    digest = hashlib.sha256(f"{seed} {place} {name}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 * (1 - 2**-53)


def rungs(epochs: int, least: int, factor: int) -> list[int]:
    """The budgets of successive halving in epochs: `epochs`, and less by `factor` down to `least`.

    They rise, and none is below 1.
    """
    budgets = [epochs]
    while (smaller := round(epochs / factor ** len(budgets))) >= least and smaller < budgets[0]:
        budgets.insert(0, smaller)
    return budgets


class Listed:
    """Candidates that are all known beforehand: a grid, or points drawn at random."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._waiting = iter(candidates)
        self.size = len(candidates)

    def ask(self) -> Candidate | None:
        return next(self._waiting, None)

    def tell(self, candidate: Candidate, result: TrialResult) -> None:
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
        self._waiting = [Candidate(values, self._budgets[self._rung]) for values in points]
        self._asked = len(self._waiting)
        self._told: list[tuple[TrialResult, Values]] = []

    def ask(self) -> Candidate | None:
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

    def tell(self, candidate: Candidate, result: TrialResult) -> None:
        self._told.append((result, candidate.values))


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

    def ask(self) -> Candidate | None:
        for bracket in self._brackets:
            if (candidate := bracket.ask()) is not None:
                self._asked[identity(candidate.values)] = bracket
                return candidate
        return None

    def tell(self, candidate: Candidate, result: TrialResult) -> None:
        self._asked[identity(candidate.values)].tell(candidate, result)
