"""Files that runs keep in the store."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urlsplit

from gristmill.pipelines.base import EnvironmentFault, first_line
from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking.connection import client, store_errors, whole
from gristmill.pipelines.tracking.local_store import local_runs
from gristmill.pipelines.tracking.store import ARTIFACTS, is_local
from gristmill.pipelines.tracking.stored import StoredRun

Content = TypeVar("Content")


def fetch_artifact(project: Project, run_id: str, name: str, folder: Path) -> Path:
    """Copies an artifact of a run into a folder.

    Raises:
        EnvironmentFault: it is not there.
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
    """Keeps a file as an artifact of a run; one of the same name is replaced."""
    connection = client(project)
    with whole(), store_errors(f"keep {file.name}"):
        connection.log_artifact(run_id, str(file), folder)


def has_artifact(project: Project, run_id: str, name: str) -> bool:
    """Whether a run kept an artifact; only a store that answers can say that it did not."""
    connection = client(project)
    folder = name.rpartition("/")[0] or None
    with store_errors(f"list the artifacts of run {run_id[:8]}"):
        return name in {str(found.path) for found in connection.list_artifacts(run_id, folder)}


def read_artifact(
    project: Project, run: StoredRun, name: str, read: Callable[[Path], Content]
) -> Content | None:
    """What an artifact of a run holds; None where it has none of that name."""
    folder = artifact_folder(project, run.artifacts)
    if folder is not None:
        return read(folder / name) if (folder / name).is_file() else None
    if not has_artifact(project, run.run_id, name):
        return None
    with tempfile.TemporaryDirectory() as aside:
        return read(fetch_artifact(project, run.run_id, name, Path(aside)))


def local_artifact(project: Project, run_id: str, name: str) -> Path | None:
    """The file of an artifact in the local store; None where it is not there or in another store.

    Run `relocate` first where the project may have been moved.
    """
    runs = local_runs(project, {}, deleted=True, run_id=run_id) if is_local(project) else []
    parts = [urlsplit(run.artifacts) for run in runs]
    files = [Path(unquote(part.path)) / name for part in parts if part.scheme in ("", "file")]
    return next((file for file in files if file.is_file()), None)


def artifact_folder(project: Project, address: str) -> Path | None:
    """The folder of an artifact address inside the project's own store; None for others."""
    parts = urlsplit(address)
    folder = Path(unquote(parts.path))
    inside = (project.root / ARTIFACTS).resolve()
    ours = parts.scheme in ("", "file") and folder.resolve().is_relative_to(inside)
    return folder if ours and folder.resolve() != inside else None


def bytes_of(project: Project, artifacts: str) -> int:
    """What an artifact folder of the local store holds; 0 for others."""
    folder = artifact_folder(project, artifacts)
    files = folder.rglob("*") if folder is not None and folder.is_dir() else ()
    return sum(file.stat().st_size for file in files if file.is_file())
