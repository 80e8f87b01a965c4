"""Detection of the dialect of a text table from its beginning."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Literal

import pyarrow as pa

from gristmill.pipelines.base import ConfigError
from gristmill.pipelines.config import Csv
from gristmill.pipelines.ingestion.readers.encoding import Utf8, guess_encoding
from gristmill.pipelines.ingestion.readers.faults import broken, check_names, unreadable
from gristmill.pipelines.ingestion.readers.value_kinds import Kind, Reading
from gristmill.pipelines.ingestion.readers.wrapped import Readable, opened

HEAD = 1 << 20
"""Bytes from which a dialect is detected."""

ROWS = 2000
"""Rows from which delimiter and quote are detected."""

DELIMITERS = (",", ";", "\t", "|")
AND_SO_ON = "at least two column names, separated by comma, semicolon, tab or |"


def sniff_csv(file: Path, declared: Csv = Csv()) -> Csv:  # noqa: B008 - it is frozen
    """Detect the dialect of a text table, compressed or not; declared values are kept.

    The first 2^20 bytes are read, and more only if these are all ASCII: the encoding shows at the
    first other character.

    Returns:
        `delimiter`, `quote`, `decimal`, `encoding` and `missing` are set; `thousands` only if the
        numbers have such marks, `dates` only if declared: dates in the usual formats need no
        declaration.

    Raises:
        InputError: no dialect fits, or the file is damaged.
        ConfigError: a declared delimiter or quote is not an ASCII character.
    """
    for name in ("delimiter", "quote"):
        mark = getattr(declared, name)
        if mark is not None and not (mark.isascii() and (mark.isprintable() or mark == "\t")):
            raise ConfigError(
                f"csv.{name} cannot be this character",
                expected="one printable ASCII character, such as ;, or a tab",
                found=repr(mark),
            )
    encoding = declared.encoding or find_encoding(file)
    text = _head(file, encoding)
    quote = declared.quote or _quote(text)
    delimiter = declared.delimiter or _delimiter(file, text, quote)
    rows = _rows(text, delimiter, quote, ROWS)
    columns = _columns(rows)
    missing = declared.missing
    if missing is None:
        missing = (*MISSING, *words_for_nothing(columns, declared))
    decimal, thousands = number_marks(columns, missing, declared)
    marks = {"delimiter": delimiter, "quote": quote, "decimal": decimal, "thousands": thousands}
    return declared.model_copy(update={**marks, "encoding": encoding, "missing": missing})


def header(file: Path, dialect: Csv) -> tuple[list[str], int]:
    """Return the column names, stripped of blanks, and the number of lines of the header.

    Raises:
        InputError: there are fewer than two names, or a name is blank or occurs twice.
    """
    text = _head(file, dialect.encoding or "utf-8")
    if "\r" in text[:-1] and "\n" not in text:
        raise unreadable(file, "lines that end in a line feed", "carriage returns alone")
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=dialect.delimiter or ",", quotechar=dialect.quote
    )
    try:
        names = next((row for row in reader if row), [])
    except csv.Error as error:
        raise broken(file, error) from error
    if len(names) < 2:
        raise unreadable(file, f"a header with {AND_SO_ON}", f"{text[:60]!r}")
    check_names(file, names)
    names = [name.strip() for name in names]
    check_names(file, names)
    return names, reader.line_num


def find_encoding(file: Path) -> str:
    """Return the encoding of a text file, reading until it can be detected."""
    with opened(file) as stream:
        start = _read(stream, HEAD)
        whole = len(start) < HEAD
        found = guess_encoding(file, start, whole)
        while found is None and not whole:
            start = _read(stream, HEAD)
            whole = len(start) < HEAD
            if not start.isascii():
                found = guess_encoding(file, start, whole)
    return found or "utf-8"


def _head(file: Path, encoding: str) -> str:
    with opened(file) as stream:
        text = _read(Utf8(file, stream, encoding), HEAD)
    return text.decode("utf-8", errors="replace" if len(text) < HEAD else "ignore")


def _read(stream: Readable, size: int) -> bytes:
    parts: list[bytes] = []
    while size > 0 and (data := stream.read(size)):
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def _quote(text: str) -> str:
    """Return the apostrophe if values are enclosed in apostrophes and none in double quotes."""
    edge = r"(?:^|[,;\t|])[ ]?{0}[^{0}\n]*{0}(?=[,;\t|\r\n]|$)"
    if re.search(edge.format('"'), text, re.MULTILINE):
        return '"'
    lines = text[:100_000].count("\n")
    values = re.findall(edge.format("'"), text[:100_000], re.MULTILINE)
    return "'" if values and len(values) >= lines / 2 else '"'


def _delimiter(file: Path, text: str, quote: str) -> str:
    """Return the delimiter that splits the most rows into as many values as the header."""
    scores: dict[str, tuple[float, int]] = {}
    for mark in DELIMITERS:
        rows = _rows(text, mark, quote, ROWS)
        if rows and len(rows[0]) > 1:
            like = Counter(map(len, rows))[len(rows[0])]
            scores[mark] = (like / len(rows) if len(rows) > 1 else 0.0, len(rows[0]))
    if not scores:
        raise unreadable(
            file,
            f"a header with {AND_SO_ON}",
            repr(text[:60]),
            "declare the delimiter in the experiment file, data: csv: {delimiter: …}",
        )
    below = [row for row in scores if scores[row][0] > 1 / ROWS]
    return max(below or scores, key=lambda mark: scores[mark])


def _rows(text: str, delimiter: str, quote: str, most: int) -> list[list[str]]:
    """Return the first complete rows, without empty ones."""
    end = text.rfind("\n") + 1 if len(text) >= HEAD // 4 else len(text)
    reader = csv.reader(io.StringIO(text[:end], newline=""), delimiter=delimiter, quotechar=quote)
    rows: list[list[str]] = []
    with suppress(csv.Error):
        rows.extend(islice(filter(None, reader), most))
    return rows


def _columns(rows: list[list[str]]) -> list[list[str]]:
    """Return the values below the header by column, without ragged rows."""
    if not rows:
        return []
    whole = [row for row in rows[1:] if len(row) == len(rows[0])]
    return [list(column) for column in zip(*whole, strict=True)]


MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
"""Words that always mean a missing value, unless others are declared."""

MAYBE_MISSING = (
    *("?", "-", "--", ".", "n/a", "n.a.", "N.A.", "na", "#N/A", "<NA>", "\\N", "none", "NONE"),
    *("Null", "(null)", "NIL", "nil", "*", "..", "…", "–", "unknown", "missing"),
)
"""Words that mean a missing value if all other values of the column are not text."""

Decimal = Literal[".", ","]
Thousands = Literal[".", ",", " ", "'"]

MARKS: tuple[tuple[Decimal, Thousands | None], ...] = (
    *((".", None), (",", None), (".", ","), (",", "."), (".", " "), (",", " ")),
    *((".", "'"), (",", "'")),
)
"""Decimal and thousands marks, the simpler ones first."""


def words_for_nothing(columns: Sequence[Sequence[str]], declared: Csv) -> tuple[str, ...]:
    """Return the words of `MAYBE_MISSING` in columns that are otherwise numbers, bools or dates."""
    readings = [Reading(dialect) for dialect in _dialects(declared)]
    found: dict[str, None] = {}
    for values in columns:
        odd = sorted({v.strip(" ") for v in values} & set(MAYBE_MISSING))
        left = _texts(values, (*MISSING, *odd)) if odd else None
        if left is None or left.null_count == len(left):
            continue
        if any(reading.fits(left) != Kind.TEXT for reading in readings):
            found |= dict.fromkeys(odd)
    return tuple(found)


def number_marks(
    columns: Sequence[Sequence[str]], missing: Collection[str], declared: Csv
) -> tuple[str, str | None]:
    """Return the decimal and thousands marks with which the most columns are numbers.

    `1,234` alone is ambiguous. If no other value decides, neither reading is used and the column
    stays text.

    Args:
        columns: for each column, some of its values as text.
        missing: the words that mean a missing value.
        declared: its marks are kept; only the others are detected.

    Returns:
        Decimal mark; thousands mark or None.
    """
    texts = [_texts(list(dict.fromkeys(values)), missing) for values in columns]
    marked = [t for t in texts if t.null_count < len(t) and not _are_digits(t)]
    scores = {
        (d.decimal or ".", d.thousands): sum(
            Reading(d).read(column, Kind.FLOAT) is not None for column in marked
        )
        for d in _dialects(declared)
    }
    best = max(scores.values())
    top = [marks for marks, score in scores.items() if score == best]
    if top[0] != (".", None) and {(",", None), (".", ",")} <= set(top):
        return ".", None
    return top[0]


def _are_digits(texts: pa.Array) -> bool:
    """Check whether the values are integers without marks, which fit every dialect."""
    with suppress(pa.ArrowInvalid):
        texts.cast(pa.int64())
        return True
    return False


def _dialects(declared: Csv) -> list[Csv]:
    """Return all ways to write numbers that agree with the declared marks."""
    return [
        Csv.model_construct(decimal=decimal, thousands=thousands, dates=declared.dates)
        for decimal, thousands in MARKS
        if declared.decimal in (None, decimal) and declared.thousands in (None, thousands)
    ]


def _texts(values: Sequence[str], missing: Collection[str]) -> pa.Array:
    nothing = {"", *missing}
    return pa.array([None if v.strip(" ") in nothing else v for v in values], pa.string())
