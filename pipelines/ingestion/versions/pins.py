"""The pin: comparing a data set on disk with it, and moving it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from enum import Enum
from itertools import groupby
from pathlib import Path
from typing import Any

from dvc.repo import Repo

from gristmill.pipelines.base import ConfigError, InputError, read_yaml, writing
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion.versions import cache, pin_file
from gristmill.pipelines.ingestion.versions.pin_file import Pin, read_pin
from gristmill.pipelines.ingestion.versions.repository import opened


class DataState(Enum):
    """A data set's folder on disk compared with the pin.

    EDITED data would be lost if replaced; OTHER data were pinned once and are in DVC's cache.
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
    """Return DVC's hash of `data/<folder>` as it is on disk."""
    return hash_of(project, project.root / "data" / folder)


def hash_of(project: Project, path: Path) -> str:
    """Return DVC's hash of a file or folder as it is on disk."""
    with opened(project) as repo:
        return str(cache.list_from(repo, path).oid)


def pinned_digest(project: Project, folder: str) -> str | None:
    """Return DVC's hash of the pinned version of a data set; None if there is none or unknown."""
    with opened(project) as repo:
        return current_pin(project, repo, remote=True).sets.get(folder)


def require_pinned(project: Project, repo: Repo) -> Mapping[str, str]:
    """Return the hashes of all pinned data sets.

    Raises:
        ConfigError: `data.dvc` has one hash for all of them, and not all are known.
    """
    pin = current_pin(project, repo, remote=True)
    if pin.whole:
        raise unknown_pin()
    return pin.sets


def unknown_pin() -> ConfigError:
    """Return the error for one hash of all of `data/` whose list of files is missing."""
    return ConfigError(
        "the other pinned data sets must be restored before a new one is pinned",
        expected=f"all of data/ on disk, as {pin_file.PIN} pins it",
        found="a pin whose list of files is not in DVC's cache",
        next="gristmill data restore; or dvc pull, if a remote has them",
    )


def keep(project: Project, folder: str) -> None:
    """Add the bytes of `data/<folder>`, which matches the pin, to DVC's cache."""
    with opened(project) as repo:
        place = project.root / "data" / folder
        if cache.load_list(repo, str(cache.list_from(repo, place).oid)) is None:
            cache.list_from(repo, place, add=True)


def pin_data(project: Project, folder: str) -> str:
    """Pin `data/<folder>` as it is on disk; the other data sets stay as pinned.

    Returns:
        DVC's hash of the folder.

    Raises:
        ConfigError: the other pinned data sets are unknown.
    """
    with opened(project) as repo:
        require_pinned(project, repo)
        digest = str(cache.list_from(repo, project.root / "data" / folder, add=True).oid)
        write_pin(project, repo, folder, digest)
    return digest


def write_pin(project: Project, repo: Repo, folder: str, digest: str) -> None:
    """Move the pin of one data set, in one rename of `data.dvc`.

    Args:
        project: the project.
        repo: DVC's repository.
        folder: name of the data set under `data/`.
        digest: hash of the version.
    """
    _write(project, repo, {**require_pinned(project, repo), folder: digest})


def unpin(project: Project, folder: str) -> None:
    """Remove the pin of one data set; its versions are in the cache afterwards."""
    with opened(project) as repo:
        pinned = require_pinned(project, repo)
        if (place := project.root / "data" / folder).is_dir():
            cache.list_from(repo, place, add=True)
        if folder in pinned:
            _write(project, repo, {name: pinned[name] for name in pinned if name != folder})


def is_committed(project: Project, folder: str) -> bool:
    """Return whether HEAD has the pin of a data set that the work tree has."""
    head, now = pin_file.pin_at(project, "HEAD"), pin_file.read_pin(project)
    then = pin_file.Pin() if head is None else head.pin
    return now.sets.get(folder, then.sets.get(folder)) == then.sets.get(folder) and (
        not now.whole or now.whole == then.whole
    )


def _write(project: Project, repo: Repo, pinned: Mapping[str, str]) -> None:
    before = pin_file.read_text(project)
    entries, old = {}, pin_file.entries_in(before)
    for name, digest in pinned.items():
        path = f"data/{name}"
        kept = old.get(path, old.get("data", {}))
        new = entry_of(repo, path, digest)
        others = {key: kept[key] for key in kept if key not in ("size", "nfiles", *new)}
        entries[path] = kept if kept.get("md5") == digest else {**new, **others}
    text = pin_file.with_entries(before, entries)
    if text != before:
        with writing(project.root / pin_file.PIN) as aside:
            aside.write_text(text, encoding="utf-8")


def entry_of(repo: Repo, path: str, digest: str) -> pin_file.Map:
    """Return the entry of a version in `data.dvc`, with its keys in DVC's order.

    Args:
        repo: DVC's repository.
        path: `data/NAME`.
        digest: hash of the version.
    """
    files = cache.load_list(repo, digest)
    size = None if files is None else cache.size_of(repo, files)
    nfiles = None if files is None else len(files)
    entry = {"md5": digest, "size": size, "nfiles": nfiles, "hash": "md5", "path": path}
    return {key: value for key, value in entry.items() if value is not None}


def sets_of(repo: Repo, whole: str, *, remote: bool = False) -> dict[str, str] | None:
    """Return the hash of each data set of a pin of all of `data/`; None if its list is missing.

    The lists of the data sets are added to the cache, where each is then found by its own hash.

    Args:
        repo: DVC's repository.
        whole: hash of the list of all files in `data/`.
        remote: whether to look in the remote too.
    """
    files = cache.load_list(repo, whole, remote=remote)
    if files is None:
        return None
    found = {}
    for name, entries in groupby(sorted(files, key=lambda entry: entry[0]), lambda e: e[0][0]):
        inside = [(key[1:], meta, info) for key, meta, info in entries]
        if inside[0][0]:
            part = cache.file_list(inside)
            cache.keep_list(repo, part)
            found[name] = str(part.oid)
        else:  # a file beside the data sets' folders
            found[name] = str(inside[0][2].value)
    return found


def require_sets_of(repo: Repo, whole: str, what: str, next: str) -> dict[str, str]:
    """Return the data sets as `sets_of` does, from the cache or the remote.

    Args:
        repo: DVC's repository.
        whole: hash of the list of all files in `data/`.
        what: first line of the error.
        next: last line of the error.

    Raises:
        InputError: the list is neither in the cache nor in the remote.
    """
    found = sets_of(repo, whole, remote=True)
    if found is None:
        raise InputError(
            what,
            expected=f"the list of files {whole} in DVC's cache"
            + (" or remote" if cache.has_remote(repo) else ""),
            found="nothing",
            next=next,
        )
    return found


def current_pin(project: Project, repo: Repo, *, remote: bool = False) -> Pin:
    """Return what the work tree's `data.dvc` pins, by data set.

    If a list is missing, the data on disk are compared with its hash. If they differ, `whole` is
    kept, together with the data sets that `dvc.lock` records for the ingest stages.

    Args:
        project: the project.
        repo: DVC's repository.
        remote: whether to look in the remote too.
    """
    pin = read_pin(project)
    if not pin.whole:
        return pin
    found = None
    with suppress(cache.RemoteUnusable):
        found = sets_of(repo, pin.whole, remote=remote)
    read = {} if found else _last_read(project)
    found = found or _on_disk(repo, pin.whole, read)
    return Pin({**read, **pin.sets}, pin.whole) if found is None else Pin({**found, **pin.sets})


def known_sets(
    repo: Repo, pins: Iterable[Pin], *, remote: bool = False
) -> dict[str, Mapping[str, str]]:
    """Return the data sets of pins of all of `data/`, by their hash, if their lists are found.

    Args:
        repo: DVC's repository.
        pins: any pins; those with one entry per data set are skipped.
        remote: whether to look in the remote too.
    """
    found: dict[str, Mapping[str, str]] = {}
    for whole in dict.fromkeys(pin.whole for pin in pins if pin.whole):
        try:
            sets = sets_of(repo, whole, remote=remote)
        except (cache.RemoteUnusable, cache.RemoteRefused):
            sets, remote = None, False
        if sets is not None:
            found[whole] = sets
    return found


def _last_read(project: Project) -> dict[str, str]:
    """Return the hashes of the data sets that `dvc.lock` records for the ingest stages."""
    file = project.root / pin_file.LOCK
    stages = (read_yaml(file) if file.exists() else {}).get("stages") or {}
    return {
        dep["path"].removeprefix("data/"): dep["md5"]
        for name, stage in stages.items()
        if name.startswith("ingest@")
        for dep in stage.get("deps", ())
        if dep["path"].startswith("data/")
    }


def _on_disk(repo: Repo, whole: str, read: Collection[str]) -> dict[str, str] | None:
    """Return the data sets on disk, if all of them, or those that stages read, match the hash."""
    data = Path(repo.root_dir, "data")
    names = [place.name for place in data.iterdir()] if data.is_dir() else []
    for among in (names, [name for name in names if name in read]):
        entries: list[Any] = []
        for name in among:
            part = cache.list_from(repo, data / name)
            files = part if part.hash_info.isdir else [((), None, part.hash_info)]
            entries += [((name, *key), meta, info) for key, meta, info in files]
        files = cache.file_list(entries)
        if files.oid == whole:
            for name in among:
                cache.list_from(repo, data / name, add=True)
            cache.keep_list(repo, files)
            return sets_of(repo, whole)
    return None


def find_list(project: Project, repo: Repo, digest: str, *, remote: bool = True) -> Any:
    """Return the list of files of a version: its own, or its part of an old pin of all of `data/`.

    Args:
        project: the project.
        repo: DVC's repository.
        digest: hash of the version.
        remote: whether to look in the remote too.
    """
    files = cache.load_list(repo, digest, remote=remote)
    if files is None:
        wholes = {at.pin.whole for at in pin_file.pins(project, "--all", "--reflog")}
        for whole in filter(None, wholes):
            if digest in (sets_of(repo, whole, remote=remote) or {}).values():
                return cache.load_list(repo, digest)
    return files
