"""Kinds of values, and the conversion of text to them.

A value can fit several kinds: `5` is an integer, a number and text. The kinds of a column are
those that every value fits, so they depend on neither the order nor the blocks of the rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Flag, auto
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from gristmill.pipelines.config import Csv

EXACT = 2**53
"""Beyond it, not every integer is exact as float64."""

MOMENT = pa.timestamp("us")
"""The type of all dates and times; those with a zone are converted to UTC."""


class Kind(Flag):
    """Kinds of values."""

    INTEGER = auto()
    FLOAT = auto()
    BOOLEAN = auto()
    DECLARED = auto()
    ISO = auto()
    ZONED = auto()
    YEAR_FIRST = auto()
    DOTTED = auto()
    DAY_FIRST = auto()
    MONTH_FIRST = auto()
    TEXT = auto()


ANY = ~Kind(0)
"""The kinds of a column without values."""

UNDECIDED = Kind.DAY_FIRST | Kind.MONTH_FIRST
"""Kinds that 03/04/2024 alone does not distinguish."""

TYPES = {
    Kind.INTEGER: pa.int64(),
    Kind.FLOAT: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.TEXT: pa.string(),
}

_TIME = r"(?:[ T](\d{1,2}:\d{2}(?::\d{2})?))?$"
_ISO_DAY, _ISO_TIME = r"^\d{4}-\d{2}-\d{2}", r"[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
LAYOUTS = {
    Kind.ISO: (f"{_ISO_DAY}(?:{_ISO_TIME})?$", r"\0"),
    Kind.ZONED: (_ISO_DAY + _ISO_TIME + r"(?:Z|[+-]\d{2}(?::?\d{2})?)$", r"\0"),
    Kind.YEAR_FIRST: (r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})" + _TIME, r"\1-\2-\3 \4"),
    Kind.DOTTED: (r"^(\d{1,2})\.(\d{1,2})\.(\d{4})" + _TIME, r"\3-\2-\1 \4"),
    Kind.DAY_FIRST: (r"^(\d{1,2})/(\d{1,2})/(\d{4})" + _TIME, r"\3-\2-\1 \4"),
    Kind.MONTH_FIRST: (r"^(\d{1,2})/(\d{1,2})/(\d{4})" + _TIME, r"\3-\1-\2 \4"),
}
"""Patterns of dates, and their form in ISO 8601, which Arrow checks against the calendar."""

PREFERRED = (Kind.DECLARED, Kind.INTEGER, Kind.FLOAT, Kind.BOOLEAN, *LAYOUTS)

TRUTHS = ("true", "false", "True", "False", "TRUE", "FALSE")


def chosen(fits: Kind, numbers: bool = True) -> Kind:
    """Return the kind of a column: the narrowest one, or text if day and month are ambiguous.

    Args:
        fits: the kinds that all its values fit.
        numbers: whether it can be a number.
    """
    if fits == ANY:
        return Kind.INTEGER if numbers else Kind.TEXT
    if not numbers:
        fits &= ~(Kind.INTEGER | Kind.FLOAT)
    if UNDECIDED in fits and Kind.DECLARED not in fits:
        return Kind.TEXT
    return next((kind for kind in PREFERRED if kind in fits), Kind.TEXT)


def arrow_type(kind: Kind) -> pa.DataType:
    """Return the type of a column of one kind."""
    return TYPES.get(kind, MOMENT)


@dataclass(frozen=True)
class Reading:
    """Conversion of text, as a dialect writes it, to values of a kind."""

    dialect: Csv = field(default_factory=Csv)

    def fits(self, texts: pa.Array, among: Kind = ANY) -> Kind:
        """Return the kinds that all values fit; missing values fit all kinds."""
        if texts.null_count == len(texts):
            return ANY
        fitting = Kind.TEXT
        start = texts.slice(0, 256)
        for kind in PREFERRED:
            if kind in among and self.read(start, kind) is not None:
                fitting |= kind if self.read(texts, kind) is not None else Kind(0)
            if kind is Kind.FLOAT and Kind.INTEGER in fitting:
                break  # integers are neither booleans nor dates, except declared ones
        return fitting

    def read(self, texts: pa.Array, kind: Kind) -> pa.Array | None:
        """Return the values as one kind, or None if one of them does not fit it."""
        if texts.null_count == len(texts):
            return texts.cast(arrow_type(kind))
        if kind is Kind.TEXT:
            return texts
        readers = {Kind.INTEGER: self._integers, Kind.FLOAT: self._floats}
        readers |= {Kind.BOOLEAN: _truths, Kind.DECLARED: self._declared}
        with suppress(pa.ArrowInvalid):
            return readers[kind](texts) if kind in readers else _moments(texts, kind)
        return None

    def _integers(self, texts: pa.Array) -> pa.Array | None:
        if loses_its_start(texts):
            return None
        with suppress(pa.ArrowInvalid):  # the usual case; the patterns below take ten times as long
            return texts.cast(pa.int64())
        return self._bare(texts).cast(pa.int64()) if _all(texts, self._integer) else None

    def _floats(self, texts: pa.Array) -> pa.Array | None:
        if loses_its_start(texts):
            return None
        if (self.dialect.decimal or ".") == ".":
            with suppress(pa.ArrowInvalid):
                numbers = texts.cast(pa.float64())
                if not beyond_exact(numbers):
                    return numbers
        if not _all(texts, self._float):
            return None
        bare = self._bare(texts)
        long = bare.filter(pc.match_substring_regex(bare, r"^-?\d{16,}$"))
        if len(long) and pc.any(pc.greater(pc.abs(long.cast(pa.int64())), EXACT)).as_py():
            return None
        return pc.replace_substring(bare, self.dialect.decimal or ".", ".").cast(pa.float64())

    def _declared(self, texts: pa.Array) -> pa.Array | None:
        """Convert each distinct text once, with the first declared format that fits."""
        coded, layouts = texts.dictionary_encode(), self.dialect.dates or ()
        moments = [_declared_moment(text, layouts) for text in coded.dictionary.to_pylist()]
        return None if None in moments else pa.array(moments, MOMENT).take(coded.indices)

    def _bare(self, texts: pa.Array) -> pa.Array:
        bare = pc.utf8_trim(texts, " \t")
        if self.dialect.thousands == " ":
            return pc.replace_substring_regex(bare, "[ \u00a0\u202f]", "")
        return pc.replace_substring(bare, self.dialect.thousands or "\0", "")

    @cached_property
    def _whole(self) -> str:
        mark = {None: "", " ": "[ \u00a0\u202f]", ".": r"\."}.get(
            self.dialect.thousands, self.dialect.thousands or ""
        )
        grouped = rf"|[1-9]\d{{0,2}}(?:{mark}\d{{3}})+" if mark else ""
        return rf"(?:0|[1-9]\d*{grouped})"

    @cached_property
    def _integer(self) -> str:
        return rf"^[ \t]*-?{self._whole}[ \t]*$"

    @cached_property
    def _float(self) -> str:
        point = r"\." if (self.dialect.decimal or ".") == "." else ","
        number = rf"(?:{self._whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?"
        return rf"^[ \t]*(?:-?{number}|(?i:-?inf(?:inity)?|nan))[ \t]*$"


def loses_its_start(texts: pa.Array) -> bool:
    """Return whether a value has a prefix that a number would lose: 007, -01, 0x1F or +49."""
    lost = pc.match_substring_regex(texts, r"^(?:\+(?s:.)|-?0[0-9xX])")
    return bool(pc.any(lost).as_py())


def beyond_exact(numbers: pa.Array) -> bool:
    """Return whether a number is so large that float64 possibly does not hold it exactly."""
    ends = pc.min_max(numbers).as_py()
    return ends["max"] is not None and max(ends["max"], -ends["min"]) >= EXACT


def _truths(texts: pa.Array) -> pa.Array | None:
    usual = pc.all(pc.is_in(texts, pa.array([*TRUTHS]), skip_nulls=True)).as_py()
    are_truths = usual or _all(texts, "^(?i:true|false)$")
    return pc.utf8_lower(texts).cast(pa.bool_()) if are_truths else None


def _all(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _declared_moment(text: str, layouts: Iterable[str]) -> datetime | None:
    for layout in layouts:
        with suppress(ValueError):
            moment = datetime.strptime(text, layout)
            return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
    return None


def _moments(texts: pa.Array, kind: Kind) -> pa.Array | None:
    layout, iso = LAYOUTS[kind]
    if kind is Kind.ISO:
        with suppress(pa.ArrowInvalid):
            return texts.cast(MOMENT)
    if not _all(texts, layout):
        return None
    if kind in Kind.ISO | Kind.ZONED:
        plain = pc.replace_substring_regex(texts, r"(\.\d{6})\d+", r"\1")
        type_ = pa.timestamp("us", "UTC") if kind is Kind.ZONED else MOMENT
        return plain.cast(type_).cast(MOMENT)
    padded = pc.replace_substring_regex(texts, r"\b(\d)\b", r"0\1")
    return pc.utf8_trim(pc.replace_substring_regex(padded, layout, iso), " ").cast(MOMENT)
