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
from flows.search import Past, Search, TrialPlan
from pipelines.config import Experiment, Project, Scalar, normalised_source
from pipelines.ingestion.versions import DataState, StageState, data_plan
from pipelines.tracking import (
    KnownRun,
    KnownTrial,
    known_run,
    known_trials,
    search_began,
    tried,
)
from pipelines.training import (
    Trial,
    TrialResult,
    points_of,
    shared_parts,
    trials_at,
)

JUDGING_MODULES = ("evaluation", "registry", "preparation/seen.py", "preparation/transform.py")
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
    done: KnownRun | None
    refit: TrialPlan | None = None
    remaining: int = 0

    @property
    def trains(self) -> bool:
        """Whether a trial has to be trained, as far as that is known."""
        if self.trials is None or (self.refit is not None and self.refit.known is None):
            return True
        return self.remaining > 0 or any(trial.known is None for trial in self.trials)


def make_plan(project: Project, experiment: Experiment) -> Plan:
    """Plans a run."""
    folder = experiment.data.folder
    parameters = project.stale_parameters(experiment.name, folder)
    found = data_plan(project, experiment.name, folder)
    data, digests = found.data, found.digests
    stages = _with_shared_cuts(project, experiment, found.stages)
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


def _foreseen_refit(project: Project, experiment: Experiment, search: Search) -> TrialPlan | None:
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


def search_of(
    project: Project, experiment: Experiment, digests: Mapping[str, str], *, force: bool = False
) -> Search:
    """The experiment's search, at its beginning.

    Args:
        digests: DVC's hashes of what the stages made.
        force: take no trial as known.
    """
    shared = shared_parts(experiment, digests[f"build/{experiment.name}/training"])

    def look(asked: Sequence[Trial]) -> list[TrialPlan]:
        return plan_each(project, experiment, asked, force=force)

    def past(key: str) -> Past:
        return earlier_points(project, experiment, shared, key)

    return Search(experiment, shared, look, past)


def earlier_points(
    project: Project, experiment: Experiment, shared: Mapping[str, str], key: str
) -> Past:
    """Points that were known before a search first began, and their objective.

    Only trials that this experiment itself would train at their values: then the data, the code
    and all other settings are the same.
    """
    known: dict[str, list[KnownTrial]] = {}
    points: dict[str, Mapping[str, Scalar]] = {}
    for past in tried(project, experiment.name, search_began(project, key)):
        known.setdefault(past.trial.result["key"], []).append(past.trial)
        try:
            values = {n: v.read(past.parameters[n]) for n, v in experiment.space.items()}
        except (KeyError, ValueError):  # tried without this parameter, or outside of its space
            continue
        points[repr(values)] = values
    found: Past = []
    for point in points.values():
        asked = trials_at(experiment, shared, point)
        satisfying = [_satisfying(trial, known.get(trial.key, [])) for trial in asked]
        results = [_result(entry) for entry in satisfying if entry is not None]
        if len(results) == len(asked):
            (made,) = points_of(asked, results)
            found.append((point, made.result.scores[experiment.document.objective]))
    return sorted(found, key=repr)


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
            result = _result(found)
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


def run_key(experiment: Experiment, search: Search, digests: Mapping[str, str]) -> str:
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


def _satisfying(trial: Trial, known: Sequence[KnownTrial]) -> KnownTrial | None:
    return next((entry for entry in known if _result(entry).satisfies(trial.epochs)), None)


def _result(known: KnownTrial) -> TrialResult:
    return TrialResult(**{**known.result, "history": {}})
