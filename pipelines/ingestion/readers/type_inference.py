"""The types of all columns, settled over the whole file, and the rows in them.

The first rows say what the columns seem to be, and the file is read as that, straight to typed
columns: the usual file is read once. Where a later value contradicts, the columns in doubt are
looked at exactly over the whole file, and it is read again with what they turned out to be.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from gristmill.pipelines.base import Problem, side_by_side
from gristmill.pipelines.ingestion.readers.encoding import Utf8
from gristmill.pipelines.ingestion.readers.faults import KEPT, refused, unreadable
from gristmill.pipelines.ingestion.readers.value_kinds import (
    ANY,
    UNDECIDED,
    Kind,
    arrow_type,
    chosen,
)
from gristmill.pipelines.ingestion.readers.wrapped import Readable, opened

SAMPLE = 1 << 20
"""Bytes from which the first plan is made."""

BLOCK = 8 << 20
"""Bytes that are parsed at a time."""

Batches = Iterator[pa.RecordBatch]

NO_QUOTE = "\0"
"""Where no value holds a line break, no quote has to be looked for; text holds no NUL."""

LONGEST = 64 << 20
"""Bytes of a row beyond which a quote is taken as never closed."""


@dataclass(frozen=True)
class Chunk:
    """Whole rows of a text in UTF-8; the first one begins at line number `line`, from 1."""

    line: int
    text: bytes


Plan = Mapping[str, Kind]
"""What each column is read as."""


@dataclass(frozen=True)
class Refused:
    """Rows of a piece that are no rows of the table."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Misfit:
    """Columns of a piece that hold values which contradict the plan."""

    columns: frozenset[str]


Parsed: TypeAlias = pa.RecordBatch | Refused | Misfit


class TextSource(ABC):
    """A file whose types are settled by reading it.

    Attributes:
        raw: the file.
        encoding: of its text.
        refuses: what a refused row is called, and what is expected instead.
        quote: what stands around values.
        delimiter: what parts them.
        header_lines: lines before the first row.
        exact: whether each quote is looked at to find where rows end, which takes several times as
            long. Otherwise a row is taken to end at a line break with an even number of quotes
            before it. That is wrong only where quotes are also letters inside of values (5" pipe),
            and then shows in ragged rows.
    """

    raw: Path
    encoding: str
    refuses: tuple[str, str]
    quote = NO_QUOTE
    delimiter = NO_QUOTE
    header_lines = 0
    exact = False

    def pieces(self, size: int) -> Iterator[Chunk]:
        """The rows from the first one, in pieces of whole rows of about `size` bytes.

        Raises:
            InputError: a NUL byte, or a quote that is never closed.
        """
        left = self.header_lines
        with opened(self.raw) as stream:
            for chunk in self._chunks(Utf8(self.raw, stream, self.encoding), size):
                if left:
                    below = chunk.text.split(b"\n", left)[left:]
                    chunk, left = Chunk(chunk.line + left, b"".join(below)), 0
                if chunk.text.lstrip(b"\r\n"):  # at its end, line breaks would cost a copy
                    yield chunk

    def _chunks(self, stream: Readable, size: int) -> Iterator[Chunk]:
        """All of the text in pieces that end where a row ends; quotes may hold line breaks."""
        line, rest = 1, b""
        while data := stream.read(size):
            if b"\0" in data:
                at = line + (rest + data[: data.index(0)]).count(b"\n")
                raise unreadable(self.raw, "text", f"binary data: a NUL byte in line {at}")
            rest += data
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
        """The place after the last line break that ends a row, 0 where there is none."""
        end, quote = text.rfind(b"\n") + 1, self.quote.encode()
        if not end or quote not in text:
            return end
        if not self.exact and _count(text, quote, end) % 2 == 0:
            return end
        while (where := self._open_quote(text[:end])) is not None:
            end = text.rfind(b"\n", 0, where) + 1  # an earlier value may hold line breaks too
        return end

    def _open_quote(self, text: bytes) -> int | None:
        """The place of a quote that opens a value and is not closed; a row begins at place 0."""
        last = next(iter(deque(self._quoted.finditer(text), maxlen=1)), None)
        return last.start("open") if last is not None and not last["close"] else None

    @cached_property
    def _quoted(self) -> re.Pattern[bytes]:
        q, d = re.escape(self.quote), re.escape(self.delimiter)
        value = f"(?m:^|{d})(?P<open>{q})[^{q}]*+(?:{q}{q}[^{q}]*+)*+(?P<close>{q})?"
        return re.compile(value.encode())

    def _never_closed(self, line: int, text: bytes, where: int) -> Exception:
        line += text.count(b"\n", 0, where)
        return unreadable(self.raw, "quotes that are closed", f"the quote in line {line} is not")

    def read_carefully(self) -> bool:
        """From now on, look at each quote to find where rows end; False where that is no help."""
        before, self.exact = self.exact, True
        return not before and self.quote != NO_QUOTE

    @abstractmethod
    def fits(self, piece: Chunk, among: Collection[str] | None) -> dict[str, Kind]:
        """The kinds that all values of the named columns (None: of all) fit."""

    @abstractmethod
    def parse(self, piece: Chunk, plan: Plan) -> Parsed:
        """A piece as the plan says, or why not."""


def as_batch(columns: Mapping[str, pa.Array | None]) -> pa.RecordBatch | Misfit:
    """Columns as rows, unless some of them are None, for they did not fit the plan."""
    misfits = frozenset(name for name, column in columns.items() if column is None)
    return Misfit(misfits) if misfits else pa.RecordBatch.from_pydict(dict(columns))


def _count(text: bytes, letter: bytes, end: int) -> int:
    """As `bytes.count`, which is slower for letters that are frequent."""
    return int(np.count_nonzero(np.frombuffer(text, dtype=np.uint8, count=end) == ord(letter)))


class RowStream(NamedTuple):
    """What a reader gives: the columns, and the rows in blocks."""

    schema: pa.Schema
    batches: Batches


class Again(Exception):
    """What came so far is void, for a late value was of another kind: all begins again."""

    def __init__(self, rows: RowStream) -> None:
        super().__init__("types were settled anew")
        self.rows = rows


def settle(raw: Path, sources: Sequence[TextSource], not_numbers: Collection[str]) -> RowStream:
    """The columns and rows of a file, or of several with the same columns.

    Args:
        raw: the file, or the folder of the files.
        sources: the files.
        not_numbers: columns that are no numbers even where all values look like it.

    Raises:
        Again: while the rows are read, when a type must change or quotes misled; at most twice.
        InputError: it cannot be read.
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
        undecided = {n for n, fits in found.items() if fits != ANY and UNDECIDED in fits}
        if undecided:
            found |= self._exactly(undecided)
        return self._rows(found)

    def _rows(self, found: Mapping[str, Kind]) -> RowStream:
        plan = {n: chosen(fits, n not in self.not_numbers) for n, fits in found.items()}
        schema = pa.schema([(name, arrow_type(kind)) for name, kind in plan.items()])
        return RowStream(schema, self._batches(plan, found))

    def _batches(self, plan: Plan, found: Mapping[str, Kind]) -> Batches:
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
            raise refused(self.raw, *self.sources[0].refuses, problems)
        if doubtful:
            raise Again(self._rows({**found, **self._exactly(doubtful)}))

    def _exactly(self, names: Collection[str]) -> dict[str, Kind]:
        """The kinds that all values of some columns fit, over the whole file."""
        pieces = side_by_side(self._pieces(BLOCK), lambda piece: piece[0].fits(piece[1], names))
        return reduce(_both, (fits for _, fits in pieces), {})

    def _pieces(self, size: int) -> Iterator[tuple[TextSource, Chunk]]:
        return ((source, piece) for source in self.sources for piece in source.pieces(size))


def _both(one: dict[str, Kind], other: dict[str, Kind]) -> dict[str, Kind]:
    names = dict.fromkeys([*one, *other])
    return {name: one.get(name, ANY) & other.get(name, ANY) for name in names}
