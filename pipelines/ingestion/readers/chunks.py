"""A text table cut into pieces of whole rows, with the numbers of their lines."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from gristmill.pipelines.ingestion.readers.faults import unreadable
from gristmill.pipelines.ingestion.readers.wrapped import Readable

LONGEST = 64 << 20
"""Bytes of a row beyond which a quote is taken as never closed."""


@dataclass(frozen=True)
class Chunk:
    """Whole rows of a text in UTF-8; the first one begins at line number `line`, from 1."""

    line: int
    text: bytes


def chunks(
    raw: Path, stream: Readable, size: int, quote: str, delimiter: str, *, exact: bool = False
) -> Iterator[Chunk]:
    """Pieces of about `size` bytes that end where a row ends; quotes may hold line breaks.

    Where an even number of quotes stands before a line break, a row is taken to end. That is wrong
    only where quotes are also letters inside of values (5" pipe), and then shows in ragged rows.

    Args:
        raw: to name in an error.
        stream: text in UTF-8.
        size: of a piece.
        quote: what stands around values.
        delimiter: what parts them.
        exact: look at each quote instead, which takes several times as long.

    Raises:
        InputError: a NUL byte, or a quote that is never closed.
    """
    line, rest = 1, b""
    mark = quote.encode()
    while data := stream.read(size):
        if b"\0" in data:
            at = line + (rest + data[: data.index(0)]).count(b"\n")
            raise unreadable(raw, "text", f"binary data: a NUL byte in line {at}")
        rest += data
        end = _end_of_row(rest, mark, delimiter, exact)
        if end:
            yield Chunk(line, rest[:end])
            line += _count(rest, b"\n", end)
            rest = rest[end:]
        elif len(rest) > LONGEST:
            opened = _open_quote(rest, mark, delimiter) or 0
            raise _never_closed(raw, line + rest.count(b"\n", 0, opened))
    if rest:
        where = _open_quote(rest, mark, delimiter)
        if where is not None:
            raise _never_closed(raw, line + rest.count(b"\n", 0, where))
        yield Chunk(line, rest)


def _end_of_row(text: bytes, quote: bytes, delimiter: str, exact: bool) -> int:
    """The place after the last line break that ends a row, 0 where there is none."""
    end = text.rfind(b"\n") + 1
    if not end or quote not in text:
        return end
    if not exact and _count(text, quote, end) % 2 == 0:
        return end
    where = _open_quote(text[:end], quote, delimiter)
    while where is not None:  # an earlier value of the same row may hold line breaks too
        end = text.rfind(b"\n", 0, where) + 1
        where = _open_quote(text[:end], quote, delimiter)
    return end


def _count(text: bytes, letter: bytes, end: int) -> int:
    """As `bytes.count`, which is slower for letters that are frequent."""
    return int(np.count_nonzero(np.frombuffer(text, dtype=np.uint8, count=end) == ord(letter)))


def _open_quote(text: bytes, quote: bytes, delimiter: str) -> int | None:
    """The place of a quote that opens a value and is not closed; rows begin at the beginning."""
    last = next(iter(deque(_quoted(quote, delimiter.encode()).finditer(text), maxlen=1)), None)
    return last.start("open") if last is not None and not last["close"] else None


@lru_cache(maxsize=8)
def _quoted(quote: bytes, delimiter: bytes) -> re.Pattern[bytes]:
    q, d = re.escape(quote), re.escape(delimiter)
    return re.compile(
        rb"(?m:^|" + d + rb")(?P<open>" + q + rb")[^" + q + rb"]*+(?:" + q + q + rb"[^" + q
        + rb"]*+)*+(?P<close>" + q + rb")?"
    )  # fmt: skip


def _never_closed(raw: Path, line: int) -> Exception:
    return unreadable(raw, "quotes that are closed", f"the quote in line {line} is not")
