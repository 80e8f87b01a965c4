"""Snapshot: the pinned bytes are on disk, or the run ends here."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from gristmill.pipelines.base import ConfigError, EnvironmentFault, InputError, redact
from gristmill.pipelines.config import Data, Project, load_experiment
from gristmill.pipelines.ingestion.sources import Progress, fetch
from gristmill.pipelines.ingestion.versions import repository as versions
from gristmill.pipelines.ingestion.versions.links import check_links
from gristmill.pipelines.ingestion.versions.repository import DataState


@dataclass(frozen=True)
class Snapshot:
    """The data set's version and how it came to be on disk."""

    digest: str
    how: str

    def __str__(self) -> str:
        return f"{self.how}, {self.digest[:8]}"


def snapshot(project: Project, name: str, progress: Progress | None = None) -> Snapshot:
    """Makes `data/NAME` hold what `data.dvc` pins; a data set that is not pinned yet is taken in.

    Args:
        progress: is told how far a download is.

    Raises:
        InputError: the data were edited by hand, or the source no longer has the pinned bytes.
        ConfigError: data are missing and there is no source, or a link leads out of `data/`.
    """
    data = load_experiment(project, name).data
    check_links(project, data.folder, lambda: versions.cache_folder(project))
    state = versions.data_state(project, data.folder)
    if state is DataState.EDITED:
        raise edited(data.folder, data.path, name)
    how = "as pinned"
    if state in (DataState.MISSING, DataState.OTHER):
        how = restore(project, name, progress=progress)
        state = versions.data_state(project, data.folder)
    if state in (DataState.NEW, DataState.ABSENT) and not versions.knows_pin(project):
        _restore_others(project, data.folder, progress)
    if state is DataState.ABSENT:
        notes = _fetch(project, data, name, progress)
        versions.pin(project, data.folder)
        how = "; ".join((f"fetched from {_shown(data)} and pinned", *notes))
    elif state is DataState.NEW:
        versions.pin(project, data.folder)
        how = "new, pinned" if how == "as pinned" else f"{how}, pinned"
    return Snapshot(versions.data_digest(project, data.folder), how)


def restore(
    project: Project, name: str, *, discard: bool = False, progress: Progress | None = None
) -> str:
    """Brings the pinned bytes of one data set back: from DVC's cache or remote, else its source.

    Args:
        name: of an experiment.
        discard: whether files that were edited by hand may be overwritten.
        progress: is told how far a download is.

    Raises:
        InputError: what the source holds today is not what was pinned.
        ConfigError: there is no cache, no remote and no source.
    """
    data = load_experiment(project, name).data
    state = versions.data_state(project, data.folder)
    if state is DataState.PINNED:
        _keep(project, data.folder)
        return "as pinned"
    if state is DataState.EDITED and not discard:
        raise edited(data.folder, data.path, name)
    if state is DataState.NEW and not (discard and data.source):
        return "on disk, not pinned yet"
    if state is DataState.ABSENT:
        return f"not pinned yet: gristmill run {name}"
    try:
        if versions.restore_from_cache(project, data.folder):
            return "restored by DVC"
    except EnvironmentFault:  # a remote that cannot be used: the source may have the bytes
        if data.source is None:
            raise
    place = project.root / "data" / data.folder
    kept = None
    if place.exists():
        kept = place.with_name(f".{data.folder}.edited")
        place.rename(kept)
    try:
        _fetch(project, data, name, progress)
        state = versions.data_state(project, data.folder)
        if state is DataState.NEW:
            state = _by_whole_pin(project, name)
        if state is DataState.NEW and kept is None:
            return f"fetched from {_shown(data)}, not pinned yet"
        if state is not DataState.PINNED:
            raise InputError(
                f"the source of {name} no longer holds the pinned bytes",
                expected=f"what data.dvc pins for data/{data.folder}",
                found=f"other bytes from {_shown(data)}",
                next="dvc pull, where a remote has the old version;\n"
                f"gristmill data refresh {name} to take the new one on purpose",
            )
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        if kept is not None:
            kept.rename(place)
        raise
    if kept is not None:
        shutil.rmtree(kept)
    _keep(project, data.folder)
    return f"fetched from {_shown(data)}, equal to the pin"


def _keep(project: Project, folder: str) -> None:
    """Has DVC's cache keep what was pinned: all of `data/` if it is there, else the data set."""
    if not versions.matches_pin(project):
        versions.keep(project, folder)


def _by_whole_pin(project: Project, name: str) -> DataState:
    """On a clone that knows nothing but the hash of all of `data/`, all of it must be there."""
    mine = load_experiment(project, name).data.folder
    _restore_others(project, mine, None)
    known = versions.matches_pin(project)
    return versions.data_state(project, mine) if known else DataState.EDITED


def _restore_others(project: Project, folder: str, progress: Progress | None) -> None:
    """Fetches the other data sets, so that the list of what is pinned can be known."""
    for other in project.experiment_names():
        data = load_experiment(project, other).data
        if data.folder != folder and not (project.root / data.path).exists() and data.source:
            _fetch(project, data, other, progress)
    versions.matches_pin(project)


def _fetch(project: Project, data: Data, name: str, progress: Progress | None) -> tuple[str, ...]:
    if data.source is None:
        raise ConfigError(
            f"the data of {name} are missing, and the experiment names no source",
            expected=f"a file or folder {data.path}, or data.source, or a DVC remote that has it",
            found="none of them",
            next=f"put it at {data.path}, or dvc pull",
        )
    target = project.root / data.path
    return fetch(project, data.source, target, query=data.query, progress=progress)


def _shown(data: Data) -> str:
    return redact(str(data.source))


def edited(folder: str, path: str, name: str) -> InputError:
    """The error for data that were changed by hand, with both ways out."""
    return InputError(
        f"data/{folder} was edited by hand",
        expected="the bytes that data.dvc pins",
        found="others",
        next=f"gristmill data refresh {name} --data {path}   takes the edit in, as a new version\n"
        f"gristmill data restore {name}   throws the edit away",
    )


def not_pinned(folder: str, path: str, name: str) -> InputError:
    """The error for data that would be overwritten and that nothing but this folder has."""
    return InputError(
        f"data/{folder} is on disk, but not pinned: it would be overwritten",
        expected="data that data.dvc pins, or none",
        found="data that only this folder has",
        next=f"gristmill data refresh {name} --data {path}   pins them\n"
        "or move them out of data/, and type this again",
    )
