"""Fetch data from a source of any kind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gristmill.pipelines.base import EnvironmentFault, redact, writing
from gristmill.pipelines.config import Project, source_kind
from gristmill.pipelines.ingestion.sources.archives import is_archive, unpack
from gristmill.pipelines.ingestion.sources.download import download
from gristmill.pipelines.ingestion.sources.keras_sets import keras_set
from gristmill.pipelines.ingestion.sources.local import copy
from gristmill.pipelines.ingestion.sources.meter import DownloadMeter, Progress, Wanted, is_full
from gristmill.pipelines.ingestion.sources.public_tables import openml_table, scikit_learn_table
from gristmill.pipelines.ingestion.sources.sql import select
from gristmill.pipelines.ingestion.sources.stores import copy_from_store

Notes = tuple[str, ...]

FETCHERS: dict[str, Callable[[Wanted, Path], Notes | None]] = {
    "path": copy,
    "web": download,
    "store": copy_from_store,
    "openml": openml_table,
    "keras": keras_set,
    "sklearn": scikit_learn_table,
    "database": select,
}
"""For each kind of `SOURCES`, the function that writes it to a path and returns notes, if any."""


def fetch(
    project: Project,
    source: str,
    target: Path,
    *,
    query: str | None = None,
    progress: Progress | None = None,
) -> Notes:
    """Write the current content of `source` to `target`, atomically.

    A folder becomes a folder. An archive (zip, tar) is unpacked if the target has no suffix.

    Args:
        project: relative paths are relative to its folder.
        source: one of the forms of `gristmill.pipelines.config.SOURCES`.
        target: the file or folder to write.
        query: SQL, if the source is a database.
        progress: called with the bytes so far and the expected total.

    Returns:
        Notes for the user about the source.

    Raises:
        ConfigError: the source has another form or does not exist.
        InputError: its content cannot be used.
        EnvironmentFault: it could not be reached, or the disk is full.
    """
    wanted = Wanted(project, source, target, query, DownloadMeter(progress=progress))
    try:
        with writing(target) as aside:
            notes = FETCHERS[source_kind(source, query)](wanted, aside)
            if not target.suffix and aside.is_file() and is_archive(aside):
                _open_up(aside, wanted.meter)
            return notes or ()
    except OSError as error:
        if not is_full(error):
            raise
        raise EnvironmentFault(
            "the data could not be written: the disk is full",
            expected=f"space for {redact(source)}",
            found=f"{error.strerror} at {wanted.meter.done:,} bytes",
            next="free some space and try again; nothing was lost",
        ) from error


def _open_up(aside: Path, meter: DownloadMeter) -> None:
    packed = aside.with_name(f"{aside.name}.packed")
    aside.rename(packed)
    try:
        unpack(packed, aside, meter)
    finally:
        packed.unlink()
