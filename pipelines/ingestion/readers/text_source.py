"""A text file that is read in pieces, and what a piece can turn out to be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyarrow as pa

from gristmill.pipelines.base import Problem
from gristmill.pipelines.ingestion.readers.chunks import Chunk, chunks
from gristmill.pipelines.ingestion.readers.encoding import Utf8
from gristmill.pipelines.ingestion.readers.value_kinds import Kind
from gristmill.pipelines.ingestion.readers.wrapped import opened

NO_QUOTE = "\0"
"""Where no value holds a line break, no quote has to be looked for; text holds no NUL."""

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

    Args:
        raw: the file.
        encoding: of its text.
        refuses: what a refused row is called, and what is expected instead.
        quote: what stands around values.
        delimiter: what parts them.
        header_lines: lines before the first row.
    """

    def __init__(
        self,
        raw: Path,
        encoding: str,
        refuses: tuple[str, str],
        *,
        quote: str = NO_QUOTE,
        delimiter: str = NO_QUOTE,
        header_lines: int = 0,
    ) -> None:
        self.raw, self.refuses = raw, refuses
        self._encoding, self._quote, self._delimiter = encoding, quote, delimiter
        self._header_lines, self._exact = header_lines, False

    def pieces(self, size: int) -> Iterator[Chunk]:
        """The rows from the first one, in pieces of whole rows of about `size` bytes."""
        left, marks = self._header_lines, (self._quote, self._delimiter)
        with opened(self.raw) as stream:
            text = Utf8(self.raw, stream, self._encoding)
            for chunk in chunks(self.raw, text, size, *marks, exact=self._exact):
                if left:
                    below = chunk.text.split(b"\n", left)[left:]
                    chunk, left = Chunk(chunk.line + left, b"".join(below)), 0
                if chunk.text.lstrip(b"\r\n"):  # at its end, line breaks would cost a copy
                    yield chunk

    def read_carefully(self) -> bool:
        """From now on, look at each quote to find where rows end; False where that is no help."""
        before, self._exact = self._exact, True
        return not before and self._quote != NO_QUOTE

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
