"""The files of a registered package: fetch them, and notice changes since the registration.

The run that registers a package keeps the list of its files, and the version the digest of this
list. Code of a package is executed only from a private copy that was compared with the digest.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from pathlib import Path

from gristmill.pipelines.base import EnvironmentFault, file_digest, first_line
from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import (
    StoredVersion,
    client,
    fetch_artifact,
    package_folder,
    store_errors,
)

FILES = "gristmill.files"
"""Tag of a version: SHA-256 of the list of its package's files."""
LIST = "lineage/package.sha256"
"""Artifact of the run that registered a version: this list, in the format of `sha256sum`."""

NOT_LISTED = ("registered_model_meta", "__pycache__")
"""Written by MLflow and Python when a package is loaded from the store. Not copied."""

SHOWN = 5
"""Changed files named in an error."""


class PackageChanged(EnvironmentFault):
    """The files of a registered package are not those that were registered."""


def list_files(folder: Path) -> str:
    """Return the SHA-256 and the relative path of each file of a package, a line per file."""
    found = sorted(
        path.relative_to(folder)
        for path in folder.rglob("*")
        if (path.is_symlink() or not path.is_dir()) and not _skipped(path.relative_to(folder))
    )
    lines = (f"{_digest(folder / path)}  {path.as_posix()}\n" for path in found)
    return "".join(lines)


def list_digest(files: str) -> str:
    """Return the SHA-256 of a list of files."""
    return hashlib.sha256(files.encode()).hexdigest()


def fetch_package(project: Project, version: StoredVersion, folder: Path) -> Path:
    """Copy the files of a version's package into a folder and check them; return their path.

    Args:
        project: the project.
        version: the version.
        folder: a folder without other files, created if needed.

    Raises:
        EnvironmentFault: the package is not in the store.
        PackageChanged: its files are not those that were registered.
    """
    if (stored := _local(project, version)) is not None:
        _require(project, version, stored)  # also finds links, which MLflow does not copy
    made = copy_package(project, f"models:/{version.model}/{version.number}", folder)
    _require(project, version, made)
    return made


def copy_package(project: Project, address: str, folder: Path) -> Path:
    """Copy the files of a package into a folder, without caches of Python; return their path.

    Args:
        project: the project.
        address: `models:/…`.
        folder: a folder without other files, created if needed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    client(project)  # sets MLflow's store
    from mlflow.artifacts import download_artifacts

    with store_errors(f"fetch the package {address}"):
        try:
            made = Path(download_artifacts(artifact_uri=address, dst_path=str(folder)))
        except OSError as error:
            raise EnvironmentFault(
                f"the package {address} is not in the store", found=first_line(error)
            ) from error
    for path in [path for path in made.rglob("*") if path.name in NOT_LISTED]:
        if _skipped(path.relative_to(made)):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return made


def require_unchanged(project: Project, version: StoredVersion) -> None:
    """Check the files of a version's package in the store; a version without a digest passes.

    Raises:
        EnvironmentFault: the package is not in the store.
        PackageChanged: its files are not those that were registered.
    """
    if FILES not in version.tags:
        return
    if (stored := _local(project, version)) is not None:
        _require(project, version, stored)
        return
    with tempfile.TemporaryDirectory() as aside:
        fetch_package(project, version, Path(aside))


def unchecked(version: StoredVersion) -> list[str]:
    """Return a note that changes of a version's package cannot be noticed; empty if they can."""
    if FILES in version.tags:
        return []
    name = f"{version.model} version {version.number}"
    return [f"{name} was registered without a digest of its files: changes cannot be noticed"]


def changes(project: Project, version: StoredVersion, folder: Path) -> list[str]:
    """Return what differs between a version's package and its registered files, in words.

    Args:
        project: the project.
        version: the version; one without a digest gives an empty list.
        folder: the package.
    """
    files = list_files(folder)
    if version.tags.get(FILES) in (None, list_digest(files)):
        return []
    try:
        with tempfile.TemporaryDirectory() as aside:
            kept = fetch_artifact(project, version.run_id, LIST, Path(aside)).read_text("utf-8")
    except EnvironmentFault:
        return [f"other files; {LIST} of its run, which names them, is missing"]
    if list_digest(kept) != version.tags[FILES]:
        return [f"other files; {LIST} of its run, which names them, was changed too"]
    before, now = _by_path(kept), _by_path(files)
    return [
        f"{path} {'added' if path not in before else 'missing' if path not in now else 'changed'}"
        for path in sorted(before.keys() | now.keys())
        if before.get(path) != now.get(path)
    ]


def _local(project: Project, version: StoredVersion) -> Path | None:
    """Return the folder of a package in the local store; None for a version without a digest."""
    return package_folder(project, version) if FILES in version.tags else None


def _require(project: Project, version: StoredVersion, folder: Path) -> None:
    name = f"{version.model} version {version.number}"
    if not folder.is_dir():
        raise EnvironmentFault(f"the package of {name} is not in the store", found=str(folder))
    if not (found := changes(project, version, folder)):
        return
    more = [f"and {len(found) - SHOWN} more"] * (len(found) > SHOWN)
    raise PackageChanged(
        f"the package of {name} was changed after it was registered",
        expected=f"the files that were registered (SHA-256 {version.tags[FILES][:12]}…)",
        found=", ".join([*found[:SHOWN], *more]),
        next=f"gristmill promote {version.model} --version N (gristmill models {version.model} "
        f"lists the others),\nor gristmill run {version.model} --force to register it again;\n"
        f"gristmill reproduce {version.model}@{version.number} compares its weights",
    )


def _by_path(files: str) -> dict[str, str]:
    pairs = (line.partition("  ") for line in files.splitlines())
    return {path: digest for digest, _, path in pairs}


def _digest(path: Path) -> str:
    return "link" if path.is_symlink() or not path.is_file() else file_digest(path)


def _skipped(path: Path) -> bool:
    """Return whether a path in a package is one of `NOT_LISTED`."""
    return str(path) == NOT_LISTED[0] or NOT_LISTED[1] in path.parts
