"""Moves of a data set to another version: from a file to the pin, and from the pin to the disk."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Any

from dvc.repo import Repo

from gristmill.pipelines.base import ConfigError, InputError
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion.versions import cache, pins
from gristmill.pipelines.ingestion.versions.pin_file import entries_in, read_text
from gristmill.pipelines.ingestion.versions.repository import begin_move, finish_move, opened


def restore_from_cache(project: Project, folder: str) -> bool:
    """Restore the pinned bytes of `data/<folder>` from DVC's cache or its remote.

    Returns:
        Whether the folder then matches the pin.

    Raises:
        RemoteUnusable: they are not in the cache, and the remote cannot be reached.
        RemoteRefused: the remote does not accept the login.
    """
    with opened(project) as repo:
        digest = pins.current_pin(project, repo, remote=True).sets.get(folder)
        files = digest and pins.find_list(project, repo, digest)
        if not files or cache.fetch_files(repo, files):
            return False
        cache.check_out(repo, project.root / "data" / folder, files)
        return pins.state_of(project, repo, folder) is pins.DataState.PINNED


def would_be(project: Project, path: PurePosixPath, raw: Path, *, edits: bool) -> str:
    """Return the hash that a data set's folder would have with `raw` at `path`.

    Args:
        project: the project.
        path: a path `data/NAME/…` in the project.
        raw: the file or folder to put there.
        edits: whether to use the folder's other files as they are on disk, not as pinned.
    """
    with opened(project) as repo:
        return str(_with(project, repo, path, raw, edits=edits, add=False).oid)


def take(project: Project, path: PurePosixPath, raw: Path, *, edits: bool) -> str:
    """Move the pin and the disk to the version with `raw` at `path`.

    All bytes are in DVC's cache before the pin moves, in one rename. A process killed before the
    rename leaves the old version; after a kill behind it the next command finishes the move.

    Args:
        project, path, raw, edits: as in `would_be`.

    Returns:
        DVC's hash of the data set's folder.
    """
    with opened(project) as repo:
        files = _with(project, repo, path, raw, edits=edits, add=True)
        cache.keep_list(repo, files)
        _move(project, repo, path.parts[1], str(files.oid))
    return str(files.oid)


def go_to(project: Project, folder: str, digest: str) -> None:
    """Move the pin and the disk to a version of one data set.

    Args:
        project: the project.
        folder: name of the data set under `data/`.
        digest: hash of the version.

    Raises:
        InputError: its bytes are neither in the cache nor in the remote.
    """
    with opened(project) as repo:
        _whole_version(project, repo, folder, digest)
        _move(project, repo, folder, digest)


def _move(project: Project, repo: Repo, folder: str, digest: str) -> None:
    """Move the pin, then the disk, to a version whose bytes are in the cache."""
    pins.require_pinned(project, repo)
    begin_move(repo, folder, digest)
    pins.write_pin(project, repo, folder, digest)
    finish_move(project, repo)


def lay_out_version(project: Project, folder: str, digest: str, target: Path) -> list[str]:
    """Link a version of one data set from DVC's cache to a separate folder, and check its bytes.

    Args:
        project: the project.
        folder: name of the data set under `data/`.
        digest: hash of the version.
        target: the folder to fill.

    Returns:
        The files whose bytes in the cache are damaged.

    Raises:
        InputError: its bytes are neither in the cache nor in the remote.
    """
    damaged = []
    with opened(project) as repo:
        for key, _, info in _whole_version(project, repo, folder, digest):
            place = target.joinpath(*key)
            place.parent.mkdir(parents=True, exist_ok=True)
            kept = cache.place_of(repo, info.value)
            try:
                place.hardlink_to(kept)
            except OSError:  # on another file system
                place.symlink_to(kept)
            with kept.open("rb") as file:
                if hashlib.file_digest(file, "md5").hexdigest() != info.value:
                    damaged.append("/".join(key))
    return damaged


def _whole_version(project: Project, repo: Repo, folder: str, digest: str) -> Any:
    """Return the files of a version of one data set, with all of their bytes in the cache."""
    files = pins.find_list(project, repo, digest)
    missing = None if files is None else cache.fetch_files(repo, files)
    if files is None or missing:
        what = "its list of files" if files is None else f"{missing} of its {len(files)} files"
        remote = "DVC's cache or remote" if cache.has_remote(repo) else "DVC's cache; no remote"
        raise InputError(
            f"the bytes of version {digest[:8]} of data/{folder} are missing",
            expected=f"in {remote}",
            found=f"{what} is missing" if files is None else f"{what} are missing",
            next=f"on a machine that has it: gristmill data use NAME {digest[:8]} "
            "&& dvc push data.dvc",
        )
    return files


def _with(
    project: Project, repo: Repo, path: PurePosixPath, raw: Path, *, edits: bool, add: bool
) -> Any:
    """Return the files of a data set with another one at a path."""
    folder, inside = path.parts[1], path.parts[2:]
    place = project.root / "data" / folder
    base = cache.list_from(repo, place, add=add) if edits else _pinned_files(project, repo, folder)
    made = cache.list_from(repo, raw, add=add)
    new = made if made.hash_info.isdir else [((), None, made.hash_info)]
    others = [entry for entry in base if entry[0][: len(inside)] != inside]
    return cache.file_list(others + [((*inside, *key), meta, info) for key, meta, info in new])


def _pinned_files(project: Project, repo: Repo, folder: str) -> Any:
    """Return the files of the pinned version; none if there is no pin."""
    digest = pins.require_pinned(project, repo).get(folder)
    if digest is None:
        return ()
    files = pins.find_list(project, repo, digest)
    if files is None and pins.state_of(project, repo, folder) is pins.DataState.PINNED:
        files = cache.list_from(repo, project.root / "data" / folder)
    if files is None and entries_in(read_text(project))[f"data/{folder}"].get("nfiles") == 1:
        return ()  # the one file is the one that is replaced
    if files is None:
        raise ConfigError(
            f"the other files of data/{folder} must be restored before one is replaced",
            expected=f"the list of files {digest} in DVC's cache or remote",
            found="nothing",
            next=f"dvc pull data/{folder}, if a remote has it",
        )
    return files
