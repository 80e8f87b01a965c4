"""Ingest: a raw file becomes one canonical Parquet table. Types are settled here, once."""

from __future__ import annotations

import csv
import errno
import gzip
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from pipelines.config import (
    ConfigError,
    Data,
    InputError,
    Problem,
    Project,
    load_experiment,
    writing,
)

BLOCK = 8 << 20
"""Bytes of CSV that are parsed at a time."""

NARROWEST = (pa.int64(), pa.float64(), pa.bool_())
"""The types that a column is tried as, in order; text takes what is left."""

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk that has no room."""

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")


@dataclass(frozen=True)
class Ingested:
    """What ingest made."""

    rows: int
    columns: int

    def __str__(self) -> str:
        return f"{self.rows:,} rows × {self.columns} columns"


def ingest(project: Project, name: str) -> Ingested:
    """The stage `ingest`: `data.path` → `build/NAME/table.parquet`."""
    experiment = load_experiment(project, name)
    raw = project.root / experiment.data.path
    return ingest_file(raw, project.build(name) / "table.parquet", experiment.data)


def ingest_file(raw: Path, table: Path, data: Data | None = None) -> Ingested:
    """Reads a CSV file (also .gz, .bz2, .zst) with a header, or Parquet, into a Parquet table.

    Integers, floats and booleans become int64, float64 and bool when every value of the column
    fits, all else stays text. Rows keep their order. Memory does not grow with the file.

    Raises:
        ConfigError: the file is not there.
        InputError: it cannot be read as a table: empty, broken off, ragged, names twice, …
    """
    if not raw.is_file():
        raise ConfigError(
            "the data file is not there",
            expected=f"a file at {raw}",
            found="nothing" if not raw.exists() else "a folder",
            next="mend data.path in the experiment file",
        )
    if raw.stat().st_size == 0:
        raise _unreadable(raw, "a table with a header and rows", "an empty file")
    with writing(table) as aside:
        rows, columns = 0, 0
        schema, batches = _parquet(raw) if raw.suffix == ".parquet" else _csv(raw)
        _check_names(raw, schema.names)
        try:
            with pa.parquet.ParquetWriter(aside, schema, compression="zstd") as writer:
                for batch in batches:
                    writer.write_batch(batch)
                    rows += batch.num_rows
        except (pa.ArrowInvalid, OSError, EOFError) as error:
            if isinstance(error, OSError) and error.errno in FULL:
                raise  # where the table is written, not the file
            raise _broken(raw, error) from error
        columns = len(schema)
        if rows == 0:
            raise _unreadable(raw, "rows below the header", "none")
    return Ingested(rows, columns)


Batches = Iterator[pa.RecordBatch]


def _parquet(raw: Path) -> tuple[pa.Schema, Batches]:
    try:
        file = pa.parquet.ParquetFile(raw)
    except (pa.ArrowInvalid, OSError) as error:
        raise _broken(raw, error) from error
    nested = [field.name for field in file.schema_arrow if pa.types.is_nested(field.type)]
    if nested:
        raise _unreadable(raw, "flat columns", "nested ones: " + ", ".join(nested[:10]))
    schema = pa.schema([(field.name, _canonical(field.type)) for field in file.schema_arrow])
    return schema, (
        pa.RecordBatch.from_arrays(
            [batch[i].cast(t.type) for i, t in enumerate(schema)], schema=schema
        )
        for batch in file.iter_batches()
    )


def _canonical(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_boolean(kind):
        return pa.bool_()
    if pa.types.is_integer(kind):
        return pa.int64()
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return pa.float64()
    return pa.string()


def _csv(raw: Path) -> tuple[pa.Schema, Batches]:
    names = _header(raw)
    _check_names(raw, names)
    fitting = dict.fromkeys(names, NARROWEST)
    for batch in _blocks(raw, names):  # first reading: the types that every value fits
        for name, column in zip(names, batch.columns, strict=True):
            fitting[name] = tuple(kind for kind in fitting[name] if _fits(column, kind))
    schema = pa.schema([(name, next(iter(kinds), pa.string())) for name, kinds in fitting.items()])
    return schema, (
        pa.RecordBatch.from_arrays(
            [c.cast(f.type) for c, f in zip(b.columns, schema, strict=True)], schema=schema
        )
        for b in _blocks(raw, names)
    )


def _fits(column: pa.Array, kind: pa.DataType) -> bool:
    try:
        column.cast(kind)
    except pa.ArrowInvalid:
        return False
    return True


def _blocks(raw: Path, names: list[str]) -> Batches:
    """The file as text columns, block by block."""
    ragged: list[Problem] = []

    def note(row: Any) -> str:
        number = f"line {row.number}" if row.number else f"line «{row.text[:60]}»"
        ragged.append(Problem(number, f"{row.expected_columns} values", str(row.actual_columns)))
        return "skip"

    try:
        with pa.input_stream(str(raw), compression="detect") as stream:
            yield from pa.csv.open_csv(
                stream,
                read_options=pa.csv.ReadOptions(
                    block_size=BLOCK, column_names=names, skip_rows=1, use_threads=False
                ),
                parse_options=pa.csv.ParseOptions(
                    newlines_in_values=True, invalid_row_handler=note
                ),
                convert_options=pa.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()),
                    strings_can_be_null=True,
                    null_values=list(MISSING),
                ),
            )
    except (pa.ArrowInvalid, OSError, EOFError) as error:
        raise _broken(raw, error) from error
    if ragged:
        raise InputError(
            f"{raw.name} has {len(ragged)} ragged row" + "s" * (len(ragged) > 1),
            expected=f"{len(names)} values in each row, as in the header",
            problems=ragged,
            next="mend these lines in the source",
        )


def _header(raw: Path) -> list[str]:
    try:
        with pa.input_stream(str(raw), compression="detect") as stream:
            start = stream.read(1 << 20)
    except (pa.ArrowInvalid, OSError, EOFError, gzip.BadGzipFile) as error:
        raise _broken(raw, error) from error
    if b"\0" in start:
        raise _unreadable(raw, "text: CSV in UTF-8, or a .parquet file", "binary data")
    try:
        text = start.decode("utf-8-sig", errors="strict" if len(start) < 1 << 20 else "ignore")
    except UnicodeDecodeError as error:
        raise _unreadable(raw, "text in UTF-8", f"byte {error.start} is none") from error
    try:
        names = next(csv.reader(io.StringIO(text)), [])
    except csv.Error as error:
        raise _broken(raw, error) from error
    if len(names) < 2:
        raise _unreadable(
            raw, "a header with two column names or more, parted by commas", f"{text[:60]!r}"
        )
    return names


def _check_names(raw: Path, names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        shown = ", ".join(repr(name) for name in twice[:10])
        raise _unreadable(raw, "each column name once", f"more than once: {shown}")
    if any(not name.strip() for name in names):
        place = next(i for i, name in enumerate(names) if not name.strip()) + 1
        raise _unreadable(raw, "a name for each column", f"none for column {place}")
    broken = [name for name in names if "\n" in name or "\r" in name]
    if broken:
        raise _unreadable(raw, "column names without a line break", f"{broken[0]!r}")


def _broken(raw: Path, error: Exception) -> InputError:
    return _unreadable(raw, "a whole CSV or Parquet file", " ".join(str(error).split())[:200])


def _unreadable(raw: Path, expected: str, found: str) -> InputError:
    return InputError(
        f"{raw.name} cannot be read as a table",
        expected=expected,
        found=found,
        next="mend the file at its source",
    )
