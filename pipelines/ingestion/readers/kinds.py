"""What the values of a column can be, and text made into it.

A value may fit several kinds: `5` is a whole number, a number and text. The kinds of a column are
those that every value fits, so they depend on neither the order nor the blocks of the rows.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from enum import Flag, auto
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.config.sections import Csv

EXACT = 2**53
"""Beyond it, not every whole number is a float64."""

MOMENT = pa.timestamp("us")
"""The one type of all dates and times; those with a zone are taken to UTC."""


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
"""What a column without values may be."""

UNDECIDED = Kind.DAY_FIRST | Kind.MONTH_FIRST
"""03/04/2024 alone does not say which of the two it is."""

TYPES = {
    Kind.INTEGER: pa.int64(),
    Kind.FLOAT: pa.float64(),
    Kind.BOOLEAN: pa.bool_(),
    Kind.TEXT: pa.string(),
}

_TIME = r"(?:[ T](\d{1,2}:\d{2}(?::\d{2})?))?$"
_ISO = r"^\d{4}-\d{2}-\d{2}(?:[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?"
LAYOUTS = {
    Kind.ISO: (_ISO + "$", r"\0"),
    Kind.ZONED: (
        r"^\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}(?::?\d{2})?)$",
        r"\0",
    ),
    Kind.YEAR_FIRST: (r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})" + _TIME, r"\1-\2-\3 \4"),
    Kind.DOTTED: (r"^(\d{1,2})\.(\d{1,2})\.(\d{4})" + _TIME, r"\3-\2-\1 \4"),
    Kind.DAY_FIRST: (r"^(\d{1,2})/(\d{1,2})/(\d{4})" + _TIME, r"\3-\2-\1 \4"),
    Kind.MONTH_FIRST: (r"^(\d{1,2})/(\d{1,2})/(\d{4})" + _TIME, r"\3-\1-\2 \4"),
}
"""How dates are written, and the same in ISO 8601, which Arrow checks against the calendar."""

PREFERRED = (
    *(Kind.DECLARED, Kind.INTEGER, Kind.FLOAT, Kind.BOOLEAN),
    *(kind for kind in LAYOUTS),
)

TRUE = ("true", "True", "TRUE")
FALSE = ("false", "False", "FALSE")


def chosen(fits: Kind) -> Kind:
    """The kind that a column becomes: the narrowest, text where days and months are undecided."""
    if fits == ANY:
        return Kind.INTEGER
    if fits & UNDECIDED == UNDECIDED and not any(fits & kind for kind in PREFERRED[:4]):
        return Kind.TEXT
    return next((kind for kind in PREFERRED if kind in fits), Kind.TEXT)


def arrow_type(kind: Kind) -> pa.DataType:
    """The type of a column of one kind."""
    return TYPES.get(kind, MOMENT)


@dataclass(frozen=True)
class Reading:
    """Text made into values of a kind, as a dialect writes them."""

    dialect: Csv = field(default_factory=Csv)

    def fits(self, texts: pa.Array, among: Kind = ANY) -> Kind:
        """The kinds that all values fit; missing ones fit all."""
        if texts.null_count == len(texts):
            return ANY
        fitting = Kind.TEXT
        start = texts.slice(0, 256)
        for kind in PREFERRED:
            if kind in among and self.read(start, kind) is not None:
                fitting |= kind if self.read(texts, kind) is not None else Kind(0)
        return fitting

    def read(self, texts: pa.Array, kind: Kind) -> pa.Array | None:
        """The values as one kind, None where one of them does not fit it."""
        if texts.null_count == len(texts):
            return texts.cast(arrow_type(kind))
        if kind is Kind.TEXT:
            return texts
        try:
            if kind is Kind.INTEGER:
                return self._integers(texts)
            if kind is Kind.FLOAT:
                return self._floats(texts)
            if kind is Kind.BOOLEAN:
                lower = pc.utf8_lower(texts)
                return lower.cast(pa.bool_()) if _all(lower, "^(true|false)$") else None
            return self._declared(texts) if kind is Kind.DECLARED else _moments(texts, kind)
        except pa.ArrowInvalid:
            return None

    def _integers(self, texts: pa.Array) -> pa.Array | None:
        return self._bare(texts).cast(pa.int64()) if _all(texts, self._integer) else None

    def _floats(self, texts: pa.Array) -> pa.Array | None:
        if not _all(texts, self._float):
            return None
        bare = self._bare(texts)
        long = bare.filter(pc.match_substring_regex(bare, r"^-?\d{16,}$"))
        if len(long) and pc.any(pc.greater(pc.abs(long.cast(pa.int64())), EXACT)).as_py():
            return None
        return pc.replace_substring(bare, self.dialect.decimal or ".", ".").cast(pa.float64())

    def _declared(self, texts: pa.Array) -> pa.Array | None:
        import pandas as pd

        if not self.dialect.dates:
            return None
        column = texts.to_pandas()
        found = pd.Series(pd.NaT, index=column.index, dtype="datetime64[us]")
        for layout in self.dialect.dates:
            with warnings.catch_warnings(action="ignore"):
                some = pd.to_datetime(column, format=layout, errors="coerce", utc="%z" in layout)
            found = found.fillna(some.dt.tz_localize(None).astype("datetime64[us]"))
        if (found.isna() & column.notna()).any():
            return None
        return pa.Array.from_pandas(found, type=MOMENT)

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


def _all(texts: pa.Array, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _moments(texts: pa.Array, kind: Kind) -> pa.Array | None:
    layout, iso = LAYOUTS[kind]
    if not _all(texts, layout):
        return None
    if kind in Kind.ISO | Kind.ZONED:
        plain = pc.replace_substring_regex(texts, r"(\.\d{6})\d+", r"\1")
        type_ = pa.timestamp("us", "UTC") if kind is Kind.ZONED else MOMENT
        return plain.cast(type_).cast(MOMENT)
    padded = pc.replace_substring_regex(texts, r"\b(\d)\b", r"0\1")
    return pc.utf8_trim(pc.replace_substring_regex(padded, layout, iso), " ").cast(MOMENT)
