"""A folder of parts: files of one format and the same columns, one after the other."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from gristmill.pipelines.config import Csv, Data
from gristmill.pipelines.ingestion.readers import delimited, json_lines, parquet_file
from gristmill.pipelines.ingestion.readers.column_names import check_same
from gristmill.pipelines.ingestion.readers.dialect import sniff_csv
from gristmill.pipelines.ingestion.readers.faults import unreadable
from gristmill.pipelines.ingestion.readers.formats import find_format
from gristmill.pipelines.ingestion.readers.type_inference import (
    Batches,
    Parsed,
    Plan,
    Refused,
    Rows,
    Source,
    settled,
)
from gristmill.pipelines.ingestion.readers.value_kinds import Kind


def read(raw: Path, data: Data | None, not_numbers: Collection[str]) -> Rows:
    """The rows of all parts in the order of their names.

    Raises:
        InputError: no part, a subfolder, parts of several formats or of different columns.
    """
    files = part_files(raw)
    formats = {find_format(file, data).module: file for file in files}
    if len(formats) > 1:
        some = ", ".join(file.name for file in formats.values())
        raise unreadable(raw, "parts of one format", f"{len(formats)} formats: {some}")
    (module,) = formats
    if module == "parquet_file":
        return _parquet(files, not_numbers)
    return settled(Parts(raw, files, module, data), not_numbers)


def part_files(raw: Path) -> list[Path]:
    """The files of a folder, sorted by name, without hidden ones and those that begin with _."""
    entries = sorted(p for p in raw.iterdir() if not p.name.startswith((".", "_")))
    odd = [entry.name for entry in entries if not entry.is_file()]
    if odd:
        raise unreadable(raw, "a folder of files", "in it, no file: " + ", ".join(odd[:10]))
    empty = [entry.name for entry in entries if entry.stat().st_size == 0]
    if empty:
        raise unreadable(raw, "parts that are not empty", "empty: " + ", ".join(empty[:10]))
    if not entries:
        raise unreadable(raw, "a folder with files in it", "an empty folder")
    return entries


class Parts:
    """Several text files as one source; the dialect of the first one is that of all."""

    def __init__(self, raw: Path, files: list[Path], module: str, data: Data | None) -> None:
        self.raw = raw
        self._sources: list[Source]
        if module == "json_lines":
            self._sources = [json_lines.source(file, data) for file in files]
            self.refuses = self._sources[0].refuses
            return
        first = delimited.source(files[0], data)
        found = first.dialect
        rest = found.model_copy(
            update={"encoding": data.csv.encoding if data is not None else None}
        )
        others = [delimited.Delimited(file, _dialect(file, rest, found)) for file in files[1:]]
        for other in others:
            check_same(other.raw, other.names, first.raw, first.names)
        self._sources = [first, *others]
        self.refuses = first.refuses

    def pieces(self, size: int) -> Iterator[tuple[Source, Any]]:
        """The pieces of all parts, each with the part that it is from."""
        for part in self._sources:
            for piece in part.pieces(size):
                yield part, piece

    def more_carefully(self) -> bool:
        """Whether any part can be read more carefully, which all do from now on."""
        changed = [part.more_carefully() for part in self._sources]
        return any(changed)

    def fits(self, piece: tuple[Source, Any], among: Collection[str] | None) -> dict[str, Kind]:
        """The kinds that all values of the named columns fit."""
        part, own = piece
        return part.fits(own, among)

    def parsed(self, piece: tuple[Source, Any], plan: Plan) -> Parsed:
        """The rows of a piece with typed columns, in the plan's order."""
        part, own = piece
        parsed = part.parsed(own, plan)
        if isinstance(parsed, Refused):
            name = part.raw.name
            return Refused(tuple(replace(p, where=f"{name}, {p.where}") for p in parsed.problems))
        return parsed


def _dialect(file: Path, rest: Csv, found: Csv) -> Csv:
    sniffed = sniff_csv(file, rest)
    return sniffed.model_copy(update={"thousands": found.thousands})


def _parquet(files: list[Path], not_numbers: Collection[str]) -> Rows:
    parts = [parquet_file.read(file, None, not_numbers) for file in files]
    first = parts[0].schema
    for file, part in zip(files[1:], parts[1:], strict=True):
        check_same(file, part.schema.names, files[0], first.names)
    schema = pa.schema([(name, _common(files, parts, name)) for name in first.names])
    return Rows(schema, _in_order(parts, schema))


def _common(files: list[Path], parts: list[Rows], name: str) -> pa.DataType:
    kinds = {part.schema.field(name).type: file for part, file in zip(parts, files, strict=True)}
    if set(kinds) == {pa.int64(), pa.float64()}:
        return pa.float64()
    if len(kinds) > 1:
        some = "; ".join(f"{kind} in {file.name}" for kind, file in kinds.items())
        raise unreadable(files[0].parent, f"one type for column {name} in all parts", some)
    return next(iter(kinds))


def _in_order(parts: list[Rows], schema: pa.Schema) -> Batches:
    for part in parts:
        for batch in part.batches:
            columns = [batch[field.name].cast(field.type) for field in schema]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
