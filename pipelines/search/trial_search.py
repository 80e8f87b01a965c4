"""A search against the ledger: a strategy is told what is known, the rest is left to train."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from gristmill.pipelines.base import normalised_source
from gristmill.pipelines.config import Experiment, Scalar
from gristmill.pipelines.search.points import Point, choose, points_of
from gristmill.pipelines.search.space import Proposal
from gristmill.pipelines.search.strategies import Strategy, strategy_of
from gristmill.pipelines.training import Trial, TrialResult, trials_at

STRATEGY_MODULES = tuple(f"{name}.py" for name in ("bayesian", "points", "space", "strategies"))

Past = list[tuple[Mapping[str, Scalar], float]]


@dataclass(frozen=True)
class TrialPlan:
    """A trial and whether it has to be trained."""

    trial: Trial
    state: str
    reason: str
    known: TrialResult | None
    run_id: str


@dataclass
class _Asked:
    proposal: Proposal
    trials: list[Trial]
    results: dict[Trial, TrialResult] = field(default_factory=dict)
    point: Point | None = None


class TrialSearch:
    """One search of an experiment: what was asked for, what is known, what comes next.

    Asked again with the same ledger it asks for the same, so that a search that was stopped goes
    on as if it had not been, and one with nothing to do ends without training.

    Args:
        experiment: the checked file with overrides.
        shared: what the keys of its trials have in common.
        look: finds trials in the ledger.
        past: points of earlier searches for strategies that learn from them; asked for once.
    """

    def __init__(
        self,
        experiment: Experiment,
        shared: Mapping[str, str],
        look: Callable[[Sequence[Trial]], Sequence[TrialPlan]],
        past: Callable[[str], Past] = lambda key: [],
    ) -> None:
        self._experiment, self._shared, self._look, self._past = experiment, shared, look, past
        self._made: Strategy | None = None
        self._asked: list[_Asked] = []
        self._by_trial: dict[Trial, _Asked] = {}
        self._plans: dict[Trial, TrialPlan] = {}
        self._waiting: list[Trial] = []
        self._running: set[str] = set()
        self._ended: dict[str, list[TrialResult]] = {}
        self._deadline = math.inf
        self.past: Past = []
        self.cut = False

    @property
    def _strategy(self) -> Strategy:
        if self._made is None:
            learns = self._experiment.document.search.strategy == "bayesian"
            self.past = self._past(self.key) if learns else []
            self._made = strategy_of(self._experiment, self.past)
        return self._made

    @property
    def first(self) -> Trial:
        """A trial at the lower ends of the space: what all trials have in common, it has."""
        values = {name: values.ends[0] for name, values in self._experiment.space.items()}
        return trials_at(self._experiment, self._shared, values)[0]

    @property
    def key(self) -> str:
        """What an adaptive strategy's proposals depend on, but for how many are asked for."""
        document = self._experiment.document
        folder = Path(__file__).parent
        apart = {"grid", "space", "max_trials", "max_time", "workers"}
        space = self._experiment.space
        parts = {
            "search": document.search.model_dump(exclude=apart),
            "space": {name: space[name].model_dump(exclude_none=True) for name in space},
            "objective": document.objective,
            "folds": document.split.folds,
            "trial": [self.first.key, self.first.epochs],
            "sources": [normalised_source(folder / name) for name in STRATEGY_MODULES],
            "optuna": version("optuna"),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def identity(self) -> dict[str, Any]:
        """What a run's decision depends on of the search; `advance` comes first for a list."""
        search = self._experiment.document.search
        limits = {"max_time": search.seconds} if search.max_time is not None else {}
        if search.is_adaptive:
            return {"search": self.key, "max_trials": search.max_trials, **limits}
        return {"trials": sorted((trial.key, trial.epochs) for trial in self._plans), **limits}

    @property
    def plans(self) -> list[TrialPlan]:
        """Every trial that was asked for, those of a point side by side."""
        return [self._plans[trial] for asked in self._asked for trial in asked.trials]

    @property
    def _whole(self) -> list[Point]:
        return [asked.point for asked in self._asked if asked.point is not None]

    @property
    def points(self) -> list[Point]:
        """The whole points, each with its largest budget."""
        return list({point.trial.point: point for point in self._whole}.values())

    @property
    def comparable(self) -> list[Point]:
        """The whole points of the budget that most points were trained with."""
        whole = self._whole
        counts = Counter(point.trial.epochs for point in whole)
        return [point for point in whole if point.trial.epochs == counts.most_common(1)[0][0]]

    @property
    def winner(self) -> Point:
        """The best point among those of the largest budget that any finished.

        Raises:
            EnvironmentFault: every trial failed.
        """
        finished = [point for point in self.points if point.result.status == "finished"]
        most = max((point.trial.epochs for point in finished), default=0)
        running = [point for point in finished if point.trial.epochs == most] or self.points
        best = choose([point.result for point in running], self._experiment.document.objective)
        return next(point for point in running if point.trial.key == best.key)

    @property
    def remaining(self) -> int:
        """Trials at most that will be asked for once it is known what those asked for come to."""
        if not self._waiting:
            return 0
        each = len(self._asked[0].trials) if self._asked else 1
        return max(self._strategy.size - len(self._asked), 0) * each

    @property
    def trains(self) -> bool:
        """Whether a trial is to be trained that was asked for."""
        return bool(self._waiting)

    def advance(self) -> None:
        """Asks the strategy until it waits for results that are not known."""
        while True:
            came = list(iter(self._strategy.ask, None))
            if not came:
                return
            made = [self._take_in(proposal) for proposal in came]
            self._look_up([trial for asked in made for trial in asked.trials])
            for asked in made:
                self._settle(asked)

    def _take_in(self, proposal: Proposal) -> _Asked:
        trials = trials_at(self._experiment, self._shared, proposal.values, proposal.epochs)
        asked = _Asked(proposal, trials)
        self._asked.append(asked)
        self._by_trial |= dict.fromkeys(trials, asked)
        return asked

    def _look_up(self, trials: Sequence[Trial]) -> None:
        for plan in self._look(trials):
            trial = plan.trial
            result = self._ended_before(trial) or plan.known
            self._plans[trial] = plan
            if result is not None:
                self._by_trial[trial].results[trial] = result
            else:
                self._waiting.append(trial)
        # fold by fold, for a traced program serves the trials of one fold; where time may end the
        # search, point by point, so that some are whole
        by_fold = math.isinf(self._experiment.document.search.seconds)
        self._waiting.sort(key=lambda trial: (by_fold * (trial.fold or 0), trial.epochs))

    def _settle(self, asked: _Asked) -> None:
        if asked.point is not None or len(asked.results) < len(asked.trials):
            return
        (asked.point,) = points_of(asked.trials, [asked.results[t] for t in asked.trials])
        self._strategy.tell(asked.proposal, asked.point.result)

    def begin(self) -> None:
        """From here on `max_time` counts."""
        self._deadline = time.monotonic() + self._experiment.document.search.seconds

    def next(self) -> Trial | None:
        """A trial to train; None when there is nothing now.

        Two budgets of one key never run at a time, for the longer one goes on from the shorter.
        `max_time` stops nothing before one point is whole.
        """
        self.advance()
        if self._waiting and time.monotonic() > self._deadline and self.points:
            self.cut = True
            return None
        for trial in self._waiting:
            if trial.key not in self._running:
                self._waiting.remove(trial)
                if (known := self._ended_before(trial)) is not None:
                    self.take(trial, known)
                    return self.next()
                self._running.add(trial.key)
                return trial
        return None

    def _ended_before(self, trial: Trial) -> TrialResult | None:
        """What another trial of the same key came to in this run, if its budget was enough.

        One that failed with this budget is not tried again in the same run.
        """
        for result in self._ended.get(trial.key, ()):
            if result.satisfies(trial.epochs):
                return result
            if result.status != "finished" and result.budget == trial.epochs:
                return result
        return None

    def take(self, trial: Trial, result: TrialResult) -> None:
        """What a trial came to."""
        self._running.discard(trial.key)
        self._ended.setdefault(trial.key, []).append(result)
        asked = self._by_trial[trial]
        asked.results[trial] = result
        self._settle(asked)

    def results(self) -> Iterator[tuple[TrialPlan, TrialResult | None]]:
        """Each plan and what its trial came to, where that is known by now."""
        for asked in self._asked:
            for trial in asked.trials:
                yield self._plans[trial], asked.results.get(trial)
