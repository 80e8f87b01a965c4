"""Kinds of values, and the conversion of text to them.

A value can fit several kinds: `5` is an integer, a number and text. The kinds of a column are
those that every value fits, so they depend on neither the order nor the blocks of the rows.
"""

from __future__ import annotations

import re
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
    MEASURED = auto()
    CODED = auto()
    BRACKETED = auto()
    WORDED = auto()
    EMPTY = auto()
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

NUMBERS = Kind.INTEGER | Kind.FLOAT | Kind.MEASURED

CODES = {
    Kind.CODED: r"^\+?\d+(?:[eE]\d+)?$",
    Kind.BRACKETED: r"^\(.*\)$",
    Kind.WORDED: r"^(?i:[-+]?inf(?:inity)?|nan)$",
}
"""Forms of numbers that are codes if all values of a column have them: 1E5 and 204, +49, (1), INF.
Programs write 1e+05 and -1; WORDED are also columns with nothing but words like `unknown`."""

UNDECIDED = Kind.DAY_FIRST | Kind.MONTH_FIRST
"""Kinds that 03/04/2024 alone does not distinguish."""

ZONED = {b"zoned": b"true"}
"""Metadata of columns of dates that had an offset from UTC."""

TYPES = {
    Kind.INTEGER: pa.int64(),
    Kind.FLOAT: pa.float64(),
    Kind.MEASURED: pa.float64(),
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

PREFERRED = (
    *(Kind.DECLARED, Kind.INTEGER, Kind.FLOAT, Kind.MEASURED, Kind.BOOLEAN),
    *LAYOUTS,
)

MISSING = ("", "NaN", "nan", "null", "NULL")
"""Words that mean a missing value in every column, unless others are declared."""

NO_VALUES = (
    *("NA", "N/A", "n/a", "n.a.", "N.A.", "na", "#N/A", "<NA>", "\\N", "Null", "(null)"),
    *("NIL", "nil", "?"),
)
"""Words that mean a missing value in columns of numbers, dates and booleans, and in columns of text
if they do in another column of the file."""

ERRORS = ("#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#NULL!")
"""What spreadsheets write instead of a number."""

NO_TRUTHS = (*MISSING, *NO_VALUES, "None")
"""Words that mean a missing value in columns of booleans."""

NO_NUMBERS = (
    *NO_TRUTHS,
    *("-", "--", ".", "*", "..", "…", "–", "none", "NONE", "unknown", "Unknown", "missing"),
    *ERRORS,
)
"""Words that mean a missing value in columns of numbers and dates; elsewhere some are levels."""

TRUTHS = ("true", "false", "True", "False", "TRUE", "FALSE")


def chosen(fits: Kind, numbers: bool = True) -> Kind:
    """Return the kind of a column: the narrowest one, or text if day and month are ambiguous.

    Args:
        fits: the kinds that all its values fit.
        numbers: whether it can be a number.
    """
    if fits == ANY:
        return Kind.INTEGER if numbers else Kind.TEXT
    if Kind.WORDED in fits:
        return Kind.TEXT
    if not numbers or are_codes(fits):
        fits &= ~NUMBERS
    if UNDECIDED in fits and Kind.DECLARED not in fits:
        return Kind.TEXT
    return next((kind for kind in PREFERRED if kind in fits), Kind.TEXT)


def are_codes(fits: Kind) -> bool:
    """Return whether the values are codes although they look like numbers.

    No other value of the column must contradict this, so it is decided over the whole file.
    """
    if fits == ANY:
        return False
    coded = Kind.CODED in fits and Kind.INTEGER not in fits
    return coded or Kind.BRACKETED in fits or Kind.WORDED in fits


def arrow_type(kind: Kind) -> pa.DataType:
    """Return the type of a column of one kind."""
    return TYPES.get(kind, MOMENT)


@dataclass(frozen=True)
class Reading:
    """Conversion of text, as a dialect writes it, to values of a kind."""

    dialect: Csv = field(default_factory=Csv)
    words: bool = False
    """Whether words such as `unknown` mean a missing value in columns that are not text."""

    def fits(self, texts: pa.Array, unit: str = "") -> Kind:
        """Return the kinds that all values fit; missing values fit all kinds."""
        if texts.null_count == len(texts):
            return ANY
        values = self._without_words(texts, NO_NUMBERS)
        if values.null_count == len(values):
            usual = self.dialect.missing is None or {*self.dialect.missing} >= {*MISSING}
            known = NO_TRUTHS if usual else ()
            if self._without_words(texts, known).null_count == len(texts):
                return ANY
            truths = self._without_words(texts, NO_TRUTHS)
            return ANY & ~(
                Kind.EMPTY if truths.null_count == len(truths) else Kind.EMPTY | Kind.BOOLEAN
            )
        fitting = Kind.TEXT
        start = texts.slice(0, 256)
        for kind in PREFERRED:
            if self.read(start, kind, unit) is not None:
                fitting |= kind if self.read(texts, kind, unit) is not None else Kind(0)
            if kind is Kind.FLOAT and kind in fitting:
                for code, form in CODES.items():
                    fitting |= code if _all(values, form) else Kind(0)
            if kind is Kind.FLOAT and Kind.INTEGER in fitting:
                break  # integers are neither booleans nor dates, except declared ones
        return fitting

    def read(self, texts: pa.Array, kind: Kind, unit: str = "") -> pa.Array | None:
        """Return the values as one kind, or None if one of them does not fit it.

        Args:
            texts: the values, as they are written.
            kind: the kind.
            unit: the unit of `MEASURED` values.
        """
        usual = {Kind.TEXT: (), Kind.BOOLEAN: NO_TRUTHS}.get(kind, NO_NUMBERS)
        values = self._without_words(texts, usual)
        if kind is Kind.TEXT:
            return values
        if values.null_count == len(values):
            return values.cast(arrow_type(kind))
        readers = {Kind.INTEGER: self._integers, Kind.FLOAT: self._floats}
        readers |= {Kind.BOOLEAN: _truths, Kind.DECLARED: self._declared}
        if kind is Kind.MEASURED:
            return self._measured(values, unit)
        with suppress(pa.ArrowInvalid):
            return readers[kind](values) if kind in readers else _moments(values, kind)
        return None

    def _without_words(self, texts: pa.Array, usual: Iterable[str]) -> pa.Array:
        """Return the values, missing where they are declared words or some of the usual ones."""
        if not self.words:
            return texts
        words = {*(self.dialect.missing or ()), *usual}
        found = pc.is_in(texts, pa.array([*words, *(" " + word for word in words)]))
        return pc.if_else(found, None, texts) if pc.any(found).as_py() else texts

    def _integers(self, texts: pa.Array) -> pa.Array | None:
        if loses_its_start(texts) or _any(texts, r"^\s*\+"):
            return None
        with suppress(pa.ArrowInvalid):  # the usual case; the patterns below take ten times as long
            return texts.cast(pa.int64())
        values = _with_minus(texts)
        fit = not loses_its_start(values) and _all(values, self._integer)
        return self._bare(values).cast(pa.int64()) if fit else None

    def _floats(self, texts: pa.Array) -> pa.Array | None:
        if loses_its_start(texts):
            return None
        if (self.dialect.decimal or ".") == ".":
            with suppress(pa.ArrowInvalid):
                numbers = texts.cast(pa.float64())
                if not beyond_exact(numbers):
                    return numbers
        values = _signed(texts)
        if not pc.all(self._match(values)).as_py():
            return None
        bare = self._bare(values)
        long = bare.filter(pc.match_substring_regex(bare, r"^-?\d{16,}$"))
        if len(long) and pc.any(pc.greater(pc.abs(long.cast(pa.int64())), EXACT)).as_py():
            return None
        return pc.replace_substring(bare, self.dialect.decimal or ".", ".").cast(pa.float64())

    def are_numbers(self, texts: pa.Array) -> pa.Array:
        """Return for each value whether it is a number without a unit."""
        return self._match(_signed(texts))

    def _match(self, values: pa.Array) -> pa.Array:
        fits = pc.match_substring_regex(values, self._float)
        return pc.and_not(fits, pc.match_substring_regex(values, LOST))

    def _measured(self, texts: pa.Array, unit: str) -> pa.Array | None:
        bare = without_unit(texts, unit) if unit else None
        return None if bare is None else self.read(bare, Kind.FLOAT)

    def _declared(self, texts: pa.Array) -> pa.Array | None:
        """Convert each distinct text once, with the first declared format that fits."""
        coded, layouts = texts.dictionary_encode(), self.dialect.dates or ()
        moments = [_declared_moment(text, layouts) for text in coded.dictionary.to_pylist()]
        return None if None in moments else pa.array(moments, MOMENT).take(coded.indices)

    def _bare(self, texts: pa.Array) -> pa.Array:
        if self.dialect.thousands == " ":
            return pc.replace_substring_regex(texts, "[ \u00a0\u202f]", "")
        return pc.replace_substring(texts, self.dialect.thousands or "\0", "")

    @cached_property
    def _whole(self) -> str:
        mark = {None: "", " ": "[ \u00a0\u202f]", ".": r"\."}.get(
            self.dialect.thousands, self.dialect.thousands or ""
        )
        grouped = rf"|[1-9]\d{{0,2}}(?:{mark}\d{{3}})+" if mark else ""
        return rf"(?:0|[1-9]\d*{grouped})"

    @cached_property
    def _integer(self) -> str:
        return rf"^-?{self._whole}$"

    @cached_property
    def _float(self) -> str:
        point = r"\." if (self.dialect.decimal or ".") == "." else ","
        number = rf"(?:{self._whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?"
        return rf"^(?:-?{number}|(?i:-?inf(?:inity)?|nan))$"


def words_lost(texts: pa.Array, values: pa.Array) -> list[tuple[str, int]]:
    """Return the words among texts whose values are missing, and how often each occurs."""
    if values.null_count == texts.null_count:
        return []
    words = texts.filter(pc.and_(values.is_null(), texts.is_valid()))
    counts = pc.value_counts(pc.utf8_trim(words, " ")).to_pylist()
    return [(one["values"], one["counts"]) for one in counts]


def date_field(name: str, kind: pa.DataType, zoned: bool) -> pa.Field:
    """Return the field of a column, which keeps whether its dates had an offset from UTC."""
    return pa.field(name, kind, metadata=ZONED if zoned else None)


def is_zoned(field: pa.Field) -> bool:
    """Return whether the dates of a column had an offset from UTC before they were converted."""
    return ZONED.items() <= (field.metadata or {}).items()


def loses_its_start(texts: pa.Array) -> bool:
    """Return whether a value has a prefix that a number would lose: 007, -01 or 0x1F."""
    return _any(texts, LOST)


LOST = r"^[-+(]?0[0-9xX]"
BLANK = "[ \t\u00a0\u202f]*"
SIGN = "[-+\u2212\u2013]?"


def without_unit(texts: pa.Array, unit: str) -> pa.Array | None:
    """Return the values without a unit before or behind them, or None if one does not have it."""
    mark = re.escape(unit)
    before, behind = rf"^(\(?{SIGN}){BLANK}{mark}{BLANK}", rf"{BLANK}{mark}(\)?){BLANK}$"
    values = pc.utf8_trim_whitespace(texts)
    leads = pc.match_substring_regex(values, before)
    if not pc.all(pc.or_(leads, pc.match_substring_regex(values, behind))).as_py():
        return None
    led = pc.replace_substring_regex(values, before, r"\1")
    return pc.if_else(leads, led, pc.replace_substring_regex(values, behind, r"\1"))


def _with_minus(texts: pa.Array) -> pa.Array:
    """Return values without blanks around them, and with the usual minus sign."""
    bare = pc.utf8_trim_whitespace(texts)
    return pc.replace_substring_regex(bare, "^(\\(?)[\u2212\u2013]", r"\1-")


def beyond_exact(numbers: pa.Array) -> bool:
    """Return whether a number is so large that float64 possibly does not hold it exactly."""
    ends = pc.min_max(numbers).as_py()
    return ends["max"] is not None and max(ends["max"], -ends["min"]) >= EXACT


def _truths(texts: pa.Array) -> pa.Array | None:
    usual = pc.all(pc.is_in(texts, pa.array([*TRUTHS]), skip_nulls=True)).as_py()
    are_truths = usual or _all(texts, "^(?i:true|false)$")
    return pc.utf8_lower(texts).cast(pa.bool_()) if are_truths else None


def _signed(texts: pa.Array) -> pa.Array:
    """Return values with the usual minus sign also for (3.2), and without plus signs."""
    values = pc.replace_substring_regex(_with_minus(texts), r"^\((.*)\)$", r"-\1")
    return pc.replace_substring_regex(values, r"^\+", "")


def _any(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())


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
