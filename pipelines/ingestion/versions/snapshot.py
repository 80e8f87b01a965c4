"""Snapshot: make sure that the pinned bytes are on disk, or end the run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gristmill.pipelines.base import ConfigError, InputError, redact
from gristmill.pipelines.config import Data, Project, load_experiment
from gristmill.pipelines.ingestion.sources import Progress, fetch
from gristmill.pipelines.ingestion.versions import pins
from gristmill.pipelines.ingestion.versions.cache import RemoteUnusable
from gristmill.pipelines.ingestion.versions.moves import restore_from_cache
from gristmill.pipelines.ingestion.versions.stages import cache_folder


@dataclass(frozen=True)
class Snapshot:
    """The data set's version, and in words how it was obtained."""

    digest: str
    how: str

    def __str__(self) -> str:
        return f"{self.how}, {self.digest[:8]}"


def snapshot(project: Project, name: str, progress: Progress | None = None) -> Snapshot:
    """Restore the pinned bytes of a data set if needed; pin it if it is not pinned yet.

    Args:
        project: the project.
        name: the experiment.
        progress: called with the downloaded bytes and the expected total.

    Raises:
        InputError: the data were edited by hand, the source no longer has the pinned bytes, or a
            link leads out of `data/`.
        ConfigError: data are missing and there is no source.
    """
    data = load_experiment(project, name).data
    check_links(project, data.folder, lambda: cache_folder(project))
    state = pins.data_state(project, data.folder)
    if state is pins.DataState.EDITED:
        raise edited(data.folder, data.path, name)
    how = "as pinned"
    if state in (pins.DataState.MISSING, pins.DataState.OTHER):
        how = restore(project, name, progress=progress)
        state = pins.data_state(project, data.folder)
    if state is pins.DataState.ABSENT:
        notes = _fetch(project, data, name, progress)
        pins.pin_data(project, data.folder)
        how = "; ".join((f"fetched from {_shown(data)} and pinned", *notes))
    elif state is pins.DataState.NEW:
        pins.pin_data(project, data.folder)
        how = "new, pinned" if how == "as pinned" else f"{how}, pinned"
    return Snapshot(pins.data_digest(project, data.folder), how)


def restore(
    project: Project, name: str, *, discard: bool = False, progress: Progress | None = None
) -> str:
    """Restore the pinned bytes of one data set from DVC's cache or remote, else from its source.

    Args:
        project: the project.
        name: the experiment.
        discard: whether to overwrite files that were edited by hand.
        progress: called with the downloaded bytes and the expected total.

    Returns:
        In words, how the bytes were obtained.

    Raises:
        InputError: the data were edited by hand, or the source no longer has the pinned bytes.
        ConfigError: there is no cache, no remote and no source.
    """
    data = load_experiment(project, name).data
    state = pins.data_state(project, data.folder)
    if state is pins.DataState.PINNED:
        pins.keep(project, data.folder)
        return "as pinned"
    if state is pins.DataState.EDITED and not discard:
        raise edited(data.folder, data.path, name)
    if state is pins.DataState.NEW:
        return "on disk, not pinned yet"
    if state is pins.DataState.ABSENT:
        return f"not pinned yet: gristmill run {name}"
    note = ""
    try:
        if restore_from_cache(project, data.folder):
            return "restored by DVC"
    except RemoteUnusable as error:  # the source may have the bytes
        if data.source is None:
            raise
        note = f"; {error.what}"
    _refetch(project, data, name, progress)
    pins.keep(project, data.folder)
    return f"fetched from {_shown(data)}, equal to the pin{note}"


def _refetch(project: Project, data: Data, name: str, progress: Progress | None) -> None:
    """Fetch the pinned bytes from the source; data on disk are removed after that."""
    place = project.root / "data" / data.folder
    kept = None
    if place.exists():
        kept = place.with_name(f".{data.folder}.edited")
        place.rename(kept)
    try:
        _fetch(project, data, name, progress)
        state = pins.data_state(project, data.folder)
        if state is pins.DataState.NEW:
            raise pins.unknown_pin()
        if state is not pins.DataState.PINNED:
            raise InputError(
                f"the source of {name} no longer has the pinned bytes",
                expected=f"the bytes that data.dvc pins for data/{data.folder}",
                found=f"other bytes from {_shown(data)}",
                next=f"dvc pull data/{data.folder}, if a remote has the old version;\n"
                f"gristmill data refresh {name} to use the new one",
            )
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        if kept is not None:
            kept.rename(place)
        raise
    if kept is not None:
        shutil.rmtree(kept)


def _fetch(project: Project, data: Data, name: str, progress: Progress | None) -> tuple[str, ...]:
    if data.source is None:
        raise ConfigError(
            f"the data of {name} are missing, and the experiment names no source",
            expected=f"a file or folder {data.path}, or data.source, or a DVC remote that has it",
            found="none of them",
            next=f"put it at {data.path}, or dvc pull data/{data.folder}",
        )
    target = project.root / data.path
    return fetch(project, data.source, target, query=data.query, progress=progress)


def _shown(data: Data) -> str:
    return redact(str(data.source))


def edited(folder: str, path: str, name: str) -> InputError:
    """Return the error for data that were edited by hand, with the two possible actions.

    Args:
        folder: name of the data set under `data/`.
        path: `data.path` of the experiment.
        name: the experiment.
    """
    return InputError(
        f"data/{folder} was edited by hand",
        expected="the bytes that data.dvc pins",
        found="other bytes",
        next=f"gristmill data refresh {name} --data {path}   pins the edit as a new version\n"
        f"gristmill data restore {name}   discards the edit",
    )


def not_pinned(folder: str, path: str, name: str) -> InputError:
    """Return the error for data that would be overwritten and exist nowhere else.

    Args:
        folder: name of the data set under `data/`.
        path: `data.path` of the experiment.
        name: the experiment.
    """
    return InputError(
        f"data/{folder} is on disk, but not pinned: it would be overwritten",
        expected="data that data.dvc pins, or none",
        found="data that exist only in this folder",
        next=f"gristmill data refresh {name} --data {path}   pins them\n"
        "or move them out of data/, and run this again",
    )


def check_links(project: Project, folder: str, cache: Callable[[], Path]) -> None:
    """Check that no link in `data/<folder>` leads out of `data/`.

    Args:
        project: the project.
        folder: name of the data set under `data/`.
        cache: returns DVC's cache; links into it are allowed, since `cache.type symlink` creates
            them.

    Raises:
        InputError: a link leads out of `data/`.
    """
    data = (project.root / "data").resolve()
    for link in (path for path in _below(data / folder) if path.is_symlink()):
        end = link.resolve()
        if not end.is_relative_to(data) and not end.is_relative_to(cache().resolve()):
            shown = f"data/{link.relative_to(data)}"
            raise InputError(
                "a link leads out of the data folder",
                expected="the files themselves: DVC pins what is inside data/",
                found=f"{shown} → {end}",
                next=f"rm {shown}, and copy its target; or set data.source to its target",
            )


def _below(place: Path) -> Iterator[Path]:
    yield place
    for folder, folders, files in os.walk(place):
        yield from (Path(folder) / name for name in (*folders, *files))
