"""Ingest: convert a raw file to one Parquet table with fixed types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from unicodedata import normalize

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gristmill.pipelines.base import ConfigError, InputError, writing
from gristmill.pipelines.config import Data, IngestSections, Project, load_sections
from gristmill.pipelines.ingestion.readers import (
    Again,
    RowStream,
    check_names,
    find_format,
    forbidden,
    near_misses,
    read,
    unreadable,
)

ROW_GROUP = 1 << 18
"""Rows of a row group; later stages read one group at a time."""

GROUP_BYTES = 64 << 20
"""Maximum bytes of pixels in a row group."""

LARGEST = 1e100
"""Numbers beyond it mean that there is none: sums of their squares have no float64."""

SHOWN = 5
"""Columns named in a note."""


@dataclass(frozen=True)
class Ingested:
    """The size of an ingested table, and what was done to the data, in words."""

    rows: int
    columns: int
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return "\n".join([self.size, *self.notes])

    @property
    def size(self) -> str:
        """Its size, in words."""
        return f"{self.rows:,} rows × {self.columns} columns"


def ingest(project: Project, name: str) -> Ingested:
    """Run the stage `ingest`: convert `data.path` to `build/NAME/table.parquet`."""
    data = load_sections(project, name, IngestSections).data
    return ingest_file(project.root / data.path, project.build(name) / "table.parquet", data)


def ingest_file(
    raw: Path,
    table: Path,
    data: Data | None = None,
    *,
    not_numbers: Collection[str] = (),
    unlabelled: bool = False,
) -> Ingested:
    """Convert a file or folder of any format in `readers.formats` to a Parquet table.

    A column becomes int64, float64, bool or timestamp[us] (UTC if zones are given) if every value
    fits. Everything else stays text, including codes with leading zeros and integers that the type
    cannot hold exactly. Names and text are stripped and in Unicode's form NFC. Blank text, infinite
    numbers and those beyond `LARGEST` are missing. Rows keep their order. Memory does not grow with
    the file.

    Args:
        raw: the file or folder.
        table: the Parquet file to write, atomically.
        data: the experiment's section; its declared dialect overrides the detected one.
        not_numbers: columns that are not numbers even if all their values look like numbers.
        unlabelled: keep rows without a value of the target, from which nothing can be learnt.

    Raises:
        ConfigError: the file is missing or not readable.
        InputError: it cannot be read as a table: empty, truncated, ragged, duplicate names, …
    """
    before = _state(raw)
    forms = [normalize(form, name) for name in not_numbers for form in ("NFC", "NFD")]
    rows = read(raw, data, forms)
    with writing(table) as aside:
        made = _written(raw, rows, aside, None if unlabelled or data is None else data.target)
        if made.rows == 0:
            raise unreadable(raw, "rows below the header", "; ".join(["none", *made.notes]))
        if find_format(raw).module in ("delimited", "multipart", "converted_tables"):
            kept = {*forms, *((data and data.csv.text) or ())}
            made = replace(made, notes=(*made.notes, *near_misses(aside, kept)))
        if _state(raw) != before:
            raise InputError(
                f"{raw.name} changed while it was read",
                expected="a file that does not change",
                found="another size or modification time than at the beginning",
                next="wait until it is complete and try again",
            )
    return made


def _written(raw: Path, rows: RowStream, aside: Path, target: str | None) -> Ingested:
    """Write the table, again whenever the reader asks."""
    while True:
        try:
            return _write(raw, rows, aside, target)
        except Again as again:
            rows = again.rows


def _write(raw: Path, rows: RowStream, aside: Path, target: str | None) -> Ingested:
    """Write row groups of `ROW_GROUP` rows, whatever the size of the blocks that are read."""
    names = [*map(plain_name, rows.schema.names)]
    check_names(raw, names)
    schema = pa.schema([f.with_name(n) for f, n in zip(rows.schema, names, strict=True)])
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    label = target and normalize("NFC", target)
    endless: Counter[str] = Counter()
    read = count = 0
    with pq.ParquetWriter(aside, schema, compression="snappy", use_dictionary=texts) as writer:
        for group in _groups(rows):
            columns = [_plain(column) for column in group.columns]
            whole = pa.Table.from_arrays(columns, schema=schema)
            for name, read_as, column in zip(names, group.columns, columns, strict=True):
                if pa.types.is_floating(column.type):
                    endless[name] += column.null_count - read_as.null_count
            kept = whole
            if label in names and whole[label].null_count:
                kept = whole.filter(pc.is_valid(whole[label]))
            writer.write_table(kept, ROW_GROUP)
            read, count = read + len(whole), count + len(kept)
    left_out = [f"rows without a value of {label} left out: {read - count:,}"] * (count < read)
    return Ingested(count, len(schema), (*rows.notes, *_about_endless(endless), *left_out))


def _about_endless(counts: Counter[str]) -> Iterator[str]:
    found = [f"{count:,} in {name}" for name, count in (+counts).most_common()]
    if found:
        some = ", ".join(found[:SHOWN]) + ", …" * (len(found) > SHOWN)
        yield f"infinite numbers, or beyond {LARGEST:g}, read as missing values: {some}"


def plain_name(name: str) -> str:
    """Return the name that a column of a file has in the table."""
    return normalize("NFC", name).strip()


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Strip text and convert it to Unicode's form NFC, as it is compared.

    Blank text, and numbers that are infinite or beyond `LARGEST`, are missing.
    """
    if pa.types.is_floating(column.type):
        endless = pc.greater(pc.abs(column), LARGEST)
        return pc.if_else(endless, None, column) if pc.any(endless).as_py() else column
    if not pa.types.is_string(column.type):
        return column
    if not pc.all(pc.string_is_ascii(column)).as_py():
        column = pa.chunked_array([_composed(chunk) for chunk in column.chunks], column.type)
    column = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(column, ""), None, column)


def _composed(texts: pa.StringArray) -> pa.StringArray:
    """Convert each distinct text; Arrow's utf8_normalize leaves Hangul decomposed."""
    coded = texts.dictionary_encode()
    levels = [normalize("NFC", text) for text in coded.dictionary.to_pylist()]
    return pa.array(levels, texts.type).take(coded.indices)


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
    """Return sizes and modification times of the input, which must not change while it is read.

    Raises:
        ConfigError: the input is missing, not readable, or neither a file nor a folder.
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
        found = f"a broken link to {raw.readlink()}"
    elif raw.exists():
        found = "a pipe, socket or device"
    return ConfigError(
        "the data file is missing",
        expected=f"a file or folder at {raw}",
        found=found,
        next="fix data.path in the experiment file",
    )
