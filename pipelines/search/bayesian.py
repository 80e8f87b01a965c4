"""Bayesian optimisation: Optuna's samplers propose points from the results of earlier ones."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from gristmill.pipelines.base import EnvironmentFault
from gristmill.pipelines.config import Distribution, Search
from gristmill.pipelines.search.space import Proposal, Space, Values, draws, identify
from gristmill.pipelines.training import TrialResult, more_is_better

SAMPLERS = {
    "tpe": ("TPESampler", "optuna"),
    "gp": ("GPSampler", "torch"),
    "cmaes": ("CmaEsSampler", "cmaes"),
    "qmc": ("QMCSampler", "scipy"),
}
"""Optuna's class and the package that it requires, by the sampler's name in the file."""

AGAIN = 10
"""Repeated proposals in a row after which a point is drawn at random instead."""


class Bayesian:
    """Proposals of an Optuna sampler.

    Proposal i uses the results of exactly the points up to i − `parallel`, in the order in which
    they were proposed, so that it does not depend on the order in which trials end.

    Args:
        search: the section `search` of the experiment file.
        space: the varied parameters.
        objective: name of a score, for example `val_accuracy`.
        past: points of earlier searches and their objective; those outside the space are ignored.

    Raises:
        EnvironmentFault: the sampler's package is not installed.
    """

    def __init__(
        self,
        search: Search,
        space: Space,
        objective: str,
        past: Iterable[tuple[Values, float]] = (),
    ) -> None:
        name, package = SAMPLERS[search.sampler]
        if find_spec(package) is None:
            raise EnvironmentFault(
                f"the sampler {search.sampler} is not available",
                expected=f"the package {package}",
                found="not installed",
                next=f"uv pip install --python .venv {package}, or search: {{sampler: tpe}}",
            )
        import optuna

        optuna.logging.set_verbosity(logging.ERROR)
        self._failed = optuna.trial.TrialState.FAIL
        self.size = search.max_trials or 0
        self._parallel, self._objective = search.parallel, objective
        self._space = {name: _distribution(space[name]) for name in sorted(space)}
        self._kinds = space
        self._draws = draws(space, search.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some samplers are marked experimental
            sampler: Any = getattr(optuna.samplers, name)(seed=search.seed)
        direction = "maximize" if more_is_better(objective) else "minimize"
        self._study = optuna.create_study(direction=direction, sampler=sampler)
        for values, score in past:
            self._remember(values, score)
        self._asked: list[tuple[Any, Proposal]] = []
        self._results: dict[tuple[Any, ...], TrialResult] = {}
        self._told = 0

    def _remember(self, values: Values, score: float) -> None:
        from optuna.trial import create_trial

        with suppress(ValueError):  # a value outside the space
            self._study.add_trial(
                create_trial(params=dict(values), distributions=self._space, value=score)
            )

    def ask(self) -> Proposal | None:
        place = len(self._asked)
        if place >= self.size:
            return None
        while self._told <= place - self._parallel:
            if identify(self._asked[self._told][1].values) not in self._results:
                return None
            self._tell_study(*self._asked[self._told])
            self._told += 1
        found = self._proposal()
        if found is None:
            self.size = place
            return None
        self._asked.append(found)
        return found[1]

    def _proposal(self) -> tuple[Any, Proposal] | None:
        """Return the sampler's next new point, or one drawn at random; None if there is no more."""
        seen = {identify(proposal.values): proposal for _, proposal in self._asked}
        for _ in range(AGAIN):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                trial = self._study.ask(self._space)
            values = {
                name: kind.rounded(trial.params[name]) for name, kind in sorted(self._kinds.items())
            }
            earlier = seen.get(identify(values))
            if earlier is None:
                return trial, Proposal(values)
            told = {identify(c.values) for _, c in self._asked[: self._told]}
            if identify(values) in told:
                self._tell_study(trial, earlier)
            else:
                self._study.tell(trial, state=self._failed)
        for drawn in self._draws:
            if identify(drawn) not in seen:
                self._study.enqueue_trial(dict(drawn))
                return self._study.ask(self._space), Proposal(drawn)
        return None

    def _tell_study(self, trial: Any, proposal: Proposal) -> None:
        result = self._results[identify(proposal.values)]
        if result.status == "finished":
            self._study.tell(trial, result.scores[self._objective])
        else:
            self._study.tell(trial, state=self._failed)

    def tell(self, proposal: Proposal, result: TrialResult) -> None:
        self._results[identify(proposal.values)] = result


def _distribution(values: Distribution) -> Any:
    """Return Optuna's distribution of the same values."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if values.choice is not None:
        return CategoricalDistribution(values.choice)
    low, high, *step = values.bounds
    if values.int_ or values.log_int:
        by = int(step[0]) if step else 1
        top = int(low) + by * (int(values.size) - 1)
        return IntDistribution(int(low), top, log=values.is_log, step=by)
    if step:
        return FloatDistribution(low, float(values.ends[-1]), step=step[0])
    return FloatDistribution(low, high, log=values.is_log)
