"""CSV and its relatives: text with a header, one row a line, values parted by a mark."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from pipelines.config import Problem
from pipelines.config.sections import Csv, Data
from pipelines.ingestion.readers.chunks import Chunk, chunks
from pipelines.ingestion.readers.dialect import header, sniff_csv
from pipelines.ingestion.readers.encoding import Utf8, not_in
from pipelines.ingestion.readers.faults import KEPT, broken
from pipelines.ingestion.readers.kinds import (
    EXACT,
    FALSE,
    MOMENT,
    TRUE,
    Kind,
    Reading,
)
from pipelines.ingestion.readers.settle import Misfit, Parsed, Plan, Refused, Rows, settled
from pipelines.ingestion.readers.wrapped import opened

COLUMN = re.compile(r"In CSV column #(\d+)")
"""How Arrow names the column whose value it could not convert."""


def source(raw: Path, data: Data | None) -> Delimited:
    """The file as a source whose types are settled by reading it."""
    return Delimited(raw, sniff_csv(raw, data.csv if data is not None else Csv()))


class Delimited:
    """A text table in a known dialect.

    Args:
        raw: the file.
        dialect: how it is written, with nothing left open but thousands and dates.
    """

    def __init__(self, raw: Path, dialect: Csv) -> None:
        self.raw, self.dialect = raw, dialect
        self.names, self._header_lines = header(raw, dialect)
        self._reading = Reading(dialect)
        self._delimiter, self._quote = dialect.delimiter or ",", dialect.quote or '"'

    def pieces(self, size: int) -> Iterator[Chunk]:
        """The rows below the header."""
        with opened(self.raw) as stream:
            encoding = self.dialect.encoding or "utf-8"
            text = Utf8(self.raw, stream, encoding)
            left = self._header_lines
            for chunk in chunks(self.raw, text, size, self._quote, self._delimiter):
                if left:
                    chunk, left = _without_header(chunk, left), 0
                if chunk.text.strip(b"\r\n"):
                    yield chunk

    def fits(self, piece: Chunk, among: Collection[str] | None) -> dict[str, Kind]:
        """The kinds that all values of the named columns fit."""
        names = self.names if among is None else [n for n in self.names if n in among]
        batch, _ = self._read(piece, dict.fromkeys(names, pa.string()), list(names))
        return {name: self._reading.fits(batch[name]) for name in names}

    def parsed(self, piece: Chunk, plan: Plan) -> Parsed:
        """The rows of a piece with typed columns."""
        misfits: set[str] = set()
        types = {name: column.parsed for name, column in plan.items()}
        while True:
            try:
                batch, refused = self._read(piece, types)
                break
            except pa.ArrowInvalid as error:
                found = COLUMN.search(str(error))
                if found is None:
                    raise broken(self.raw, error) from error
                name = self.names[int(found[1])]
                misfits.add(name)
                types[name] = pa.string()
        if refused:
            return Refused(refused)
        misfits |= self._suspects(piece, plan, batch, misfits)
        columns = []
        for name, planned in plan.items():
            column = batch[name]
            if not planned.direct and name not in misfits:
                column = self._reading.read(column, planned.kind)
                if column is None:
                    misfits.add(name)
            elif planned.kind is Kind.ZONED and name not in misfits:
                column = column.cast(MOMENT)
            columns.append(column)
        if misfits:
            return Misfit(frozenset(misfits))
        return pa.RecordBatch.from_arrays(columns, names=list(plan))

    def _read(
        self, piece: Chunk, types: dict[str, Any], only: list[str] | None = None
    ) -> tuple[pa.RecordBatch, tuple[Problem, ...]]:
        """One block through Arrow's parser, and the rows that it refused."""
        odd: list[Any] = []

        def note(row: Any) -> str:
            if len(odd) < KEPT:
                odd.append(row)
            return "skip"

        missing = list(self.dialect.missing or ("",))
        table = self._checked(
            piece,
            read_options=arrow_csv.ReadOptions(
                use_threads=False, block_size=len(piece.text) + 1, column_names=self.names
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self._delimiter,
                quote_char=self._quote,
                newlines_in_values=self._quote.encode() in piece.text,
                invalid_row_handler=note,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=types,
                include_columns=only,
                strings_can_be_null=True,
                null_values=list({"", *missing}),
                true_values=list(TRUE),
                false_values=list(FALSE),
                decimal_point=self.dialect.decimal or ".",
            ),
        )
        (batch,) = table.combine_chunks().to_batches() or [_empty(table.schema)]
        return batch, self._located(piece, odd) if odd else ()

    def _checked(self, piece: Chunk, **options: Any) -> pa.Table:
        try:
            return arrow_csv.read_csv(pa.BufferReader(piece.text), **options)
        except pa.ArrowInvalid as error:
            if "UTF8" in str(error) or "UTF-8" in str(error):
                raise self._not_utf_8(piece) from error
            if "Empty CSV" in str(error):
                raise broken(self.raw, error) from error
            raise

    def _not_utf_8(self, piece: Chunk) -> Exception:
        try:
            piece.text.decode("utf-8")
        except UnicodeDecodeError as error:
            line = piece.line + piece.text.count(b"\n", 0, error.start)
            return not_in(self.raw, "utf-8", line)
        return not_in(self.raw, "utf-8", piece.line)

    def _located(self, piece: Chunk, odd: list[Any]) -> tuple[Problem, ...]:
        """The refused rows with the lines on which they begin."""
        wanted = len(self.names)
        found: list[Problem] = []
        text = io.StringIO(piece.text.decode("utf-8", errors="replace"), newline="")
        rows = csv.reader(text, delimiter=self._delimiter, quotechar=self._quote)
        before = 0
        try:
            for row in rows:
                if row and len(row) != wanted:
                    where = f"line {piece.line + before}"
                    found.append(Problem(where, f"{wanted} values", str(len(row))))
                before = rows.line_num
                if len(found) == KEPT:
                    break
        except csv.Error:
            pass
        return tuple(found) or tuple(
            Problem(f"line «{row.text[:60]}»", f"{wanted} values", str(row.actual_columns))
            for row in odd
        )

    def _suspects(
        self, piece: Chunk, plan: Plan, batch: pa.RecordBatch, known: Collection[str]
    ) -> set[str]:
        """Columns in which the parser saw numbers that are none: 007, 0x1F, or inexact ones."""
        direct = {n: c.kind for n, c in plan.items() if c.direct and n not in known}
        floats = {n for n, kind in direct.items() if kind is Kind.FLOAT}
        suspects = {n for n in floats if _beyond_exact(batch[n])}
        numbers = floats | {n for n, kind in direct.items() if kind is Kind.INTEGER}
        if numbers - suspects and _zero_led(piece.text, self._delimiter, self._quote):
            suspects |= numbers
        if not suspects:
            return set()
        fits = self.fits(piece, suspects)
        return {name for name, kinds in fits.items() if direct[name] not in kinds}


def _without_header(chunk: Chunk, lines: int) -> Chunk:
    start = 0
    for _ in range(lines):
        start = chunk.text.find(b"\n", start) + 1 or len(chunk.text)
    return Chunk(chunk.line + lines, chunk.text[start:])


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=schema)


def _beyond_exact(column: pa.Array) -> bool:
    ends = pc.min_max(column).as_py()
    return ends["max"] is not None and max(ends["max"], -ends["min"]) > EXACT


def _zero_led(text: bytes, delimiter: str, quote: str) -> bool:
    """Whether a value may begin with a zero that a number would lose, such as 007 or 0x1F."""
    b = np.frombuffer(b"\n\n\n" + text + b"\n", dtype=np.uint8)
    zero, after = b[3:-1] == ord("0"), b[4:]
    zero &= (after - ord("0") < 10) | (after | 32 == ord("x"))
    at = np.flatnonzero(zero) + 3
    starts = np.array([ord(delimiter), ord(quote), 10, 13], dtype=np.uint8)
    before = b[at - 1]
    signed = np.isin(before, np.array([45, 32, 9], dtype=np.uint8))
    before = np.where(signed, b[at - 2], before)
    return bool(np.isin(before, starts).any())


def read(raw: Path, data: Data | None, as_text: Collection[str]) -> Rows:
    """The columns and rows of a text table."""
    return settled(source(raw, data), as_text)
