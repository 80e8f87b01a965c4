"""Inference of the column types over a whole file, and the rows in these types.

A plan is made from the first rows, and the file is parsed straight to typed columns: usually it is
read once. If a later value contradicts the plan, the columns in doubt are checked over the whole
file, and it is read again with the new plan.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from gristmill.pipelines.base import Problem, side_by_side
from gristmill.pipelines.ingestion.readers.encoding import Utf8
from gristmill.pipelines.ingestion.readers.faults import KEPT, declare, refused, unreadable
from gristmill.pipelines.ingestion.readers.table_form import LONGEST
from gristmill.pipelines.ingestion.readers.value_kinds import (
    ANY,
    UNDECIDED,
    Kind,
    are_codes,
    arrow_type,
    chosen,
    date_field,
)
from gristmill.pipelines.ingestion.readers.wrapped import Readable, opened

SAMPLE = 1 << 20
"""Bytes from which the first plan is made."""

BLOCK = 8 << 20
"""Bytes parsed at a time."""

Batches = Iterator[pa.RecordBatch]

NO_QUOTE = "\0"
"""For formats whose values cannot contain line breaks: text contains no NUL."""


@dataclass(frozen=True)
class Chunk:
    """Complete rows of a text in UTF-8; the first one begins at line number `line`, from 1."""

    line: int
    text: bytes
    last: bool = False


Plan = Mapping[str, Kind]
"""The kind that each column is read as."""


@dataclass(frozen=True)
class Refused:
    """Malformed rows of a piece."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Misfit:
    """Columns of a piece with values that contradict the plan."""

    columns: frozenset[str]


Parsed: TypeAlias = pa.RecordBatch | Refused | Misfit


class TextSource(ABC):
    """A text file whose types are inferred from its values.

    Attributes:
        raw: the file.
        encoding: encoding of its text.
        refuses: the name of a malformed row, and what is expected instead.
        quote: the character around values.
        delimiter: the character between values.
        escape: the character before a quote that is part of a value; empty if there is none.
        header_lines: number of lines before the first row.
        advice: what to do about malformed rows.
        notes: what is unusual in the file, in words.
        left_out: columns of the file that are not read, because their values are nested.
        taken: words that were read as missing values: word, column and number of cells, by piece.
        exact: whether each quote is examined to find where rows end, which takes several times as
            long. Otherwise a row ends at a line break with an even number of quotes before it.
            That is wrong only if quotes also occur inside of values (5" pipe), and then shows as
            ragged rows.
    """

    raw: Path
    encoding: str
    refuses: tuple[str, str]
    quote = NO_QUOTE
    delimiter = NO_QUOTE
    escape = ""
    header_lines = 0
    exact = False
    left_out: Collection[str] = ()
    advice = "fix these lines in the source"

    @cached_property
    def notes(self) -> dict[str, None]:
        return {}

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, int]] = []

    def pieces(self, size: int) -> Iterator[Chunk]:
        """Yield the rows below the header in pieces of complete rows, of about `size` bytes.

        Raises:
            InputError: there is a NUL byte, or a quote that is never closed.
        """
        before: Chunk | None = None
        for chunk in self._below(size):
            if before is not None:
                yield before
            before = chunk
        if before is not None:
            yield replace(before, last=True)

    def clean(self, text: bytes) -> bytes:
        """Return a text without what is not part of the table, with the same lines."""
        return text

    def _below(self, size: int) -> Iterator[Chunk]:
        left = self.header_lines
        with opened(self.raw) as stream:
            for chunk in self._chunks(Utf8(self.raw, stream, self.encoding), size):
                if left:
                    below = chunk.text.split(b"\n", left)[left:]
                    chunk, left = Chunk(chunk.line + left, b"".join(below)), 0
                if chunk.text.lstrip(b"\r\n"):  # at its end, line breaks would cost a copy
                    yield chunk

    def _chunks(self, stream: Readable, size: int) -> Iterator[Chunk]:
        """Yield the whole text in pieces that end where a row ends, not at a quoted line break."""
        line, rest = 1, b""
        while data := stream.read(size):
            if b"\0" in data:
                at = line + (rest + data[: data.index(0)]).count(b"\n")
                raise unreadable(self.raw, "text", f"binary data: a NUL byte in line {at}")
            rest = self.clean(rest + data)
            end = self._end_of_row(rest)
            if end:
                yield Chunk(line, rest[:end])
                line += _count(rest, b"\n", end)
                rest = rest[end:]
            elif len(rest) > LONGEST:
                raise self._never_closed(line, rest, self._open_quote(rest) or 0)
        if rest:
            where = self._open_quote(rest)
            if where is not None:
                raise self._never_closed(line, rest, where)
            yield Chunk(line, rest)

    def _end_of_row(self, text: bytes) -> int:
        """Return the position after the last line break that ends a row, 0 if there is none."""
        end, quote = text.rfind(b"\n") + 1, self.quote.encode()
        if not end or (quote not in text and not self.escape):
            return end
        if not self.exact and _count(text, quote, end) % 2 == 0:
            return end
        while (where := self._open_quote(text[:end])) is not None:
            end = text.rfind(b"\n", 0, where) + 1  # an earlier value can have line breaks too
        while self.escape and text[:end].endswith(f"{self.escape}\n".encode()):
            end = text.rfind(b"\n", 0, end - 1) + 1
        return end

    def _open_quote(self, text: bytes) -> int | None:
        """Return the position of an unclosed quote that opens a value; a row begins at 0."""
        last = next(iter(deque(self._quoted.finditer(text), maxlen=1)), None)
        return last.start("open") if last is not None and not last["close"] else None

    @cached_property
    def _quoted(self) -> re.Pattern[bytes]:
        q, d, e = re.escape(self.quote), re.escape(self.delimiter), re.escape(self.escape)
        inside, pair = (f"[^{q}{e}]*+", f"(?:{q}{q}|(?s:{e}.))") if e else (f"[^{q}]*+", f"{q}{q}")
        value = f"(?m:^|{d})(?P<open>{q}){inside}(?:{pair}{inside})*+(?P<close>{q})?"
        return re.compile(value.encode())

    def _never_closed(self, line: int, text: bytes, where: int) -> Exception:
        line += text.count(b"\n", 0, where)
        return unreadable(
            self.raw,
            "closed quotes",
            f"the quote in line {line} is not closed",
            f"fix the file at its source, or if it is no quote: {declare('quote', 'none')}",
        )

    def read_carefully(self) -> bool:
        """From now on, examine each quote to find where rows end; False if that changes nothing."""
        before, self.exact = self.exact, True
        return not before and self.quote != NO_QUOTE

    @abstractmethod
    def fits(self, piece: Chunk, among: Collection[str] | None) -> dict[str, Kind]:
        """Return the kinds that all values of the named columns fit; None for all columns.

        Nested values fit none.
        """

    @abstractmethod
    def parse(self, piece: Chunk, plan: Plan) -> Parsed:
        """Return the rows of a piece as planned, or why they do not fit the plan."""


def words_taken(taken: Sequence[tuple[str, str, int]]) -> list[str]:
    """Return a line with the words that were read as missing values, and where."""
    cells: Counter[str] = Counter()
    columns: dict[str, dict[str, None]] = {}
    for word, column, count in taken:
        cells[word] += count
        columns.setdefault(word, {})[column] = None
    found = [
        f"{word} ({count:,} in {', '.join([*columns[word]][:3])}{', …' * (len(columns[word]) > 3)})"
        for word, count in cells.most_common(8)
    ]
    return ["read as missing values: " + ", ".join(found)] if found else []


def as_batch(columns: Mapping[str, pa.Array | None]) -> pa.RecordBatch | Misfit:
    """Return columns as rows, or the names of those that are None since they do not fit."""
    misfits = frozenset(name for name, column in columns.items() if column is None)
    return Misfit(misfits) if misfits else pa.RecordBatch.from_pydict(dict(columns))


def _count(text: bytes, letter: bytes, end: int) -> int:
    """Count like `bytes.count`, which is slower for frequent letters."""
    return int(np.count_nonzero(np.frombuffer(text, dtype=np.uint8, count=end) == ord(letter)))


class RowStream(NamedTuple):
    """The result of a reader.

    Attributes:
        schema: the columns.
        batches: the rows in blocks.
        notes: what was done to the data, in words; complete once all blocks have been read.
    """

    schema: pa.Schema
    batches: Batches
    notes: Sequence[str] = ()


class Again(Exception):
    """Discard the rows read so far and begin again with `rows`: a late value was of another kind.

    Args:
        rows: the columns with their new types, and all rows.
    """

    def __init__(self, rows: RowStream) -> None:
        super().__init__("the column types changed")
        self.rows = rows


def settle(raw: Path, sources: Sequence[TextSource], not_numbers: Collection[str]) -> RowStream:
    """Infer the types of a file, or of several with the same columns, and read the rows.

    Args:
        raw: the file, or the folder of the files.
        sources: the files.
        not_numbers: columns that are not numbers even if all their values look like numbers.

    Raises:
        Again: while the rows are read, if a type must change or quotes were misread; at most twice.
        InputError: a file cannot be read.
    """
    return _Inference(raw, sources, not_numbers).settle()


@dataclass(frozen=True)
class _Inference:
    raw: Path
    sources: Sequence[TextSource]
    not_numbers: Collection[str]

    def settle(self) -> RowStream:
        source, first = next(self._pieces(SAMPLE), (None, None))
        found = source.fits(first, None) if source is not None and first is not None else {}
        undecided = {
            name
            for name, fits in found.items()
            if fits != ANY and (UNDECIDED in fits or are_codes(fits))
        }
        if undecided:
            found |= self._exactly(undecided)
        return self._rows(found)

    def _rows(self, found: Mapping[str, Kind]) -> RowStream:
        plan = {n: chosen(fits, n not in self.not_numbers) for n, fits in found.items() if fits}
        nested = [name for name in found if name not in plan]
        shown = ", ".join(nested[:10]) + ", …" * (len(nested) > 10)
        if nested and not plan:
            raise unreadable(self.raw, "flat columns", f"nested columns: {shown}")
        for source in self.sources:
            source.left_out = nested
        schema = pa.schema(
            [date_field(n, arrow_type(kind), kind is Kind.ZONED) for n, kind in plan.items()]
        )
        notes = [f"columns of nested values left out: {shown}"] * bool(nested)
        return RowStream(schema, self._batches(plan, found, notes), notes)

    def _batches(self, plan: Plan, found: Mapping[str, Kind], notes: list[str]) -> Batches:
        for source in self.sources:
            source.taken.clear()
        doubtful: set[str] = set()
        problems: list[Problem] = []
        pieces = side_by_side(self._pieces(BLOCK), lambda piece: piece[0].parse(piece[1], plan))
        for (source, _), parsed in pieces:
            if isinstance(parsed, Misfit):
                doubtful |= parsed.columns
            elif isinstance(parsed, Refused):
                where = f"{source.raw.name}, " if len(self.sources) > 1 else ""
                problems += [replace(one, where=where + one.where) for one in parsed.problems]
                if len(problems) >= KEPT:
                    break
            elif not doubtful and not problems:
                yield parsed
        if problems:
            carefully = [source.read_carefully() for source in self.sources]
            if any(carefully):
                raise Again(self.settle())
            raise refused(self.raw, *self.sources[0].refuses, problems, self.sources[0].advice)
        if doubtful:
            raise Again(self._rows({**found, **self._exactly(doubtful)}))
        notes += dict.fromkeys(note for source in self.sources for note in source.notes)
        notes += words_taken([one for source in self.sources for one in source.taken])

    def _exactly(self, names: Collection[str]) -> dict[str, Kind]:
        """Return the kinds that all values of some columns fit, over the whole file."""
        pieces = side_by_side(self._pieces(BLOCK), lambda piece: piece[0].fits(piece[1], names))
        return reduce(_both, (fits for _, fits in pieces), {})

    def _pieces(self, size: int) -> Iterator[tuple[TextSource, Chunk]]:
        return ((source, piece) for source in self.sources for piece in source.pieces(size))


def _both(one: dict[str, Kind], other: dict[str, Kind]) -> dict[str, Kind]:
    names = dict.fromkeys([*one, *other])
    return {name: one.get(name, ANY) & other.get(name, ANY) for name in names}
