"""A folder of parts: files of one format with the same columns, read one after the other."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa

from gristmill.pipelines.config import Data
from gristmill.pipelines.ingestion.readers import delimited, json_lines
from gristmill.pipelines.ingestion.readers.dialect import sniff_csv
from gristmill.pipelines.ingestion.readers.faults import check_same, unreadable
from gristmill.pipelines.ingestion.readers.format_choice import find_format
from gristmill.pipelines.ingestion.readers.format_choice import read as read_file
from gristmill.pipelines.ingestion.readers.type_inference import Batches, RowStream, settle
from gristmill.pipelines.ingestion.readers.value_kinds import MOMENT

DATES_AND_TEXT = {MOMENT, pa.string()}


def read(raw: Path, data: Data | None, not_numbers: Collection[str]) -> RowStream:
    """Read the rows of all parts in the order of their names.

    Raises:
        InputError: there are no parts, subfolders, several formats or different columns.
    """
    files = part_files(raw)
    formats = {find_format(file).module: file for file in files}
    if len(formats) > 1:
        some = ", ".join(file.name for file in formats.values())
        raise unreadable(raw, "parts of one format", f"{len(formats)} formats: {some}")
    (module,) = formats
    if module in ("parquet_file", "arrow_file"):
        return _typed(files, data, not_numbers)
    if module == "json_lines":
        return settle(raw, [json_lines.open_source(file, data) for file in files], not_numbers)
    return settle(raw, _of_one_dialect(files, data), not_numbers)


def part_files(raw: Path) -> list[Path]:
    """Return the files of a folder sorted by name, without those that begin with `.` or `_`."""
    entries = sorted(p for p in raw.iterdir() if not p.name.startswith((".", "_")))
    odd = [entry.name for entry in entries if not entry.is_file()]
    if odd:
        raise unreadable(raw, "a folder of files", "not a file: " + ", ".join(odd[:10]))
    empty = [entry.name for entry in entries if entry.stat().st_size == 0]
    if empty:
        raise unreadable(raw, "parts that are not empty", "empty: " + ", ".join(empty[:10]))
    if not entries:
        raise unreadable(raw, "a folder with files in it", "an empty folder")
    return entries


def _of_one_dialect(files: list[Path], data: Data | None) -> list[delimited.Delimited]:
    """Open text tables in the dialect of the first one, each in its own encoding."""
    first = delimited.open_source(files[0], data)
    like = first.dialect.model_copy(
        update={"encoding": data and data.csv.encoding, "skip": data and data.csv.skip}
    )
    same = {"thousands": first.dialect.thousands}
    sources = [first]
    for file in files[1:]:
        dialect = sniff_csv(file, like).model_copy(update=same)
        part = delimited.Delimited(file, dialect, first.quoted)
        check_same(file, part.names, first.raw, first.names)
        sources.append(part)
    return sources


def _typed(files: list[Path], data: Data | None, not_numbers: Collection[str]) -> RowStream:
    parts = [read_file(file, data, not_numbers) for file in files]
    first = parts[0].schema
    for file, part in zip(files[1:], parts[1:], strict=True):
        check_same(file, part.schema.names, files[0], first.names)
    unlike = {n for n in first.names if {p.schema.field(n).type for p in parts} == DATES_AND_TEXT}
    if unlike - {*not_numbers}:  # all texts of some parts are dates
        return _typed(files, data, {*not_numbers, *unlike})
    schema = pa.schema([f.with_type(_common(files, parts, f.name)) for f in first])
    notes = list(dict.fromkeys(note for part in parts for note in part.notes))
    return RowStream(schema, _in_order(parts, schema), notes)


def _common(files: list[Path], parts: list[RowStream], name: str) -> pa.DataType:
    kinds = {part.schema.field(name).type: file for part, file in zip(parts, files, strict=True)}
    if set(kinds) == {pa.int64(), pa.float64()}:
        return pa.float64()
    if len(kinds) > 1:
        some = "; ".join(f"{kind} in {file.name}" for kind, file in kinds.items())
        raise unreadable(files[0].parent, f"one type for column {name} in all parts", some)
    return next(iter(kinds))


def _in_order(parts: list[RowStream], schema: pa.Schema) -> Batches:
    for part in parts:
        for batch in part.batches:
            columns = [batch[field.name].cast(field.type) for field in schema]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
