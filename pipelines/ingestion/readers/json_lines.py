"""JSON: one flat object per line, or an array of them."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterator, Set
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as arrow_json

from gristmill.pipelines.base import Problem
from gristmill.pipelines.config import Csv, Data
from gristmill.pipelines.ingestion.readers.dialect import find_encoding
from gristmill.pipelines.ingestion.readers.encoding import Utf8, not_in
from gristmill.pipelines.ingestion.readers.faults import KEPT, check_names, unreadable
from gristmill.pipelines.ingestion.readers.type_inference import (
    Chunk,
    Misfit,
    Parsed,
    Plan,
    Refused,
    RowStream,
    TextSource,
    as_batch,
    settle,
)
from gristmill.pipelines.ingestion.readers.value_kinds import (
    ANY,
    CODES,
    LAYOUTS,
    Kind,
    Reading,
    beyond_exact,
)
from gristmill.pipelines.ingestion.readers.wrapped import opened

WORDS = reduce(Kind.__or__, LAYOUTS, Kind.TEXT | Kind.DECLARED)

WRITTEN = reduce(lambda kinds, code: kinds & ~code, CODES, ANY)
"""JSON distinguishes numbers from text, so that no number is a code."""

QUICK = {Kind.INTEGER: pa.int64(), Kind.FLOAT: pa.float64(), Kind.BOOLEAN: pa.bool_()}
"""The types that Arrow's own parser gives to JSON's numbers and booleans."""


START, BLANKS = 4096, b"\xef\xbb\xbf\xff\xfe\0 \t\r\n"
"""Bytes from which an array is recognised, and bytes before its first letter."""

_BETWEEN = re.compile(r"[\s,]*")
_BETWEEN_FIRST = re.compile(r"\s*\[?\s*")


class _Token(str):
    """A number as it is written."""


def read(raw: Path, data: Data | None, not_numbers: Collection[str]) -> RowStream:
    """Read the columns and rows of a file of JSON lines."""
    return settle(raw, [open_source(raw, data)], not_numbers)


def open_source(raw: Path, data: Data | None) -> JsonLines:
    """Open a file as a source whose types are inferred from its values."""
    declared = data.csv if data is not None else Csv()
    with opened(raw) as stream:
        first = stream.read(START).lstrip(BLANKS)[:1]
    return (JsonArray if first == b"[" else JsonLines)(raw, declared)


class JsonLines(TextSource):
    """Objects of names and values; a name that a line does not have is missing there.

    Args:
        raw: the file.
        declared: `missing`, `text`, `dates` and `encoding` are used; numbers are JSON's own.
    """

    refuses = ("invalid line", "one flat JSON object per line")
    part = "line"

    def __init__(self, raw: Path, declared: Csv) -> None:
        super().__init__()
        self.raw, self.encoding = raw, declared.encoding or find_encoding(raw)
        self._missing = frozenset(declared.missing or ())
        self._text = frozenset(declared.text or ())
        self._reading = Reading(Csv(dates=declared.dates))

    def fits(self, piece: Chunk, among: Collection[str] | None) -> dict[str, Kind]:
        """Return the kinds that all values of the named columns fit; quoted text is no number."""
        return self._fits(self._rows(piece)[0], among)

    def parse(self, piece: Chunk, plan: Plan) -> Parsed:
        """Return the lines of a piece with typed columns, or why they do not fit the plan."""
        batch = None if self._missing else self._quickly(piece, plan)
        return batch if batch is not None else self._slowly(piece, plan)

    def _fits(self, rows: list[dict[str, Any]], among: Collection[str] | None) -> dict[str, Kind]:
        names = list(dict.fromkeys(name for row in rows for name in row))
        check_names(self.raw, names)
        found: dict[str, Kind] = {}
        for name in names:
            if among is None or name in among:
                values = [row.get(name) for row in rows]
                if any(isinstance(value, dict | list) for value in values):
                    found[name] = Kind(0)
                    continue
                fits = self._reading.fits(_texts(values, self._missing))
                types = {type(v) for v in values if type(v) is not str or v not in self._missing}
                found[name] = fits if fits == ANY else fits & _allowed(types)
                if name in self._text:
                    found[name] = Kind.TEXT
        return found

    def _quickly(self, piece: Chunk, plan: Plan) -> pa.RecordBatch | None:
        """Parse the lines with Arrow; return None if they do not fit the plan."""
        schema = pa.schema([(n, QUICK.get(kind, pa.string())) for n, kind in plan.items()])
        whole = arrow_json.ReadOptions(use_threads=False, block_size=len(piece.text) + 1)
        strict = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="error")
        try:
            table = arrow_json.read_json(pa.BufferReader(piece.text), whole, strict)
        except pa.ArrowInvalid:
            return None
        (batch,) = table.combine_chunks().to_batches()
        made = as_batch({name: self._column(batch[name], kind) for name, kind in plan.items()})
        return None if isinstance(made, Misfit) else made

    def _column(self, values: pa.Array, kind: Kind) -> pa.Array | None:
        if kind is Kind.FLOAT and beyond_exact(values):
            return None
        if kind in QUICK:
            return values
        return self._reading.read(pc.if_else(pc.equal(values, ""), None, values), kind)

    def _slowly(self, piece: Chunk, plan: Plan) -> Parsed:
        rows, problems = self._rows(piece)
        if problems:
            return Refused(tuple(problems))
        fits = self._fits(rows, None)
        columns: dict[str, pa.Array | None] = {}
        for name, kind in plan.items():
            columns[name] = None
            if kind in fits.get(name, ANY):
                texts = _texts([row.get(name) for row in rows], self._missing)
                columns[name] = self._reading.read(texts, kind)
        return as_batch(columns | dict.fromkeys(fits.keys() - plan.keys() - {*self.left_out}))

    def _rows(self, piece: Chunk) -> tuple[list[dict[str, Any]], list[Problem]]:
        rows: list[dict[str, Any]] = []
        problems: list[Problem] = []
        for number, line in enumerate(piece.text.split(b"\n"), piece.line):
            if not line.strip():
                continue
            try:
                value = json.loads(
                    line, parse_int=_Token, parse_float=_Token, object_pairs_hook=_once
                )
            except UnicodeDecodeError as error:
                raise not_in(self.raw, "utf-8", number) from error
            except (json.JSONDecodeError, RecursionError) as error:
                value = error
            if isinstance(value, dict):
                rows.append(value)
            elif len(problems) < KEPT:
                problems.append(Problem(f"{self.part} {number}", found=_shown(value, line)))
        return rows, problems


class JsonArray(JsonLines):
    """An array of flat objects, read piece by piece as one object per line."""

    refuses = ("invalid entry", "one flat JSON object per entry of the array")
    part = "entry"

    def pieces(self, size: int) -> Iterator[Chunk]:
        """Yield the entries in pieces, each entry on a line; the line is its number."""
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        text, number, lines = "", 1, list[str]()
        with opened(self.raw) as stream:
            source = Utf8(self.raw, stream, self.encoding)
            more = True
            while more:
                data = source.read(size)
                more, text = bool(data), text + decode(data, not data)
                entries, text = self._entries(text, more, number == 1 and not lines)
                lines += entries
                if lines and (not more or sum(map(len, lines)) >= size):
                    yield Chunk(number, "\n".join(lines).encode())
                    number, lines = number + len(lines), []

    def _entries(self, text: str, more: bool, begins: bool) -> tuple[list[str], str]:
        """Return the complete entries of a text, and the rest of the text."""
        found: list[str] = []
        at, decoder = 0, json.JSONDecoder()
        while True:
            between = (_BETWEEN_FIRST if begins else _BETWEEN).match(text, at)
            at = between.end() if between else at
            begins = False
            if text[at : at + 1] in ("", "]"):
                break
            try:
                _, end = decoder.raw_decode(text, at)
            except (json.JSONDecodeError, RecursionError):
                break
            found.append(text[at:end].replace("\n", " ").replace("\r", " "))
            at = end
        if not more and text[at : at + 1] != "]":
            raise unreadable(self.raw, "a complete JSON array", f"its end: {text[at:][-60:]!r}")
        return found, text[at:]


def _once(pairs: list[tuple[str, Any]]) -> Any:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        return ValueError(f"duplicate name {twice!r}")
    return made


def _shown(value: Any, line: bytes) -> str:
    start = line[:60].decode("utf-8", errors="replace")
    return f"{value}: {start}" if isinstance(value, Exception) else start


def _allowed(types: Set[type]) -> Kind:
    """Return the kinds that JSON's types allow: quoted text is neither a number nor a boolean."""
    said = types & {str, bool, _Token}
    return Kind.TEXT if len(said) > 1 else WORDS if said == {str} else WRITTEN


def _texts(values: list[Any], missing: Collection[str]) -> pa.Array:
    return pa.array([_text(value, missing) for value in values], pa.string())


def _text(value: Any, missing: Collection[str]) -> str | None:
    if value is None or value == "" or value in missing:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
