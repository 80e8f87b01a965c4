"""What a run would do and why, found out without Prefect, TensorFlow or MLflow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

from gristmill import pipelines
from gristmill.pipelines.base import normalised_source
from gristmill.pipelines.config import Experiment, Project
from gristmill.pipelines.ingestion import DataState, StageState, data_plan
from gristmill.pipelines.search import TrialPlan, TrialSearch, plan_each, search_of
from gristmill.pipelines.tracking import StoredRun, known_run

JUDGING_MODULES = (
    *("evaluation", "evaluation/metrics", "packaging", "registry"),
    *("preparation/seen.py", "preparation/features/transforms.py"),
)
JUDGING_PACKAGES = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy")


@dataclass(frozen=True)
class Plan:
    """All steps of a run.

    Attributes:
        data: how the data on disk stand to the pin.
        parameters: what `params.yaml` has to learn first.
        stages: the data stages.
        trials: None while the data that they depend on are still to be made. Of a strategy whose
            trials depend on each other those that are asked for so far.
        remaining: trials at most that may be asked for once it is known what others came to.
        done: the earlier run that came to this very end, if there is one.
        refit: the winner on the rows of all folds; None without folds, or while it is not known
            who wins.
    """

    data: DataState
    parameters: Sequence[str]
    stages: Sequence[StageState]
    trials: Sequence[TrialPlan] | None
    done: StoredRun | None
    refit: TrialPlan | None = None
    remaining: int = 0

    @property
    def trains(self) -> bool:
        """Whether a trial has to be trained, as far as that is known."""
        if self.trials is None or (self.refit is not None and self.refit.known is None):
            return True
        return self.remaining > 0 or any(trial.known is None for trial in self.trials)


def make_plan(project: Project, experiment: Experiment) -> Plan:
    """Plans a run.

    Raises:
        ConfigError: an expectation of Great Expectations is wrong, and was not checked before.
    """
    folder = experiment.data.folder
    parameters = project.stale_parameters(experiment.name, folder)
    found = data_plan(project, experiment.name, folder)
    data, digests = found.data, found.digests
    stages = _with_shared_cuts(project, experiment, found.stages)
    if any(stage.changes for stage in stages if stage.name == "validate"):
        from gristmill.pipelines.validation import check_expectations

        check_expectations(project, experiment.document.schema_)
    if data is not DataState.PINNED or parameters or any(stage.changes for stage in stages):
        return Plan(data, parameters, stages, None, None)
    search = search_of(project, experiment, digests)
    if not experiment.document.search.is_adaptive:
        search.advance()
    done = known_run(project, run_key(experiment, search, digests))
    if done is not None:
        return Plan(data, parameters, stages, search.plans, done)
    search.advance()
    refit = _foreseen_refit(project, experiment, search)
    return Plan(data, parameters, stages, search.plans, None, refit, search.remaining)


def _foreseen_refit(
    project: Project, experiment: Experiment, search: TrialSearch
) -> TrialPlan | None:
    if search.trains:
        return None
    refit = search.winner.refit
    return None if refit is None else plan_each(project, experiment, [refit])[0]


def _with_shared_cuts(
    project: Project, experiment: Experiment, stages: Sequence[StageState]
) -> Sequence[StageState]:
    owner = experiment.document.split.as_
    if not project.stale_cuts(experiment.name, owner):
        return stages
    reason = f"the cuts of {owner} are others now"
    return [
        replace(state, changes=(*state.changes, reason)) if state.name == "split" else state
        for state in stages
    ]


def run_key(experiment: Experiment, search: TrialSearch, digests: Mapping[str, str]) -> str:
    """What a run's decision depends on, as 32 hexadecimal digits."""
    document = experiment.document
    parts = {
        "experiment": experiment.name,
        **search.identity,
        "objective": document.objective,
        "test": digests[f"build/{experiment.name}/test"],
        "evaluation": document.evaluation.model_dump() | {"metrics": document.test_metrics},
        "gate": document.gate.model_dump(),
        "sources": judging_sources(),
        "packages": {name: version(name) for name in JUDGING_PACKAGES},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def judging_sources() -> dict[str, str]:
    """The meaning of the code that a decision depends on, by file."""
    root = Path(pipelines.__path__[0])
    files = [
        file
        for name in JUDGING_MODULES
        for file in ([root / name] if name.endswith(".py") else sorted((root / name).glob("*.py")))
    ]
    return {f"{file.parent.name}/{file.name}": normalised_source(file) for file in files}
