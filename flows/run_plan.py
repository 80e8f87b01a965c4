"""What a run would do and why, determined without Prefect, TensorFlow or MLflow."""

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
from gristmill.pipelines.preparation import owner_of
from gristmill.pipelines.search import TrialPlan, TrialSearch, plan_each, search_of
from gristmill.pipelines.tracking import StoredRun, known_run

JUDGING_MODULES = (
    *("evaluation", "evaluation/metrics", "packaging", "registry"),
    *("ingestion/readers/picture_pixels.py", "preparation/seen.py"),
    "preparation/features/transforms.py",
)
JUDGING_PACKAGES = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy")


@dataclass(frozen=True)
class Plan:
    """The steps of a run.

    Attributes:
        data: state of the data on disk relative to the pin.
        parameters: keys that are missing or outdated in `params.yaml`.
        stages: states of the data stages.
        trials: None until the data they depend on are built. For an adaptive strategy only those
            requested so far.
        done: the earlier run with the same inputs and a result, or None.
        refit: training of the winner on the rows of all folds; None without folds, or while the
            winner is unknown.
        remaining: maximum number of trials that depend on the results of others.
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
        """Whether a trial has to be trained, as far as is known."""
        if self.trials is None or (self.refit is not None and self.refit.known is None):
            return True
        return self.remaining > 0 or any(trial.known is None for trial in self.trials)


def make_plan(project: Project, experiment: Experiment, *, force: bool = False) -> Plan:
    """Plan a run.

    Args:
        project: the project.
        experiment: what the run is to train.
        force: plan every trial as if none were known.

    Raises:
        ConfigError: what a step would refuse is known already: an expectation of Great
            Expectations, cuts that cannot be shared, what the evaluation asks of the data.
    """
    folder = experiment.data.folder
    parameters = project.stale_parameters(experiment.name, folder)
    found = data_plan(project, experiment.name, folder)
    data, digests = found.data, found.digests
    stages = _with_shared_cuts(project, experiment, found.stages)
    if any(stage.changes for stage in stages if stage.name == "validate"):
        from gristmill.pipelines.validation import check_expectations

        check_expectations(project, experiment.document.schema_)
    if any(stage.changes for stage in stages if stage.name == "split"):
        owner_of(project, experiment.name, experiment.document)
    if data is not DataState.PINNED or parameters or any(stage.changes for stage in stages):
        return Plan(data, parameters, stages, None, None)
    search = search_of(project, experiment, digests, force=force)
    if not experiment.document.search.is_adaptive:
        search.advance()
    done = known_run(project, run_key(experiment, search, digests))
    if done is not None:
        return Plan(data, parameters, stages, search.plans, done)
    if _asks_of_data(experiment):
        from gristmill.pipelines.evaluation import check_asked

        check_asked(project, experiment)
    search.advance()
    refit = _foreseen_refit(project, experiment, search)
    return Plan(data, parameters, stages, search.plans, None, refit, search.remaining)


def _asks_of_data(experiment: Experiment) -> bool:
    document = experiment.document
    asked = document.evaluation
    named = any(":" in metric for metric in document.test_metrics)
    return bool(document.gate.slices or asked.slices.columns or asked.threshold or named)


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
    reason = f"the cuts of {owner} changed"
    return [
        replace(state, changes=(*state.changes, reason)) if state.name == "split" else state
        for state in stages
    ]


def run_key(experiment: Experiment, search: TrialSearch, digests: Mapping[str, str]) -> str:
    """Return a digest of everything that a run's decision depends on.

    Args:
        experiment: the experiment.
        search: its search, with the trials requested so far.
        digests: DVC's hashes of the stages' inputs and outputs, by path.

    Returns:
        32 hexadecimal digits.
    """
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
    """Return the normalised source of the code that a decision depends on, by file."""
    root = Path(pipelines.__path__[0])
    files = [
        file
        for name in JUDGING_MODULES
        for file in ([root / name] if name.endswith(".py") else sorted((root / name).glob("*.py")))
    ]
    return {f"{file.parent.name}/{file.name}": normalised_source(file) for file in files}
