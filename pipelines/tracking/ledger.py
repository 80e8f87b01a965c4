"""The ledger: is this trial known, has this run been done? Local answers need no mlflow."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import tags as names
from gristmill.pipelines.tracking.local_store import local_models
from gristmill.pipelines.tracking.run_store import find_run, find_runs
from gristmill.pipelines.tracking.store import is_local
from gristmill.pipelines.tracking.stored import StoredRun

FINISHED = "FINISHED"


@dataclass(frozen=True)
class KnownTrial:
    """A finished trial in the store; `result` is a TrialResult without its history."""

    run_id: str
    artifacts: str
    result: Mapping[str, Any]


@dataclass(frozen=True)
class KnownRun:
    """A run that went through to its decision."""

    run_id: str
    decision: str
    reasons: str
    model: str
    version: str
    winner: str


@dataclass(frozen=True)
class PastTrial:
    """A finished trial, as something to compare with.

    Attributes:
        run_id, parent: of it and of the run that it belongs to.
        parts: what its key was made of.
        recipe: its resolved settings; None where they were not kept.
    """

    run_id: str
    parent: str
    parts: Mapping[str, str]
    recipe: Mapping[str, Any] | None


@dataclass(frozen=True)
class Tried:
    """A finished trial and the parameters that it was trained with, as texts."""

    parameters: Mapping[str, str]
    trial: KnownTrial


def known_trials(project: Project, keys: Sequence[str]) -> dict[str, list[KnownTrial]]:
    """Finished trials by key, newest first."""
    found: dict[str, list[KnownTrial]] = {}
    asked = {names.TRIAL_KEY: keys, names.TRIAL_RESULT: ()}
    for run in find_runs(project, asked, status=FINISHED) if keys else ():
        found.setdefault(run.key, []).append(_known_trial(run))
    return found


def known_run(project: Project, key: str) -> KnownRun | None:
    """The newest finished run of this key whose registered version is still there."""
    wanted = (names.DECISION, names.REASONS, names.MODEL, names.VERSION, names.WINNER)
    for run in find_runs(project, {names.RUN_KEY: [key]}, status=FINISHED):
        known = KnownRun(run.run_id, *(run.tags.get(name, "") for name in wanted))
        if known.decision and _version_exists(project, known.model, known.version):
            return known
    return None


def past_trials(project: Project, experiment: str, most: int = 200) -> list[PastTrial]:
    """The experiment's finished trials, the newest first, each key once."""
    found: dict[str, PastTrial] = {}
    asked = {names.EXPERIMENT: [experiment], names.TRIAL_PARTS: ()}
    for run in find_runs(project, asked, status=FINISHED, most=most):
        recipe = json.loads(run.tags[names.RECIPE]) if names.RECIPE in run.tags else None
        parts = dict(json.loads(run.tags[names.TRIAL_PARTS]))
        found.setdefault(run.key or run.run_id, PastTrial(run.run_id, run.parent, parts, recipe))
    return list(found.values())


def tried(project: Project, experiment: str, before: float) -> list[Tried]:
    """The finished trials of an experiment that ended before a time, in seconds since 1970."""
    asked = {names.EXPERIMENT: [experiment], names.TRIAL_RESULT: ()}
    return [
        Tried(run.params, _known_trial(run))
        for run in find_runs(project, asked, status=FINISHED)
        if run.ended <= before
    ]


def search_began(project: Project, key: str) -> float:
    """When the first run of a search began, in seconds since 1970; infinite while there is none."""
    began = [run.began for run in find_runs(project, {names.SEARCH: [key]})]
    return min(began, default=math.inf)


def run_tags(project: Project, run_id: str) -> Mapping[str, str]:
    """The tags of a run; none when it is not there."""
    run = find_run(project, run_id)
    return run.tags if run else {}


def _known_trial(run: StoredRun) -> KnownTrial:
    return KnownTrial(run.run_id, run.artifacts, json.loads(run.tags[names.TRIAL_RESULT]))


def _version_exists(project: Project, model: str, version: str) -> bool:
    if not is_local(project):
        return True
    found = local_models(project, model)
    return version in {one.number for known in found for one in known.versions}
