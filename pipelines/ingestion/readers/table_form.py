"""The form of a text table: the lines above it, delimiter, quotes and column names."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count, islice, pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from gristmill.pipelines.base import InputError
from gristmill.pipelines.config import Csv
from gristmill.pipelines.ingestion.readers.encoding import Utf8
from gristmill.pipelines.ingestion.readers.faults import broken, declare, unreadable
from gristmill.pipelines.ingestion.readers.wrapped import Readable, opened

HEAD = 1 << 20
"""Bytes from which a form is detected; more if they contain fewer than `LINES` lines."""

LINES = 10

LONGEST = 64 << 20
"""Bytes of a row beyond which a quote is assumed to be never closed."""

csv.field_size_limit(LONGEST)  # Python's own limit is 131,072 characters

ROWS = 2000
"""Rows from which delimiter and column names are detected."""

MOST = 0.5
"""Share of rows like the first line, above which it is the header and no title."""

DELIMITERS = (",", ";", "\t", "|")
AND_SO_ON = "at least two column names, separated by comma, semicolon, tab or |"

NUMBER = re.compile(r"\s*[-+]?(?:\d[\d.,]*|[.,]\d+)(?:[eE][-+]?\d+)?\s*")

RULE = re.compile(" *(?:-+|=+) *")
"""A value of the line that some programs draw below the header."""

CERTAIN = 20
"""Lines behind an open quote that are all like rows, which shows that it is no quote."""


class Row(NamedTuple):
    """A row, and the number of lines before it and up to its end."""

    before: int
    after: int
    values: list[str]


@dataclass(frozen=True)
class Header:
    """The column names of a text table.

    Attributes:
        names: a name for each value of a row.
        row: the header as it is written; empty if there is none.
        lines: number of lines before the first row.
        empty: columns without a name and without values, to be left out.
        notes: what was changed, in words.
    """

    names: list[str]
    row: list[str]
    lines: int
    empty: frozenset[str]
    notes: tuple[str, ...]


def read_head(file: Path, encoding: str) -> tuple[str, bool]:
    """Return the first complete lines of a text, and whether they are the whole of it."""
    with opened(file) as stream:
        text = Utf8(file, stream, encoding)
        head = read_up_to(text, HEAD)
        _require_table(file, head[:200].lstrip().lower())
        whole = len(head) < HEAD
        while not whole and head.count(b"\n") < LINES and len(head) < LONGEST:
            more = read_up_to(text, HEAD)
            head, whole = head + more, len(more) < HEAD
    if not whole:
        head = head[: head.rfind(b"\n") + 1] or head
    return head.decode("utf-8", errors="replace" if whole else "ignore"), whole


def _require_table(file: Path, start: bytes) -> None:
    """Raise an error if a file is something else that was saved under the name of a table."""
    if start.startswith((b"<!doctype html", b"<html")):
        again = "download the table itself, possibly after logging in"
        raise unreadable(file, "a table", "a web page", again)
    if start.startswith(b"version https://git-lfs"):
        raise unreadable(file, "a table", "a pointer of Git LFS", "git lfs pull")


def read_up_to(stream: Readable, size: int) -> bytes:
    """Return the next `size` bytes, fewer at the end."""
    parts: list[bytes] = []
    while size > 0 and (data := stream.read(size)):
        parts.append(data)
        size -= len(data)
    return b"".join(parts)


def csv_options(form: Csv) -> dict[str, Any]:
    """Return the arguments with which `csv.reader` reads a form."""
    quoted = form.quote != "none"
    return {
        "delimiter": form.delimiter or ",",
        "quotechar": (form.quote or '"') if quoted else None,
        "quoting": csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE,
        "escapechar": form.escape,
        "skipinitialspace": form.blanks == "stripped",
    }


def rows_of(text: str, form: Csv, *, strict: bool = False) -> Iterator[Row]:
    """Yield the rows below the skipped lines, with the header and without empty rows.

    Raises:
        csv.Error: a quote is never closed or, if `strict`, followed by another character.
    """
    skip = form.skip or 0
    below = text.split("\n", skip)[-1] if text.count("\n") >= skip else ""
    if form.comment:
        below = re.sub(rf"(?m)^{re.escape(form.comment)}.*", "", below)
    reader = csv.reader(io.StringIO(below, newline=""), strict=strict, **csv_options(form))
    before = skip
    for values in reader:
        after = skip + reader.line_num
        if values:
            yield Row(before, after, values)
        before = after


def first_rows(text: str, form: Csv) -> list[Row]:
    """Return the first rows, up to one that is not closed."""
    rows: list[Row] = []
    with suppress(csv.Error):
        rows.extend(islice(rows_of(text, form), ROWS))
    return rows


def find_form(file: Path, text: str, whole: bool, declared: Csv) -> Csv:
    """Detect what is not declared: skipped lines, delimiter, quote, escape, stripped blanks.

    Args:
        file: the file, to be named in an error.
        text: its first lines.
        whole: whether these are all of its lines.
        declared: declared settings, which are kept.

    Raises:
        InputError: no delimiter is found, or it is not clear whether quotes are quotes.
    """
    form = declared.model_copy(update={"quote": declared.quote or _usual_quote(text)})
    named = re.match(r"sep=(.)\r?\n", text)  # as Excel writes it
    if named and declared.skip is None:
        delimiter = declared.delimiter or named[1]
        form = form.model_copy(update={"skip": 1, "delimiter": delimiter})
    form = _delimited(file, text, form)
    if declared.quote is None and declared.escape is None:
        form = _quoted(file, text, whole, form)
    if declared.blanks is None and _padded(first_rows(text, form)):
        form = form.model_copy(update={"blanks": "stripped"})
    return form


def _usual_quote(text: str) -> str:
    """Return the apostrophe if values are enclosed in apostrophes and none in double quotes."""
    edge = r"(?:^|[,;\t|])[ ]?{0}[^{0}\n]*{0}(?=[,;\t|\r\n]|$)"
    if re.search(edge.format('"'), text, re.MULTILINE):
        return '"'
    lines = text[:100_000].count("\n")
    values = re.findall(edge.format("'"), text[:100_000], re.MULTILINE)
    return "'" if values and len(values) >= lines / 2 else '"'


def _delimited(file: Path, text: str, form: Csv) -> Csv:
    """Detect the delimiter, which splits the most rows like the header, and the lines above."""
    scores: list[tuple[tuple[bool, float, int, int], Csv]] = []
    for mark in (form.delimiter,) if form.delimiter else DELIMITERS:
        tried = form.model_copy(update={"delimiter": mark})
        rows, start = first_rows(text, tried), 0
        if form.skip is None and form.header != "none" and (start := _start(rows)):
            tried = tried.model_copy(update={"skip": rows[start].before})
            rows = first_rows(text, tried)
        if rows and (len(rows[0].values) > 1 or form.delimiter):
            wide = len(rows[0].values)
            like = sum(len(row.values) == wide for row in rows)
            share = like / len(rows) if len(rows) > 1 else 0.0
            scores.append(((not start and share > MOST, share, -start, wide), tried))
    if not scores and form.delimiter is None:
        raise unreadable(
            file, f"a header with {AND_SO_ON}", repr(text[:60]), declare("delimiter", "…")
        )
    below = [entry for entry in scores if entry[0][1] > 1 / ROWS]
    return max(below or scores, key=itemgetter(0))[1] if scores else form


def _start(rows: Sequence[Row]) -> int:
    """Return the place of the header: below comments and lines without a delimiter."""
    widths = [len(row.values) for row in rows]
    usual = Counter(width for width in widths if width > 1).most_common(1)
    start = next((i for i, row in enumerate(rows) if not _is_comment(row)), 0)
    while usual and start < len(rows) and widths[start] != usual[0][0]:
        if widths[start] > 1 and not rows[start].values[0].startswith("#"):
            return 0
        start += 1
    return start if start < len(rows) and usual else 0


def _is_comment(row: Row) -> bool:
    """Return whether a row is a comment in any case; `#name` can be a column."""
    return re.match(r"#(?:[#\s!]|$)", row.values[0]) is not None


def _quoted(file: Path, text: str, whole: bool, form: Csv) -> Csv:
    """Return the form with a backslash before quotes, or without quotes, if only that fits."""
    quote = form.quote or '"'
    if quote not in text:
        return form
    doubt = _misquoted(text, whole, form)
    if doubt is None:
        return form
    others = [{"escape": "\\"}] if f"\\{quote}" in text else []
    for other in (*others, {"quote": "none"}):
        tried = form.model_copy(update=other)
        if _misquoted(text, whole, tried) is None:
            if doubt.certain:
                return tried
            raise unreadable(
                file,
                "line breaks inside quotes, or quotes as ordinary characters",
                f"either, in lines {doubt.row.before + 1} to {doubt.row.after}",
                f"{declare('quote', quote)}\n{declare('quote', 'none')}",
            )
    return form


class _Doubt(NamedTuple):
    row: Row
    certain: bool


def _misquoted(text: str, whole: bool, form: Csv) -> _Doubt | None:
    """Return the first row whose quotes are misread, or None.

    They are if a closing quote is followed by another character, if a row has fewer or more values
    than others, or if a value encloses what looks like whole rows.
    """
    rows: list[Row] = []
    doubt: _Doubt | None = None
    try:
        rows.extend(rows_of(text, form, strict=True))
    except csv.Error as error:
        end = rows[-1].after if rows else 0
        rest = form.model_copy(update={"skip": end, "quote": "none"})
        below = [len(row.values) for row in rows_of(text, rest)]
        late = "end of data" in str(error)  # else an error of the last row is of no interest
        if not late or (not whole and len(below) > CERTAIN and len({*below}) == 1):
            return _Doubt(Row(end, end + 1, []), True)
    widths = Counter(len(row.values) for row in rows[1:])
    usual = widths.most_common(1)[0][0] if widths else 0
    for row in rows[1:]:
        if len(row.values) != usual:
            return _Doubt(row, True)
        breaks = max((enclosed(v, i, row.values, form) for i, v in enumerate(row.values)))
        if breaks > 1 and usual > 2:
            return _Doubt(row, True)
        doubt = doubt or (_Doubt(row, False) if breaks else None)
    return doubt


def enclosed(value: str, place: int, among: Sequence[object], form: Csv) -> int:
    """Return the number of line breaks in a value, if its lines would be rows without quotes.

    Args:
        value: a value.
        place: its place in the row.
        among: the values of a row.
        form: the form, for its delimiter.
    """
    if "\n" not in value:
        return 0
    others = len(among) - 1
    marks = [line.count(form.delimiter or ",") for line in value.split("\n")]
    wanted = [others - place, *[others] * (len(marks) - 2), place]
    return len(marks) - 1 if marks == wanted else 0


def _padded(rows: Sequence[Row]) -> bool:
    """Return whether a blank follows every delimiter."""
    padded = [all(v.startswith(" ") for v in row.values[1:]) for row in rows]
    enough = len(rows) > LINES or (bool(padded) and padded[0])
    return len(rows) > 1 and enough and all(padded[1:]) and len(rows[0].values) > 1


def header(file: Path, form: Csv) -> Header:
    """Return the column names of a text table.

    Names are stripped of blanks. As in pandas, a column without a name is `Unnamed: 0` (its
    place), and the second of two equal names `a` is `a.1`.

    Raises:
        InputError: there are fewer than two names, or the first row is not a header.
    """
    text, _ = read_head(file, form.encoding or "utf-8")
    if "\r" in text[:-1] and "\n" not in text:
        raise unreadable(file, "lines that end in a line feed", "carriage returns alone")
    rows: list[Row] = []
    try:
        rows.extend(islice(rows_of(text, form), ROWS))
    except csv.Error as error:
        if not rows:
            raise broken(file, error) from error
    first = rows[0].values if rows else []
    if len(first) < 2:
        found = f"{(text.split(chr(10), form.skip or 0)[-1])[:60]!r}"
        raise unreadable(file, f"a header with {AND_SO_ON}", found, declare("delimiter", "…"))
    if form.header == "none":
        names = [f"column_{place}" for place in range(1, len(first) + 1)]
        return Header(
            names, [], rows[0].before, frozenset(), ("columns named column_1, column_2, …",)
        )
    body = [row.values for row in rows[1:]]
    if form.skip is None:
        _require_above(file, rows)
    if form.header is None and _is_row(first, body):
        raise _no_header(file, first)
    ruled = bool(body) and all(map(RULE.fullmatch, body[0])) and len(max(body[0], key=len)) > 1
    below = rows[ruled]
    named = _named(_with_row_names(first, body), body[ruled:], below.after)
    return replace(named, notes=(*named.notes, *["ruled line below the header left out"] * ruled))


def _require_above(file: Path, rows: Sequence[Row]) -> None:
    """Raise an error if lines above the table have delimiters too."""
    widths = [len(row.values) for row in rows]
    usual, like = Counter(widths[1:]).most_common(1)[0] if len(widths) > LINES else (0, 0)
    place = widths.index(usual) if like >= 0.8 * len(widths) else 0
    if place and usual > widths[0] + (place == 1):  # one more can be row names
        start = rows[place]
        raise unreadable(
            file,
            "a row of column names above the rows",
            f"{widths[0]} values in line {rows[0].before + 1}; the table seems to begin in line "
            f"{start.before + 1}",
            declare("skip", str(start.before)),
        )


def _is_row(names: Sequence[str], body: Sequence[Sequence[str]]) -> bool:
    """Return whether names are rather values: numbers, or values that occur below.

    Names such as 0, 1, 2 or years in order can be names.
    """
    rows = [row for row in body if len(row) == len(names) and row != names]
    named = [(place, name.strip()) for place, name in enumerate(names) if name.strip()]
    numbers = [name for _, name in named if NUMBER.fullmatch(name)]
    texts = [(place, name) for place, name in named if not NUMBER.fullmatch(name)]
    below = [name for place, name in texts if any(row[place].strip() == name for row in rows)]
    if not rows or len(numbers) + len(below) < len(named) / 2:
        return False
    figures = [float(re.sub("[.,](?=.*[.,])", "", n).replace(",", ".")) for n in numbers]
    steps = [later - earlier for earlier, later in pairwise(figures)]
    if len(numbers) + len(below) == len(named):
        return bool(below) or any(step != 1 for step in steps)
    ordered = all(step > 0 for step in steps) or all(step < 0 for step in steps)
    return len(numbers) + len(below) > len(named) / 2 and (len(below) > 1 or not ordered)


def _no_header(file: Path, first: Sequence[str]) -> InputError:
    shown = ", ".join(first[:6]) + ", …" * (len(first) > 6)
    return unreadable(
        file,
        "column names in the first row",
        f"values, which are numbers or occur in other rows: {shown}",
        f"{declare('header', 'none')}\nif these are names: {declare('header', 'first')}",
    )


def _with_row_names(names: list[str], body: Sequence[Sequence[str]]) -> list[str]:
    """Add an empty name if all rows have one value more than names: row names of R, or nothing."""
    if {len(row) for row in body} != {len(names) + 1}:
        return names
    if not any(row[-1].strip() for row in body):
        return [*names, ""]
    return ["", *names] if len({row[0] for row in body}) == len(body) > 1 else names


def _named(given: Sequence[str], body: Sequence[Sequence[str]], lines: int) -> Header:
    plain = [" ".join(n.split()) if "\n" in n or "\r" in n else n.strip() for n in given]
    names: dict[str, None] = {}
    notes = [
        f"line break left out of the name {n}"
        for n, g in zip(plain, given, strict=True)
        if n != g.strip()
    ]
    for place, name in enumerate(plain):
        wanted = name or f"Unnamed: {place}"
        taken = names.keys() | {*plain} if wanted in names else names
        names[unique := next(n for n in _numbered(wanted) if n not in taken)] = None
        if unique != wanted:
            notes.append(f"{wanted} occurs twice: {unique}")
    empty: set[str] = set()
    rows = [row for row in body if len(row) == len(given)]
    for place in (place for place, name in enumerate(plain) if not name):
        unnamed = [*names][place]
        if rows and not any(row[place].strip() for row in rows):
            empty.add(unnamed)
        else:
            notes.append(f"column {place + 1} has no name: {unnamed}")
    if empty:
        notes.append(f"empty columns without a name left out: {len(empty)}")
    more = [f"{len(notes) - LINES} more such names"] * (len(notes) > LINES)
    return Header([*names], [*given], lines, frozenset(empty), (*notes[:LINES], *more))


def _numbered(name: str) -> Iterator[str]:
    yield name
    yield from (f"{name}.{number}" for number in count(1))
