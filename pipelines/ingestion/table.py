"""Ingest: a raw file becomes one canonical Parquet table. Types are settled here, once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.pipelines.base import ConfigError, InputError, writing
from gristmill.pipelines.config import Data, IngestSections, Project, load_sections
from gristmill.pipelines.ingestion.readers import Again, RowStream, forbidden, read, unreadable

ROW_GROUP = 1 << 18
"""Rows of a row group: later stages read one at a time."""

GROUP_BYTES = 64 << 20
"""Of pixels in a row group, at most."""


@dataclass(frozen=True)
class Ingested:
    """What ingest made."""

    rows: int
    columns: int

    def __str__(self) -> str:
        return f"{self.rows:,} rows × {self.columns} columns"


def ingest(project: Project, name: str) -> Ingested:
    """The stage `ingest`: `data.path` → `build/NAME/table.parquet`."""
    data = load_sections(project, name, IngestSections).data
    return ingest_file(project.root / data.path, project.build(name) / "table.parquet", data)


def ingest_file(
    raw: Path, table: Path, data: Data | None = None, *, not_numbers: Collection[str] = ()
) -> Ingested:
    """Reads a file or folder of any format in `readers.formats` into a Parquet table.

    Columns become int64, float64, bool or timestamp[us] (UTC where zones are given) when every
    value fits, all else stays text as it is written: also codes with leading zeros, and whole
    numbers that the type could not hold exactly. Rows keep their order. Memory does not grow with
    the file.

    Args:
        raw: the file or folder.
        table: the Parquet file to write, whole or not at all.
        data: the experiment's section, whose declared dialect wins over what is found.
        not_numbers: columns that are no numbers even where all values look like it.

    Raises:
        ConfigError: the file is not there, or may not be read.
        InputError: it cannot be read as a table: empty, broken off, ragged, names twice, …
    """
    before = _state(raw)
    rows = read(raw, data, not_numbers)
    with writing(table) as aside:
        count, columns = _written(rows, aside)
        if count == 0:
            raise unreadable(raw, "rows below the header", "none")
        if _state(raw) != before:
            raise InputError(
                f"{raw.name} was changed while it was read",
                expected="a file that stays as it is",
                found="another size or time of change than at the beginning",
                next="wait until it is complete and try again",
            )
    return Ingested(count, columns)


def _written(rows: RowStream, aside: Path) -> tuple[int, int]:
    """Rows and columns of the table, begun anew as often as the reader says."""
    while True:
        try:
            return _write(rows, aside), len(rows.schema)
        except Again as again:
            rows = again.rows


def _write(rows: RowStream, aside: Path) -> int:
    """Writes row groups of `ROW_GROUP` rows, however large the blocks are that come in."""
    texts = [field.name for field in rows.schema if pa.types.is_string(field.type)]
    count = 0
    with pq.ParquetWriter(aside, rows.schema, compression="snappy", use_dictionary=texts) as writer:
        for group in _groups(rows):
            writer.write_table(group, row_group_size=ROW_GROUP)
            count += group.num_rows
    return count


def _groups(rows_read: RowStream) -> Iterator[pa.Table]:
    pixels = sum(t.byte_width for t in rows_read.schema.types if pa.types.is_fixed_size_binary(t))
    size = min(ROW_GROUP, max(1, GROUP_BYTES // max(pixels, 1)))
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in rows_read.batches:
        waiting.append(batch)
        rows += batch.num_rows
        while rows >= size:
            whole = pa.Table.from_batches(waiting)
            yield whole.slice(0, size)
            waiting = whole.slice(size).to_batches()
            rows -= size
    if rows:
        yield pa.Table.from_batches(waiting)


def _state(raw: Path) -> list[tuple[str, int, int]]:
    """Sizes and times of what is to be read: they must be the same at the end.

    Raises:
        ConfigError: it is not there, may not be read, or is neither a file nor a folder.
        InputError: it is empty.
    """
    try:
        if not raw.is_file() and not raw.is_dir():
            raise _not_there(raw)
        paths = sorted(raw.iterdir()) if raw.is_dir() else [raw]
        stats = [(path.name, path.stat(follow_symlinks=raw == path)) for path in paths]
    except PermissionError as error:
        raise forbidden(raw) from error
    if not raw.is_dir() and stats[0][1].st_size == 0:
        raise unreadable(raw, "a table with a header and rows", "an empty file")
    return [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]


def _not_there(raw: Path) -> ConfigError:
    found = "nothing"
    if raw.is_symlink():
        found = f"a link to {raw.readlink()}, where nothing is"
    elif raw.exists():
        found = "neither a file nor a folder, but a pipe, socket or device"
    return ConfigError(
        "the data file is not there",
        expected=f"a file or folder at {raw}",
        found=found,
        next="mend data.path in the experiment file",
    )
