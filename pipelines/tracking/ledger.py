"""The ledger: known trials, earlier runs, and the data and test rows that they read.

For the local store mlflow is not imported.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import tags as names
from gristmill.pipelines.tracking.local_store import local_models
from gristmill.pipelines.tracking.run_store import find_run, find_runs, stored_runs
from gristmill.pipelines.tracking.store import is_local
from gristmill.pipelines.tracking.stored import StoredRun

FINISHED = "FINISHED"


def known_trials(project: Project, keys: Sequence[str]) -> dict[str, list[StoredRun]]:
    """Return the finished trials with these keys, the newest of each key first."""
    found: dict[str, list[StoredRun]] = {}
    asked = {names.TRIAL_KEY: keys, names.TRIAL_RESULT: ()}
    for run in find_runs(project, asked, status=FINISHED) if keys else ():
        found.setdefault(run.key, []).append(run)
    return found


def known_run(project: Project, key: str) -> StoredRun | None:
    """Return the newest run with this key that has a decision and whose version still exists."""
    for run in find_runs(project, {names.RUN_KEY: [key]}, status=FINISHED):
        if run.decision and _version_exists(project, run.model, run.version):
            return run
    return None


def past_trials(project: Project, experiment: str, most: int = 200) -> list[StoredRun]:
    """Return an experiment's finished trials, the newest first, each key once.

    Args:
        project: the project.
        experiment: name of the experiment.
        most: largest number of trials to read, repeated keys included.
    """
    found: dict[str, StoredRun] = {}
    asked = {names.EXPERIMENT: [experiment], names.TRIAL_PARTS: ()}
    for run in find_runs(project, asked, status=FINISHED, most=most):
        found.setdefault(run.key or run.run_id, run)
    return list(found.values())


def tried(project: Project, experiment: str, before: float) -> list[StoredRun]:
    """Return the finished trials of an experiment that ended before a time.

    Args:
        project: the project.
        experiment: name of the experiment.
        before: seconds since 1970.
    """
    asked = {names.EXPERIMENT: [experiment], names.TRIAL_RESULT: ()}
    return [run for run in find_runs(project, asked, status=FINISHED) if run.ended <= before]


def search_began(project: Project, key: str) -> float:
    """Return when the first run of a search began, in seconds since 1970; infinity if none did."""
    began = [run.began for run in find_runs(project, {names.SEARCH: [key]})]
    return min(began, default=math.inf)


def run_tags(project: Project, run_id: str) -> Mapping[str, str]:
    """Return the tags of a run; empty if it does not exist."""
    run = find_run(project, run_id)
    return run.tags if run else {}


def _version_exists(project: Project, model: str, version: str) -> bool:
    if not is_local(project):
        return True
    found = local_models(project, model)
    return version in {one.number for known in found for one in known.versions}


def evaluated_runs(project: Project) -> list[StoredRun]:
    """Return the runs with test metrics of their winner, the newest first."""
    return [run for run in stored_runs(project, "run") if run.tested]


def rows_read(project: Project, run_id: str) -> int:
    """Return the number of rows of all roles that a run read; 0 if unknown."""
    run = find_run(project, run_id)
    return sum(data.rows for data in run.inputs) if run else 0


def data_rows(project: Project, folder: str, experiments: Collection[str]) -> dict[str, int]:
    """Return the numbers of rows of a data set's versions, by DVC's hash, as logged by runs.

    Args:
        project: the project.
        folder: the data set's folder below `data/`.
        experiments: names of the experiments whose runs are read.
    """
    found: dict[str, int] = {}
    asked = {names.KIND: ["run"], names.EXPERIMENT: experiments}
    for run in find_runs(project, asked, deleted=True):
        read = [data for data in run.inputs if data.name == folder]
        for digest in {data.digest for data in read}:
            rows = {data.role: data.rows for data in read if data.digest == digest}
            if len(rows) == len(names.ROLES):
                found[digest] = sum(rows.values())
    return found


def reads_with(project: Project, test_set: str, answers: str) -> int:
    """Return how many candidates a test set has judged, including one with these predictions.

    Args:
        project: the project.
        test_set: digest of the test rows.
        answers: digest of the candidate's predictions; equal predictions count once.
    """
    asked = {names.TEST_SET: [test_set], names.ANSWERS: (), names.READS: ()}
    found = [run.tags for run in find_runs(project, asked, deleted=True)]
    most = max((int(tags[names.READS]) for tags in found), default=0)
    return most + (answers not in {tags[names.ANSWERS] for tags in found})
