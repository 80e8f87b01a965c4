"""What a run would do and why, found out without Prefect, TensorFlow or MLflow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import pipelines
from flows.reasons import Reasons
from pipelines.config import Experiment, Project, normalised_source
from pipelines.ingestion.versions import DataState, StageState, data_plan
from pipelines.tracking import KnownRun, KnownTrial, known_run, known_trials
from pipelines.training import (
    Trial,
    TrialResult,
    choose,
    points_of,
    trials,
)

JUDGING_MODULES = ("evaluation", "registry", "preparation/transform.py")
JUDGING_PACKAGES = ("mlflow", "numpy", "pandas", "scikit-learn", "scipy")


@dataclass(frozen=True)
class TrialPlan:
    """A trial and whether it has to be trained."""

    trial: Trial
    state: str
    reason: str
    known: TrialResult | None
    run_id: str


@dataclass(frozen=True)
class Plan:
    """All steps of a run.

    Attributes:
        data: how the data on disk stand to the pin.
        parameters: what `params.yaml` has to learn first.
        stages: the data stages.
        trials: None while the data that they depend on are still to be made.
        done: the earlier run that came to this very end, if there is one.
        refit: the winner on the rows of all folds; None without folds, or while it is not known
            who wins.
    """

    data: DataState
    parameters: Sequence[str]
    stages: Sequence[StageState]
    trials: Sequence[TrialPlan] | None
    done: KnownRun | None
    refit: TrialPlan | None = None

    @property
    def trains(self) -> bool:
        """Whether a trial has to be trained, as far as that is known."""
        if self.trials is None or (self.refit is not None and self.refit.known is None):
            return True
        return any(trial.known is None for trial in self.trials)


def make_plan(project: Project, experiment: Experiment) -> Plan:
    """Plans a run."""
    folder = experiment.data.folder
    parameters = project.stale_parameters(experiment.name, folder)
    found = data_plan(project, experiment.name, folder)
    data, digests = found.data, found.digests
    stages = _with_shared_cuts(project, experiment, found.stages)
    if data is not DataState.PINNED or parameters or any(stage.changes for stage in stages):
        return Plan(data, parameters, stages, None, None)
    planned = plan_trials(project, experiment, digests)
    key = run_key(experiment, [entry.trial for entry in planned], digests)
    done = known_run(project, key)
    refit = None if done is not None else _foreseen_refit(project, experiment, planned)
    return Plan(data, parameters, stages, planned, done, refit)


def _foreseen_refit(
    project: Project, experiment: Experiment, planned: Sequence[TrialPlan]
) -> TrialPlan | None:
    results = [plan.known for plan in planned if plan.known is not None]
    if len(results) < len(planned):
        return None
    points = points_of([plan.trial for plan in planned], results)
    best = choose([point.result for point in points], experiment.document.objective)
    refit = next(point for point in points if point.trial.key == best.key).refit
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


def plan_trials(
    project: Project, experiment: Experiment, digests: Mapping[str, str], *, force: bool = False
) -> list[TrialPlan]:
    """Each trial of the experiment: known, unfinished or new.

    Args:
        digests: DVC's hashes of what the stages made.
        force: take none as known.
    """
    asked = trials(experiment, digests[f"build/{experiment.name}/training"])
    return plan_each(project, experiment, asked, force=force)


def plan_each(
    project: Project, experiment: Experiment, asked: Sequence[Trial], *, force: bool = False
) -> list[TrialPlan]:
    """Each of some trials: known, unfinished or new."""
    known = {} if force else known_trials(project, [trial.key for trial in asked])
    reasons = Reasons(project, experiment)
    made = []
    for trial in asked:
        found = _satisfying(trial, known.get(trial.key, []))
        if found is not None:
            result = TrialResult(**{**found.result, "history": {}})
            words = score_words(result.scores, experiment.document.objective)
            made.append(TrialPlan(trial, "known", words, result, found.run_id))
            continue
        folder = project.build(experiment.name) / "trials" / trial.key
        budgets = [entry.result["budget"] for entry in known.get(trial.key, [])]
        budget = f"epochs: {max(budgets)} → {trial.epochs}" if budgets else ""
        if (folder / "state.npz").exists() and not force:
            words = ", ".join(filter(None, [budget, "goes on where it ended"]))
            made.append(TrialPlan(trial, "unfinished", words, None, ""))
            continue
        words = "forced" if force else budget or reasons.of(trial)
        made.append(TrialPlan(trial, "new", words, None, ""))
    return made


def score_words(scores: Mapping[str, float], objective: str) -> str:
    """The objective, or the same of the training rows where none validate."""
    name = objective if objective in scores else objective.removeprefix("val_")
    return f"{name} {scores.get(name, float('nan')):.4g}"


def run_key(experiment: Experiment, asked: Sequence[Trial], digests: Mapping[str, str]) -> str:
    """What a run's decision depends on, as 32 hexadecimal digits."""
    document = experiment.document
    root = Path(pipelines.__path__[0])
    files = [
        file
        for name in JUDGING_MODULES
        for file in ([root / name] if name.endswith(".py") else sorted((root / name).glob("*.py")))
    ]
    parts = {
        "experiment": experiment.name,
        "trials": sorted((trial.key, trial.epochs) for trial in asked),
        "objective": document.objective,
        "test": digests[f"build/{experiment.name}/test"],
        "evaluation": document.test_metrics,
        "gate": document.gate.model_dump(),
        "sources": {f"{file.parent.name}/{file.name}": normalised_source(file) for file in files},
        "packages": {name: version(name) for name in JUDGING_PACKAGES},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _satisfying(trial: Trial, known: Sequence[KnownTrial]) -> KnownTrial | None:
    for entry in known:
        if TrialResult(**{**entry.result, "history": {}}).satisfies(trial.epochs):
            return entry
    return None
