"""Snapshot: the pinned bytes are on disk, or the run ends here."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.config import (
    ConfigError,
    Data,
    Document,
    InputError,
    Project,
    load_experiment,
    redact,
)
from pipelines.ingestion import versions
from pipelines.ingestion.content import check_links, same_content, swapped
from pipelines.ingestion.sources import Progress, fetch
from pipelines.ingestion.table import Ingested, ingest_file
from pipelines.ingestion.versions import DataState

Check = Callable[[Path, Document], object]
"""Raises when an ingested table does not fit the experiment."""


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
    if state is DataState.MISSING:
        how = restore(project, name, progress=progress)
    elif state is DataState.ABSENT:
        notes = _fetch(project, data, name, progress)
        versions.pin(project, data.folder)
        how = "; ".join((f"fetched from {_shown(data)} and pinned", *notes))
    elif state is DataState.NEW:
        versions.pin(project, data.folder)
        how = "new, pinned"
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
        versions.matches_pin(project)
        return "as pinned"
    if state is DataState.EDITED and not discard:
        raise edited(data.folder, data.path, name)
    if versions.restore_from_cache(project, data.folder):
        return "restored by DVC"
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
    versions.matches_pin(project)
    return f"fetched from {_shown(data)}, equal to the pin"


def _by_whole_pin(project: Project, name: str) -> DataState:
    """On a clone that knows nothing but the hash of all of `data/`, all of it must be there."""
    mine = load_experiment(project, name).data.folder
    for other in project.experiment_names():
        data = load_experiment(project, other).data
        if data.folder != mine and not (project.root / data.path).exists() and data.source:
            _fetch(project, data, other, None)
    return DataState.PINNED if versions.matches_pin(project) else DataState.EDITED


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


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did, and what is to be known of how the data came."""

    changed: bool
    before: int | None
    after: Ingested
    notes: tuple[str, ...] = ()


def refresh(
    project: Project,
    name: str,
    given: Path | None,
    check: Check,
    progress: Progress | None = None,
) -> Refreshed:
    """Takes a new version of a data set: fetched, ingested and validated aside, then pinned.

    Args:
        given: a file or folder to take instead of the experiment's source.
        check: called with the ingested table's path and the document; raises when it is invalid.
        progress: is told how far a download is.

    Raises:
        GristmillError: whatever is wrong with the new version; the old one stays in place.
    """
    import pyarrow.parquet

    document = load_experiment(project, name).document
    data = document.data
    target = project.root / data.path
    if given is None and data.source is None:
        raise ConfigError(
            f"{name} names no source to fetch from",
            expected="data.source in the experiment file, or --data FILE",
            found="neither",
        )
    scratch = project.root / "build"
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix=".refresh-") as aside:
        raw = Path(aside) / target.name
        if given is not None:
            notes = fetch(project, str(given), raw)
        else:
            notes = fetch(project, str(data.source), raw, query=data.query, progress=progress)
        table = Path(aside) / "table.parquet"
        ingested = ingest_file(raw, table)
        check(table, document)
        old = project.build(name) / "table.parquet"
        before = pyarrow.parquet.read_metadata(old).num_rows if old.exists() else None
        if same_content(target, raw):
            same = versions.data_state(project, data.folder) is DataState.PINNED
            if not same:
                versions.pin(project, data.folder)
            return Refreshed(not same, before, ingested, notes)
        with swapped(raw, target, Path(aside) / "before"):
            versions.pin(project, data.folder)
    return Refreshed(True, before, ingested, notes)
