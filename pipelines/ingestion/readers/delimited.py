"""CSV and similar: text with a header, one row per line, values separated by a delimiter."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from gristmill.pipelines.base import Problem
from gristmill.pipelines.config import Csv, Data
from gristmill.pipelines.ingestion.readers.dialect import header, sniff_csv
from gristmill.pipelines.ingestion.readers.encoding import not_in
from gristmill.pipelines.ingestion.readers.faults import KEPT, broken
from gristmill.pipelines.ingestion.readers.type_inference import (
    Chunk,
    Parsed,
    Plan,
    Refused,
    RowStream,
    TextSource,
    as_batch,
    settle,
)
from gristmill.pipelines.ingestion.readers.value_kinds import Kind, Reading


def read(raw: Path, data: Data | None, not_numbers: Collection[str]) -> RowStream:
    """Read the columns and rows of a text table."""
    return settle(raw, [open_source(raw, data)], not_numbers)


def open_source(raw: Path, data: Data | None) -> Delimited:
    """Open a file as a source whose types are inferred from its values."""
    return Delimited(raw, sniff_csv(raw, data.csv if data is not None else Csv()))


class Delimited(TextSource):
    """A text table in a known dialect.

    Args:
        raw: the file.
        dialect: its dialect, complete except for thousands and dates.
    """

    def __init__(self, raw: Path, dialect: Csv) -> None:
        super().__init__()
        self.raw, self.dialect, self._reading = raw, dialect, Reading(dialect, words=True)
        self.encoding = dialect.encoding or "utf-8"
        self.quote, self.delimiter = dialect.quote or '"', dialect.delimiter or ","
        self.names, self.header_lines = header(raw, dialect)
        wanted = f"{len(self.names)} values in each row, as in the header"
        self.refuses = ("ragged row", wanted)

    def fits(self, piece: Chunk, among: Collection[str] | None) -> dict[str, Kind]:
        """Return the kinds that all values of the named columns fit."""
        batch, _ = self._read(piece)
        wanted = self.names if among is None else [n for n in self.names if n in among]
        return {name: self._fits(name, batch[name]) for name in wanted}

    def parse(self, piece: Chunk, plan: Plan) -> Parsed:
        """Return the rows of a piece with typed columns, or why they do not fit the plan."""
        texts, refused = self._read(piece)
        if refused:
            return Refused(refused)
        return as_batch(
            {name: self._column(name, texts[name], kind) for name, kind in plan.items()}
        )

    def _fits(self, name: str, texts: pa.Array) -> Kind:
        if name in (self.dialect.text or ()):
            return Kind.TEXT
        return self._reading.fits(texts, self._unit(name))

    def _column(self, name: str, texts: pa.Array, kind: Kind) -> pa.Array | None:
        """Return the values of a column as one kind; note the words that are missing values."""
        if name in (self.dialect.text or ()):
            return texts
        values = self._reading.read(texts, kind, self._unit(name))
        if values is not None and values.null_count > texts.null_count:
            words = texts.filter(pc.and_(values.is_null(), texts.is_valid()))
            for one in pc.value_counts(pc.utf8_trim(words, " ")).to_pylist():
                self.taken.append((one["values"], name, one["counts"]))
        return values

    def _unit(self, name: str) -> str:
        return (self.dialect.units or {}).get(name, "")

    def _read(self, piece: Chunk) -> tuple[pa.RecordBatch, tuple[Problem, ...]]:
        """Parse one block with Arrow into text columns; return also the rows that it refused."""
        odd: list[Any] = []

        def note(row: Any) -> str:
            if len(odd) < KEPT:
                odd.append(row)
            return "skip"

        table = self._checked(
            piece,
            read_options=arrow_csv.ReadOptions(
                use_threads=False, block_size=len(piece.text) + 1, column_names=self.names
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self.delimiter,
                quote_char=self.quote,
                newlines_in_values=self.quote.encode() in piece.text,
                invalid_row_handler=note,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(self.names, pa.string()),
                check_utf8=False,
                strings_can_be_null=True,
                null_values=["", " "],
            ),
        )
        (batch,) = table.combine_chunks().to_batches() or [
            pa.RecordBatch.from_pylist([], schema=table.schema)
        ]
        return batch, self._located(piece, odd) if odd else ()

    def _checked(self, piece: Chunk, **options: Any) -> pa.Table:
        if not piece.text.isascii():
            try:
                piece.text.decode("utf-8")
            except UnicodeDecodeError as error:
                line = piece.line + piece.text.count(b"\n", 0, error.start)
                raise not_in(self.raw, "utf-8", line) from error
        try:
            return arrow_csv.read_csv(pa.BufferReader(piece.text), **options)
        except pa.ArrowInvalid as error:
            raise broken(self.raw, error) from error

    def _located(self, piece: Chunk, odd: list[Any]) -> tuple[Problem, ...]:
        """Return the refused rows with the numbers of the lines on which they begin."""
        wanted = len(self.names)
        found: list[Problem] = []
        text = io.StringIO(piece.text.decode("utf-8", errors="replace"), newline="")
        rows = csv.reader(text, delimiter=self.delimiter, quotechar=self.quote)
        before = 0
        with suppress(csv.Error):
            for row in rows:
                if row and len(row) != wanted:
                    where = f"line {piece.line + before}"
                    found.append(Problem(where, f"{wanted} values", str(len(row))))
                before = rows.line_num
                if len(found) == KEPT:
                    break
        return tuple(found) or tuple(
            Problem(f"line «{row.text[:60]}»", f"{wanted} values", str(row.actual_columns))
            for row in odd
        )
