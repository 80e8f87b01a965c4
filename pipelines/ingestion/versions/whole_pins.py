"""Pins of the form that `data.dvc` once had: one hash for all of `data/`.

Its data sets are known from a list of all files that DVC keeps under this hash. Their own lists go
to the cache as soon as it is read: from then on each is found by its own hash.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

from dvc.repo import Repo

from gristmill.pipelines.base import InputError, read_yaml
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion.versions import cache, history
from gristmill.pipelines.ingestion.versions.pin_file import Pin, read_pin


def sets_of(repo: Repo, whole: str, *, remote: bool = False) -> dict[str, str] | None:
    """The hash of each data set, by name; None where the list of files is not known."""
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
    """As `sets_of`, with the remote asked.

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
    """What the work tree's `data.dvc` pins, with the data sets named.

    Where a list is not known, the data on disk may have its hash; else `whole` stays, beside the
    data sets that the stages read last, as `dvc.lock` says.
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
    """The data sets of pins of one hash, by that hash, as far as their lists are known."""
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
    """The hashes of the data sets that `dvc.lock` has from the ingest stages."""
    file = project.root / history.LOCK
    stages = (read_yaml(file) if file.exists() else {}).get("stages") or {}
    return {
        dep["path"].removeprefix("data/"): dep["md5"]
        for name, stage in stages.items()
        if name.startswith("ingest@")
        for dep in stage.get("deps", ())
        if dep["path"].startswith("data/")
    }


def _on_disk(repo: Repo, whole: str, read: Collection[str]) -> dict[str, str] | None:
    """The data sets on disk, if all of them, or those that stages have read, have a pin's hash."""
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
    """The list of files of a version: its own, or a part of one that was ever pinned as a whole."""
    files = cache.load_list(repo, digest, remote=remote)
    if files is None:
        wholes = {at.pin.whole for at in history.pins(project, "--all", "--reflog")}
        for whole in filter(None, wholes):
            if digest in (sets_of(repo, whole, remote=remote) or {}).values():
                return cache.load_list(repo, digest)
    return files
