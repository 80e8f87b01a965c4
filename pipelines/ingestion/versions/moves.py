"""Versions of one data set on their way: from a file to the pin, and from the pin to the disk."""

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
    """Put the pinned bytes of `data/<folder>` back from DVC's cache or its remote.

    Returns:
        Whether the folder then matches the pin.

    Raises:
        RemoteUnusable: they are not in the cache, and the remote cannot be asked.
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
    """DVC's hash of a data set's folder with `raw` at `path`, `data/NAME/…`.

    Args:
        edits: whether the folder's other files are taken as they are on disk, not as pinned.
    """
    with opened(project) as repo:
        return str(_with(project, repo, path, raw, edits=edits, add=False).oid)


def take(project: Project, path: PurePosixPath, raw: Path, *, edits: bool) -> str:
    """Make the pin and the disk hold the data set with `raw` at `path`; see `would_be`.

    All bytes are in DVC's cache before the pin moves, in one rename. A process that is killed
    before it leaves the old version; one that is killed after it is finished by the next command.

    Returns:
        DVC's hash of the data set's folder.
    """
    with opened(project) as repo:
        files = _with(project, repo, path, raw, edits=edits, add=True)
        cache.keep_list(repo, files)
        _move(project, repo, path.parts[1], str(files.oid))
    return str(files.oid)


def go_to(project: Project, folder: str, digest: str) -> None:
    """Make the pin and the disk hold the version of one data set that has this hash.

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
    """Link a version of one data set from DVC's cache to a place aside, its bytes read once.

    Args:
        digest: hash of the data set's folder.

    Returns:
        The files whose bytes in the cache are not those of the version.

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
    """The files of a version of one data set, all of their bytes in the cache."""
    files = pins.find_list(project, repo, digest)
    missing = None if files is None else cache.fetch_files(repo, files)
    if files is None or missing:
        what = "its list of files" if files is None else f"{missing} of its {len(files)} files"
        remote = "DVC's cache or remote" if cache.has_remote(repo) else "DVC's cache; no remote"
        raise InputError(
            f"the bytes of version {digest[:8]} of data/{folder} are not here",
            expected=f"in {remote}",
            found=f"{what} is nowhere to be found" if files is None else f"{what} are missing",
            next=f"where it is: gristmill data use NAME {digest[:8]} && dvc push data.dvc",
        )
    return files


def _with(
    project: Project, repo: Repo, path: PurePosixPath, raw: Path, *, edits: bool, add: bool
) -> Any:
    """The files of a data set with another one at a path."""
    folder, inside = path.parts[1], path.parts[2:]
    place = project.root / "data" / folder
    base = cache.list_from(repo, place, add=add) if edits else _pinned_files(project, repo, folder)
    made = cache.list_from(repo, raw, add=add)
    new = made if made.hash_info.isdir else [((), None, made.hash_info)]
    others = [entry for entry in base if entry[0][: len(inside)] != inside]
    return cache.file_list(others + [((*inside, *key), meta, info) for key, meta, info in new])


def _pinned_files(project: Project, repo: Repo, folder: str) -> Any:
    """The files of the pinned version; none where there is no pin."""
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
            next=f"dvc pull data/{folder}, where a remote has it",
        )
    return files
