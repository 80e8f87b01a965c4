"""Runs in the store and their artifacts: list, read and remove them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import unquote, urlsplit

from gristmill.pipelines.base import EnvironmentFault, first_line, read_json
from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import tags as names
from gristmill.pipelines.tracking.connection import client, pages, store_errors, whole
from gristmill.pipelines.tracking.local_store import local_package, local_runs
from gristmill.pipelines.tracking.store import ARTIFACTS, is_local, relocate
from gristmill.pipelines.tracking.stored import DataInput, StoredRun, StoredVersion

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run

Content = TypeVar("Content")

PAGE = 1000
"""Runs per request."""

ASKED_AT_ONCE = 8
"""Concurrent requests to an MLflow server."""

KEYS = "lineage/trials.json"
"""Artifact of a run: the keys of all trials it depends on, including those trained before."""


def find_runs(
    project: Project,
    tags: Mapping[str, Collection[str]],
    *,
    status: str = "",
    deleted: bool = False,
    most: int | None = None,
) -> list[StoredRun]:
    """Return runs of the store, local or not; the newest first, finished ones by their end.

    Args:
        project: the project.
        tags: accepted values by tag; with no values the tag must exist. At most one tag can have
            several values.
        status: MLflow's status, for example `FINISHED`; any by default.
        deleted: whether to include deleted runs.
        most: largest number of runs; all by default.
    """
    if is_local(project):
        return local_runs(project, tags, status=status, deleted=deleted, most=most)
    filters = [f"attributes.status = '{status}'"] if status else []
    several = [tag for tag, texts in tags.items() if len(texts) > 1]
    filters += [f"tags.`{tag}` = '{next(iter(texts))}'" for tag, texts in tags.items() if texts]
    if not several:
        found = search_runs(project, " AND ".join(filters), deleted=deleted, most=most)
        return [run for run in found if tags.keys() <= run.tags.keys()]
    (tag,) = several  # MLflow's filters know no "one of these"
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
        asked = pool.map(
            lambda text: find_runs(
                project, {**tags, tag: [text]}, status=status, deleted=deleted, most=most
            ),
            dict.fromkeys(tags[tag]),
        )
        found = list(chain.from_iterable(asked))
    ends = status == "FINISHED"
    return sorted(found, key=lambda run: (-(run.ended if ends else run.began), run.run_id))


def find_run(project: Project, run_id: str) -> StoredRun | None:
    """Return a run of the store, local or not; None if it does not exist."""
    if is_local(project):
        return next(iter(local_runs(project, {}, deleted=True, run_id=run_id)), None)
    from mlflow.exceptions import MlflowException

    try:
        return stored_run(client(project).get_run(run_id))
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def stored_runs(
    project: Project,
    kind: str = "",
    experiment: str = "",
    most: int | None = None,
    *,
    deleted: bool = False,
) -> list[StoredRun]:
    """Return the runs that Gristmill created, the newest first.

    Args:
        project: the project.
        kind: `run` or `trial`; both by default.
        experiment: name of an experiment; all by default.
        most: largest number of runs; all by default.
        deleted: whether to include deleted runs.
    """
    tags = {names.KIND: [kind] * bool(kind), names.EXPERIMENT: [experiment] * bool(experiment)}
    return find_runs(project, tags, deleted=deleted, most=most)


def search_runs(
    project: Project, query: str, *, deleted: bool, most: int | None
) -> list[StoredRun]:
    """Return runs of all experiments through MLflow's client.

    Args:
        project: the project.
        query: filter in MLflow's search syntax.
        deleted: whether to include deleted runs.
        most: largest number of runs; all if None.
    """
    from mlflow.entities import ViewType

    connection, view = client(project), ViewType.ALL if deleted else ViewType.ACTIVE_ONLY
    order = "end_time" if "FINISHED" in query else "start_time"
    with store_errors("list its runs"):
        places = [e.experiment_id for e in connection.search_experiments(view_type=ViewType.ALL)]
        asked = (places, query, view, PAGE, [f"attributes.{order} DESC"])
        found: Iterator[Run] = pages(partial(connection.search_runs, *asked))
        return [stored_run(run) for run in islice(found, most)]


def stored_run(run: Run) -> StoredRun:
    """Return the record of a run from MLflow's client."""
    info = run.info
    inputs = (
        DataInput.read(
            one.dataset.name, one.dataset.digest, one.dataset.source, one.dataset.profile
        )
        for one in sorted(run.inputs.dataset_inputs, key=lambda one: one.dataset.name)
    )
    return StoredRun(
        info.run_id,
        info.status,
        info.lifecycle_stage != "active",
        (info.start_time or 0) / 1000,
        (info.end_time or 0) / 1000,
        info.artifact_uri,
        dict(run.data.tags),
        dict(run.data.params),
        dict(run.data.metrics),
        tuple(filter(None, inputs)),
    )


def fetch_artifact(project: Project, run_id: str, name: str, folder: Path) -> Path:
    """Copy an artifact of a run into a folder; return its path there.

    Args:
        project: the project.
        run_id: MLflow's id of the run.
        name: path of the artifact in the run.
        folder: destination, created if needed.

    Raises:
        EnvironmentFault: the artifact does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    connection = client(project)
    from mlflow.exceptions import MlflowException

    try:
        return Path(connection.download_artifacts(run_id, name, str(folder)))
    except (MlflowException, OSError) as error:
        raise EnvironmentFault(
            f"the artifact {name} of run {run_id[:8]} is not in the store", found=first_line(error)
        ) from error


def keep_artifact(project: Project, run_id: str, file: Path, folder: str | None = None) -> None:
    """Store a file as an artifact of a run; one of the same name is replaced.

    Args:
        project: the project.
        run_id: MLflow's id of the run.
        file: the file.
        folder: folder among the run's artifacts; the top one if None.
    """
    connection = client(project)
    with whole(), store_errors(f"keep {file.name}"):
        connection.log_artifact(run_id, str(file), folder)


def has_artifact(project: Project, run_id: str, name: str) -> bool:
    """Return whether a run has an artifact; a store that does not answer raises an error.

    Args:
        project: the project.
        run_id: MLflow's id of the run.
        name: path of the artifact in the run.
    """
    connection = client(project)
    folder = name.rpartition("/")[0] or None
    with store_errors(f"list the artifacts of run {run_id[:8]}"):
        return name in {str(found.path) for found in connection.list_artifacts(run_id, folder)}


def read_artifact(
    project: Project, run: StoredRun, name: str, read: Callable[[Path], Content]
) -> Content | None:
    """Read an artifact of a run; return None if the run has none of that name.

    Args:
        project: the project.
        run: the run.
        name: path of the artifact in the run.
        read: reads the file.
    """
    folder = artifact_folder(project, run.artifacts)
    if folder is not None:
        return read(folder / name) if (folder / name).is_file() else None
    if not has_artifact(project, run.run_id, name):
        return None
    with tempfile.TemporaryDirectory() as aside:
        return read(fetch_artifact(project, run.run_id, name, Path(aside)))


def artifact_folder(project: Project, address: str) -> Path | None:
    """Return the folder of an artifact address in the project's own store; None for others."""
    parts = urlsplit(address)
    folder = Path(unquote(parts.path))
    inside = (project.root / ARTIFACTS).resolve()
    ours = parts.scheme in ("", "file") and folder.resolve().is_relative_to(inside)
    return folder if ours and folder.resolve() != inside else None


def package_folder(project: Project, version: StoredVersion) -> Path | None:
    """Return the folder of a version's package in the project's own store; None for others."""
    if not is_local(project):
        return None
    relocate(project)
    return artifact_folder(project, local_package(project, version))


def bytes_of(project: Project, artifacts: str) -> int:
    """Return the size in bytes of an artifact folder in the local store; 0 for others."""
    folder = artifact_folder(project, artifacts)
    files = folder.rglob("*") if folder is not None and folder.is_dir() else ()
    return sum(file.stat().st_size for file in files if file.is_file())


def needed_keys(project: Project, run: StoredRun, trials: Collection[StoredRun]) -> set[str]:
    """Return the keys of the trials that a run depends on.

    These are the trials it trained, the known ones it used, and its winner.

    Args:
        project: the project.
        run: the run.
        trials: the trials of the store.
    """
    keys = {trial.key for trial in trials if trial.parent == run.run_id}
    keys |= {run.tags[names.WINNER]} if names.WINNER in run.tags else set()
    return keys | set(read_artifact(project, run, KEYS, read_json) or ())


def packages_of(project: Project, runs: Collection[str]) -> list[tuple[str, str]]:
    """Return id and artifact address of the logged models of some runs, given by their ids."""
    connection = client(project)
    with store_errors("list its logged models"):
        places = [e.experiment_id for e in connection.search_experiments()]
        if not places:
            return []
        found: Iterator[LoggedModel] = pages(partial(connection.search_logged_models, places))
        return [(m.model_id, m.artifact_location) for m in found if m.source_run_id in runs]


@whole()
def remove_run(project: Project, run: StoredRun) -> None:
    """Remove a run: from the local store for good and with its artifacts, else mark it deleted."""
    connection = client(project)
    with store_errors(f"remove run {run.run_id[:8]}"):
        if not run.deleted:
            connection.delete_run(run.run_id)
        if is_local(project):
            _remove_artifacts(project, run.artifacts)
            connection._tracking_client.store._hard_delete_run(run.run_id)


@whole()
def remove_package(project: Project, model: str, artifacts: str) -> None:
    """Remove a logged model as `remove_run` removes a run.

    Args:
        project: the project.
        model: MLflow's id of the logged model.
        artifacts: address of its artifacts.
    """
    connection = client(project)
    with store_errors(f"remove the logged model {model}"):
        connection.delete_logged_model(model)
        if is_local(project):
            _remove_artifacts(project, artifacts)
            connection._tracking_client.store._hard_delete_logged_model(model)


def _remove_artifacts(project: Project, address: str) -> None:
    folder = artifact_folder(project, address)
    if folder is not None and folder.name == "artifacts":  # the run's or model's own folder
        shutil.rmtree(folder.parent, ignore_errors=True)


def any_running(project: Project) -> bool:
    """Return whether a run in the local store has the status RUNNING."""
    return bool(local_runs(project, {}, status="RUNNING", deleted=True, most=1))
