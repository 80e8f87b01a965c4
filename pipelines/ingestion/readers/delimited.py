"""CSV and similar: text with a header, one row per line, values separated by a delimiter."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from gristmill.pipelines.base import Problem
from gristmill.pipelines.config import Csv, Data
from gristmill.pipelines.ingestion.readers.dialect import sniff_csv
from gristmill.pipelines.ingestion.readers.encoding import not_in
from gristmill.pipelines.ingestion.readers.faults import KEPT, broken, declare
from gristmill.pipelines.ingestion.readers.table_form import csv_options, enclosed, header
from gristmill.pipelines.ingestion.readers.type_inference import (
    NO_QUOTE,
    Chunk,
    Parsed,
    Plan,
    Refused,
    RowStream,
    TextSource,
    as_batch,
    settle,
)
from gristmill.pipelines.ingestion.readers.value_kinds import Kind, Reading, words_lost


def read(raw: Path, data: Data | None, not_numbers: Collection[str]) -> RowStream:
    """Read the columns and rows of a text table."""
    return settle(raw, [open_source(raw, data)], not_numbers)


def open_source(raw: Path, data: Data | None) -> Delimited:
    """Open a file as a source whose types are inferred from its values."""
    declared = data.csv if data is not None else Csv()
    return Delimited(raw, sniff_csv(raw, declared), declared.quote is not None)


TOTAL = re.compile(r"(?i)(?:grand |sub)?-?totals?|sum|gesamt|summe|합계|총계|소계|合計")
"""First words of a last row that is the sum of the others."""

ENCLOSED = 5
"""Line breaks in a value whose lines are like rows, from which on this cannot be chance."""


class Delimited(TextSource):
    """A text table in a known dialect.

    Args:
        raw: the file.
        dialect: its dialect, complete except for thousands and dates.
        quoted: whether the quote was declared, so that it is one wherever it is.
    """

    def __init__(self, raw: Path, dialect: Csv, quoted: bool = False) -> None:
        super().__init__()
        self.raw, self.dialect, self._reading = raw, dialect, Reading(dialect, words=True)
        self.encoding, self.quoted = dialect.encoding or "utf-8", quoted
        self.quote = NO_QUOTE if dialect.quote == "none" else dialect.quote or '"'
        self.delimiter, self.escape = dialect.delimiter or ",", dialect.escape or ""
        self.exact = bool(self.escape)
        head = header(raw, dialect)
        self._all, self._empty, self.header_lines = head.names, head.empty, head.lines
        self._header = head.row
        self.names = [name for name in head.names if name not in head.empty]
        wanted = f"{len(self._all)} values in each row, as in the header"
        self.refuses = ("ragged row", wanted)
        self.notes |= dict.fromkeys([*_about(dialect), *head.notes])

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
        if values is not None:
            self.taken += ((word, name, count) for word, count in words_lost(texts, values))
        return values

    def _unit(self, name: str) -> str:
        return (self.dialect.units or {}).get(name, "")

    def _read(self, piece: Chunk) -> tuple[pa.RecordBatch, tuple[Problem, ...]]:
        """Parse one block with Arrow into text columns; return also the rows that it refused."""
        odd: list[Any] = []
        quoted = self.quote.encode() in piece.text
        if quoted and not self.quoted:
            self.advice = (
                f"fix these lines, or if quotes are not quotes: {declare('quote', 'none')}"
            )

        def note(row: Any) -> str:
            if len(odd) < KEPT:
                odd.append(row)
            return "skip"

        table = self._checked(
            piece,
            read_options=arrow_csv.ReadOptions(
                use_threads=False, block_size=len(piece.text) + 1, column_names=self._all
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=self.delimiter,
                quote_char=False if self.quote == NO_QUOTE else self.quote,
                escape_char=self.escape or False,
                newlines_in_values=quoted or bool(self.escape),
                invalid_row_handler=note,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(self._all, pa.string()),
                check_utf8=False,
                strings_can_be_null=True,
                null_values=["", " "],
            ),
        )
        (batch,) = table.combine_chunks().to_batches() or [
            pa.RecordBatch.from_pylist([], schema=table.schema)
        ]
        if self.dialect.blanks == "stripped":
            batch = _stripped(batch)
        filled = any(batch[name].null_count < len(batch) for name in self._empty)
        if odd or filled or (quoted and self._encloses_rows(piece, batch, len(odd))):
            return batch, self._located(piece, odd)
        batch = self._without_headers(batch).select(self.names)
        return self._without_total(batch) if piece.last else batch, ()

    def clean(self, text: bytes) -> bytes:
        """Blank out comments and, if a backslash escapes, MySQL's word for NULL."""
        delimiter = re.escape(self.delimiter.encode())
        if self.dialect.comment:
            text = re.sub(
                rb"(?m)^%b[^\n]*(?=\n)" % re.escape(self.dialect.comment.encode()), b"", text
            )
        if self.escape == "\\":
            text = re.sub(rb"(?m)(?:(?<=%b)|^)\\N(?=%b|\r?$)" % (delimiter, delimiter), b"", text)
        if self.dialect.blanks == "stripped" and self.quote != NO_QUOTE:
            opening = rb"(?<=%b) +(?=%b)" % (delimiter, re.escape(self.quote.encode()))
            text = re.sub(opening, b"", text)
        return text

    def _encloses_rows(self, piece: Chunk, batch: pa.RecordBatch, refused: int) -> bool:
        """Return whether the only values with line breaks are rows between two lone quotes."""
        others = len(self._all) - 1
        if self.quoted or others < 2 or len(batch) + refused >= piece.text.count(b"\n"):
            return False
        several, rows, most = 0, 0, 0
        for place, column in enumerate(batch.columns):
            breaks = pc.count_substring(column, "\n")
            marks = pc.count_substring(column, self.delimiter)
            broken = pc.greater(breaks, 0)
            several += pc.sum(broken).as_py() or 0
            alike = pc.and_(broken, pc.equal(marks, pc.multiply(breaks, others)))
            for value in column.filter(alike).to_pylist():
                found = enclosed(value, place, self._all, self.dialect)
                rows, most = rows + (found > 1), max(most, found)
        return rows > 0 and (rows == several or most >= ENCLOSED)

    def _without_headers(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows without those that repeat the header, as in files put end to end."""
        repeated: Any = True
        for column, name in zip(batch.columns, self._header, strict=bool(self._header)):
            repeated = pc.and_(repeated, pc.equal(pc.fill_null(column, ""), name))
            if not pc.any(repeated).as_py():
                return batch
        if repeated is True:
            return batch
        self.notes["rows that repeat the header left out"] = None
        return batch.filter(pc.invert(repeated))

    def _without_total(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows without a last one that is the sum of the others or only has a word."""
        last = len(batch) - 1
        first, *others = (column[last].as_py() for column in batch.columns)
        if first is None or len(others) < 2 or others.count(None) == 0:
            return batch
        alone = others.count(None) == len(others) and last > 0 and not re.match(r"[\W\d]", first)
        texts = self._reading.fits(batch.column(0).slice(0, last)) == Kind.TEXT
        if TOTAL.fullmatch(first.strip(" :")) or (alone and not texts):
            self.notes[f"the last row left out: {first}"] = None
            return batch.slice(0, last)
        return batch

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
        wanted = len(self._all)
        found: list[Problem] = []
        text = io.StringIO(piece.text.decode("utf-8", errors="replace"), newline="")
        rows = csv.reader(text, **csv_options(self.dialect))
        empty = [place for place, name in enumerate(self._all) if name in self._empty]
        before = 0
        with suppress(csv.Error):
            for row in rows:
                where = f"line {piece.line + before}"
                before = rows.line_num
                if row and len(row) != wanted:
                    found.append(Problem(where, f"{wanted} values", str(len(row))))
                elif row and any(row[place].strip() for place in empty):
                    found.append(Problem(where, "no value below an empty name", "one"))
                elif not odd and any(
                    enclosed(value, place, row, self.dialect) > 1 for place, value in enumerate(row)
                ):
                    where += f" to {piece.line + before - 1}"
                    found.append(Problem(where, "one row", "whole rows inside of quotes"))
                if len(found) == KEPT:
                    break
        return tuple(found) or tuple(
            Problem(f"line «{row.text[:60]}»", f"{wanted} values", str(row.actual_columns))
            for row in odd
        )


def _about(dialect: Csv) -> Iterator[str]:
    """Yield in words how a file is read that is unusual in its form."""
    if dialect.skip:
        yield f"lines left out above the table: {dialect.skip}"
    if dialect.quote == "none":
        yield "quotes are ordinary characters"
    if dialect.escape:
        yield f"{dialect.escape} escapes quotes"
    if dialect.blanks == "stripped":
        yield "blanks after delimiters left out"


def _stripped(batch: pa.RecordBatch) -> pa.RecordBatch:
    trimmed = [pc.utf8_ltrim(column, " ") for column in batch.columns]
    columns = [pc.if_else(pc.equal(column, ""), None, column) for column in trimmed]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)
