"""All runs in the store: listed, and removed for good."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gristmill.pipelines.base import read_json
from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import tags as names
from gristmill.pipelines.tracking.run_records import (
    client,
    fetch_artifact,
    has_artifact,
    store_errors,
    whole,
)
from gristmill.pipelines.tracking.store import ARTIFACTS, is_local

PAGE = 1000
"""Runs that are asked for at a time."""

KEYS = "lineage/trials.json"
"""Artifact of a run: the keys of the trials that it needs, known ones included."""


@dataclass(frozen=True)
class StoredRun:
    """A run of Gristmill in the store, of an experiment or of one trial.

    Attributes:
        kind: `run` or `trial`.
        parent: of a trial: the run that trained it.
        status: as MLflow has it.
        deleted: whether it is in MLflow's bin.
        began, ended: seconds since 1970; `ended` is 0 while it runs.
    """

    run_id: str
    experiment: str
    kind: str
    parent: str
    status: str
    deleted: bool
    began: float
    ended: float
    artifacts: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def key(self) -> str:
        """Of a trial."""
        return self.tags.get(names.TRIAL_KEY, "")


def stored_runs(
    project: Project,
    kind: str = "",
    experiment: str = "",
    most: int | None = None,
    *,
    deleted: bool = False,
) -> list[StoredRun]:
    """Gristmill's runs, the newest first; those that a user made with MLflow alone are left out.

    Args:
        kind: `run` or `trial`; both by default.
        experiment: of one alone.
        most: how many; all by default.
        deleted: whether those in MLflow's bin are wanted as well.
    """
    from mlflow.entities import ViewType

    wanted = {names.KIND: kind, names.EXPERIMENT: experiment}
    query = " AND ".join(f"tags.`{tag}` = '{text}'" for tag, text in wanted.items() if text)
    connection, view = client(project), ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    found: list[StoredRun] = []
    token = None
    with store_errors("list its runs"):
        places = [e.experiment_id for e in connection.search_experiments(view_type=ViewType.ALL)]
        while most is None or len(found) < most:
            page = connection.search_runs(
                places, query, view, PAGE, ["attributes.start_time DESC"], token
            )
            found += [_stored(run) for run in page if names.KIND in run.data.tags]
            token = page.token
            if not token:
                break
    return found if most is None else found[:most]


def _stored(run: Any) -> StoredRun:
    info, tags = run.info, dict(run.data.tags)
    return StoredRun(
        info.run_id,
        tags.get(names.EXPERIMENT, ""),
        tags[names.KIND],
        tags.get(names.PARENT, ""),
        info.status,
        info.lifecycle_stage != "active",
        (info.start_time or 0) / 1000,
        (info.end_time or 0) / 1000,
        info.artifact_uri,
        tags,
        dict(run.data.params),
        dict(run.data.metrics),
    )


def needed_keys(project: Project, run: StoredRun, trials: Collection[StoredRun]) -> set[str]:
    """The keys of the trials that a run needs: its own, known ones that it took, its winner."""
    keys = {trial.key for trial in trials if trial.parent == run.run_id}
    keys |= {run.tags[names.WINNER]} if names.WINNER in run.tags else set()
    folder = _local(project, run.artifacts)
    if folder is not None:
        file = folder / KEYS
        return keys | set(read_json(file)) if file.is_file() else keys
    if not has_artifact(project, run.run_id, KEYS):
        return keys
    with tempfile.TemporaryDirectory() as aside:
        return keys | set(read_json(fetch_artifact(project, run.run_id, KEYS, Path(aside))))


def bytes_of(project: Project, artifacts: str) -> int:
    """What an artifact folder of the local store holds; 0 for others."""
    folder = _local(project, artifacts)
    files = folder.rglob("*") if folder is not None and folder.is_dir() else ()
    return sum(file.stat().st_size for file in files if file.is_file())


def packages_of(project: Project, runs: Collection[str]) -> list[tuple[str, str]]:
    """The logged models of some runs: id and artifact address."""
    connection = client(project)
    found: list[tuple[str, str]] = []
    token = None
    with store_errors("list its logged models"):
        places = [e.experiment_id for e in connection.search_experiments()]
        while places:
            page = connection.search_logged_models(places, page_token=token)
            found += [
                (model.model_id, model.artifact_location)
                for model in page
                if model.source_run_id in runs
            ]
            token = page.token
            if not token:
                break
    return found


@whole()
def remove_run(project: Project, run: StoredRun) -> None:
    """Removes a run; in the local store with its artifacts and for good, else into the bin."""
    connection = client(project)
    with store_errors(f"remove run {run.run_id[:8]}"):
        if not run.deleted:
            connection.delete_run(run.run_id)
        if is_local(project):
            _remove_artifacts(project, run.artifacts)
            connection._tracking_client.store._hard_delete_run(run.run_id)


@whole()
def remove_package(project: Project, model: str, artifacts: str) -> None:
    """Removes a logged model as `remove_run` does a run."""
    connection = client(project)
    with store_errors(f"remove the logged model {model}"):
        connection.delete_logged_model(model)
        if is_local(project):
            _remove_artifacts(project, artifacts)
            connection._tracking_client.store._hard_delete_logged_model(model)


def _remove_artifacts(project: Project, address: str) -> None:
    folder = _local(project, address)
    if folder is not None and folder.name == "artifacts":  # the run's or model's own folder
        shutil.rmtree(folder.parent, ignore_errors=True)


def _local(project: Project, address: str) -> Path | None:
    """The folder of an artifact address inside the project's own store; None for others."""
    parts = urlsplit(address)
    folder = Path(unquote(parts.path))
    inside = (project.root / ARTIFACTS).resolve()
    ours = parts.scheme in ("", "file") and folder.resolve().is_relative_to(inside)
    return folder if ours and folder.resolve() != inside else None
