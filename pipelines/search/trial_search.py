"""A search: its strategy gets known results from the ledger; unknown trials are to be trained."""

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
    """A trial, and whether it has to be trained.

    Attributes:
        trial: the trial.
        state: `known`, `unfinished` or `new`.
        reason: the score of a known trial; why another one has to be trained.
        known: the result from the ledger; None if it has to be trained.
        run_id: MLflow's id of the run with that result; else empty.
    """

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
    """One search of an experiment: the trials asked for so far, their results, and the next ones.

    With the same ledger it asks for the same trials. A stopped search therefore resumes where it
    ended, and one with nothing to do ends without training.

    Args:
        experiment: the checked file with overrides.
        shared: the parts that the keys of its trials have in common.
        look: looks trials up in the ledger.
        past: returns points of earlier searches by the search's key, for strategies that learn from
            them; called once.

    Attributes:
        past: the points of earlier searches that were used.
        cut: whether `max_time` ended the search.
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
        """A representative trial: the one at the lower ends of the space."""
        values = {name: values.ends[0] for name, values in self._experiment.space.items()}
        return trials_at(self._experiment, self._shared, values)[0]

    @property
    def key(self) -> str:
        """Digest of everything an adaptive strategy's proposals depend on, except their number."""
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
        """The parts of the search that a run's decision depends on; call `advance` before it."""
        search = self._experiment.document.search
        limits = {"max_time": search.seconds} if search.max_time is not None else {}
        if search.is_adaptive:
            return {"search": self.key, "max_trials": search.max_trials, **limits}
        return {"trials": sorted((trial.key, trial.epochs) for trial in self._plans), **limits}

    @property
    def plans(self) -> list[TrialPlan]:
        """Every trial asked for so far; the trials of a point are adjacent."""
        return [self._plans[trial] for asked in self._asked for trial in asked.trials]

    @property
    def _whole(self) -> list[Point]:
        return [asked.point for asked in self._asked if asked.point is not None]

    @property
    def points(self) -> list[Point]:
        """The completed points, each with its largest budget."""
        return list({point.trial.point: point for point in self._whole}.values())

    @property
    def comparable(self) -> list[Point]:
        """The completed points with the most frequent budget."""
        whole = self._whole
        counts = Counter(point.trial.epochs for point in whole)
        return [point for point in whole if point.trial.epochs == counts.most_common(1)[0][0]]

    @property
    def winner(self) -> Point:
        """The best of the points with the largest budget that any point finished.

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
        """Largest number of trials that the strategy may still ask for; 0 if none is waiting."""
        if not self._waiting:
            return 0
        each = len(self._asked[0].trials) if self._asked else 1
        return max(self._strategy.size - len(self._asked), 0) * each

    @property
    def trains(self) -> bool:
        """Whether a trial that was asked for has to be trained."""
        return bool(self._waiting)

    def advance(self) -> None:
        """Ask the strategy for points until it waits for results that are not known."""
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
        # fold by fold, because the trials of a fold share a traced program; but point by point if
        # the search has a time limit, so that some points are complete
        by_fold = math.isinf(self._experiment.document.search.seconds)
        self._waiting.sort(key=lambda trial: (by_fold * (trial.fold or 0), trial.epochs))

    def _settle(self, asked: _Asked) -> None:
        if asked.point is not None or len(asked.results) < len(asked.trials):
            return
        (asked.point,) = points_of(asked.trials, [asked.results[t] for t in asked.trials])
        self._strategy.tell(asked.proposal, asked.point.result)

    def begin(self) -> None:
        """Start the time limit `max_time`."""
        self._deadline = time.monotonic() + self._experiment.document.search.seconds

    def next(self) -> Trial | None:
        """Return a trial to train, or None if there is nothing to train now.

        Two budgets of one key never run at the same time, because the longer one resumes the
        shorter. `max_time` has no effect before one point is complete.
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
        """Return a result of the same key from this run, if its budget was sufficient.

        A trial that failed with this budget is not trained again in the same run.
        """
        for result in self._ended.get(trial.key, ()):
            if result.satisfies(trial.epochs):
                return result
            if result.status != "finished" and result.budget == trial.epochs:
                return result
        return None

    def take(self, trial: Trial, result: TrialResult) -> None:
        """Record the result of a trial."""
        self._running.discard(trial.key)
        self._ended.setdefault(trial.key, []).append(result)
        asked = self._by_trial[trial]
        asked.results[trial] = result
        self._settle(asked)

    def results(self) -> Iterator[tuple[TrialPlan, TrialResult | None]]:
        """Yield each plan and its trial's result, None if it is not known yet."""
        for asked in self._asked:
            for trial in asked.trials:
                yield self._plans[trial], asked.results.get(trial)
