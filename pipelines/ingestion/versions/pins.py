"""The pin: how a data set on disk stands to it, and how it is moved."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from dvc.repo import Repo

from gristmill.pipelines.base import ConfigError, writing
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion.versions import cache, pin_file
from gristmill.pipelines.ingestion.versions.repository import opened
from gristmill.pipelines.ingestion.versions.whole_pins import current_pin, find_list


class DataState(Enum):
    """How a data set's folder on disk stands to the pin.

    EDITED would be lost if it were replaced; OTHER was pinned once and is in DVC's cache.
    """

    PINNED = "matches the pin"
    EDITED = "differs from the pin"
    OTHER = "is another version than the pinned one"
    MISSING = "is pinned, but not on disk"
    NEW = "is on disk, but not pinned"
    ABSENT = "is neither on disk nor pinned"


def data_state(project: Project, folder: str) -> DataState:
    """Compare `data/<folder>` with what `data.dvc` pins, reading only files that changed."""
    with opened(project) as repo:
        return state_of(project, repo, folder)


def state_of(project: Project, repo: Repo, folder: str) -> DataState:
    place = project.root / "data" / folder
    there = place.is_dir() and any(place.iterdir())
    pin = current_pin(project, repo)
    pinned = pin.sets.get(folder)
    if pinned is None and there:
        return DataState.NEW
    if not there:
        return DataState.MISSING if pinned or pin.whole else DataState.ABSENT
    disk = str(cache.list_from(repo, place).oid)
    if disk == pinned:
        return DataState.PINNED
    files = find_list(project, repo, disk, remote=False)
    kept = files is not None and not cache.lacking(repo, files)
    return DataState.OTHER if kept else DataState.EDITED


def data_digest(project: Project, folder: str) -> str:
    """DVC's hash of `data/<folder>` as it is on disk."""
    return hash_of(project, project.root / "data" / folder)


def hash_of(project: Project, path: Path) -> str:
    """DVC's hash of a file or folder as it is on disk."""
    with opened(project) as repo:
        return str(cache.list_from(repo, path).oid)


def pinned_digest(project: Project, folder: str) -> str | None:
    """DVC's hash of the pinned version of a data set; None while there is none, or none known."""
    with opened(project) as repo:
        return current_pin(project, repo, remote=True).sets.get(folder)


def require_pinned(project: Project, repo: Repo) -> Mapping[str, str]:
    """The hashes of all pinned data sets.

    Raises:
        ConfigError: `data.dvc` has one hash for all of them, and not all are known.
    """
    pin = current_pin(project, repo, remote=True)
    if pin.whole:
        raise unknown_pin()
    return pin.sets


def unknown_pin() -> ConfigError:
    """The error for one hash of all of `data/` whose list of files is nowhere."""
    return ConfigError(
        "the other pinned data sets must be restored before a new one is pinned",
        expected=f"all of data/ on disk, as {pin_file.PIN} pins it",
        found="a pin whose list of files is not in DVC's cache",
        next="gristmill data restore; or dvc pull, where a remote has them",
    )


def keep(project: Project, folder: str) -> None:
    """Have DVC's cache keep the bytes of `data/<folder>`, which is as pinned."""
    with opened(project) as repo:
        place = project.root / "data" / folder
        if cache.load_list(repo, str(cache.list_from(repo, place).oid)) is None:
            cache.list_from(repo, place, add=True)


def pin_data(project: Project, folder: str) -> str:
    """Take `data/<folder>` as it is into the pin; the other data sets stay as pinned.

    Returns:
        DVC's hash of the folder.

    Raises:
        ConfigError: what else is pinned cannot be known.
    """
    with opened(project) as repo:
        require_pinned(project, repo)
        digest = str(cache.list_from(repo, project.root / "data" / folder, add=True).oid)
        write_pin(project, repo, folder, digest)
    return digest


def write_pin(project: Project, repo: Repo, folder: str, digest: str) -> None:
    """Move the pin of one data set, in one rename of `data.dvc`."""
    before = pin_file.read_text(project)
    entries, old = {}, pin_file.entries_in(before)
    for name, pinned in {**require_pinned(project, repo), folder: digest}.items():
        path = f"data/{name}"
        kept = old.get(path, old.get("data", {}))
        new = entry_of(repo, path, pinned)
        others = {key: kept[key] for key in kept if key not in ("size", "nfiles", *new)}
        entries[path] = kept if kept.get("md5") == pinned else {**new, **others}
    text = pin_file.with_entries(before, entries)
    if text != before:
        with writing(project.root / pin_file.PIN) as aside:
            aside.write_text(text, encoding="utf-8")


def entry_of(repo: Repo, path: str, digest: str) -> pin_file.Map:
    """What `data.dvc` says of a version, in DVC's order."""
    files = cache.load_list(repo, digest)
    size = None if files is None else cache.size_of(repo, files)
    entry: dict[str, Any] = {"md5": digest}
    entry |= {} if size is None else {"size": size}
    entry |= {} if files is None else {"nfiles": len(files)}
    return entry | {"hash": "md5", "path": path}
