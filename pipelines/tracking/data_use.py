"""Which runs read which data, and who has answered which test rows."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import tags as names
from gristmill.pipelines.tracking.run_store import find_run, find_runs, stored_runs


@dataclass(frozen=True)
class EvaluatedRun:
    """A run whose winner has answered the test rows.

    Attributes:
        experiment: of which it is a run.
        metrics: names of the test metrics.
        version: that it made or came to again; empty where it came to none.
    """

    run_id: str
    experiment: str
    metrics: tuple[str, ...]
    version: str


@dataclass(frozen=True)
class UsedData:
    """A run and the version of a data set that it read.

    Attributes:
        folder, digest: of the data set, below `data/`, and DVC's hash of it.
        began: seconds since 1970.
        decision: over the version that it made; empty where it came to none.
    """

    run_id: str
    experiment: str
    folder: str
    digest: str
    began: float
    status: str
    decision: str


def evaluated_runs(project: Project) -> list[EvaluatedRun]:
    """The runs of any store that came to test metrics, the newest first."""
    found = []
    for run in stored_runs(project, "run"):
        tested = [key for key in run.metrics if key.startswith(names.TEST)]
        if tested:
            metrics = tuple(key.removeprefix(names.TEST) for key in tested)
            version = run.tags.get(names.VERSION, "")
            found.append(EvaluatedRun(run.run_id, run.experiment, metrics, version))
    return found


def used_data(project: Project) -> list[UsedData]:
    """The runs of any store that say which data they read, the newest first."""
    return [
        UsedData(
            *(run.run_id, run.experiment, key.removeprefix(names.DATA_TAG), digest),
            *(run.began, run.status, run.tags.get(names.DECISION, "")),
        )
        for run in stored_runs(project, "run")
        for key, digest in run.tags.items()
        if key.startswith(names.DATA_TAG)
    ]


def rows_read(project: Project, run_id: str) -> int:
    """How many rows a run read, of all roles; 0 where that is not known."""
    run = find_run(project, run_id)
    return sum(data.rows for data in run.inputs) if run else 0


def data_rows(project: Project, folder: str, experiments: Collection[str]) -> dict[str, int]:
    """Rows of a data set's versions, by DVC's hash, as runs of these experiments saw them."""
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
    """How many candidates a test set has had, one with these answers included.

    Args:
        test_set: digest of its rows.
        answers: digest of what the candidate answered; those that were given before count once.
    """
    asked = {names.TEST_SET: [test_set], names.ANSWERS: (), names.READS: ()}
    found = [run.tags for run in find_runs(project, asked, deleted=True)]
    most = max((int(tags[names.READS]) for tags in found), default=0)
    return most + (answers not in {tags[names.ANSWERS] for tags in found})
