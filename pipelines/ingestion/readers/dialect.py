"""Detection of the dialect of a text table from its beginning."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pyarrow as pa

from gristmill.pipelines.base import ConfigError
from gristmill.pipelines.config import Csv
from gristmill.pipelines.ingestion.readers.encoding import guess_encoding
from gristmill.pipelines.ingestion.readers.table_form import (
    HEAD,
    find_form,
    first_rows,
    header,
    read_head,
    read_up_to,
)
from gristmill.pipelines.ingestion.readers.value_kinds import (
    MISSING,
    NO_NUMBERS,
    NO_VALUES,
    Kind,
    Reading,
    chosen,
)
from gristmill.pipelines.ingestion.readers.wrapped import opened


def sniff_csv(file: Path, declared: Csv = Csv()) -> Csv:  # noqa: B008 - it is frozen
    """Detect the dialect of a text table, compressed or not; declared values are kept.

    The first 2^20 bytes are read, and more only if these are all ASCII: the encoding shows at the
    first other character.

    Returns:
        `delimiter`, `quote`, `decimal`, `encoding` and `missing` are set; `thousands`, `units`,
        `skip`, `escape` and `blanks` only if the file needs them; `dates`, `header`, `comment` and
        `text` only if declared.

    Raises:
        InputError: no dialect fits, or the file is damaged.
        ConfigError: a declared delimiter or quote is not an ASCII character.
    """
    for name in ("delimiter", "quote", "escape", "comment"):
        mark = getattr(declared, name)
        usable = mark in (None, "none", "\t") or (mark.isascii() and mark.isprintable())
        if not usable:
            raise ConfigError(
                f"csv.{name} cannot be this character",
                expected="one printable ASCII character, such as ;, or a tab",
                found=repr(mark),
            )
    encoding = declared.encoding or find_encoding(file)
    text, whole = read_head(file, encoding)
    form = find_form(file, text, whole, declared)
    head = header(file, form.model_copy(update={"encoding": encoding}))
    rows = (row.values for row in first_rows(text, form) if row.before >= head.lines)
    columns = _columns(head.names, (row for row in rows if row != head.row))
    missing = declared.missing
    if missing is None:
        missing = (*MISSING, *words_for_nothing(columns, declared))
    words = {*missing, *NO_NUMBERS}
    units = {name: unit for name, values in columns.items() if (unit := unit_of(values, words))}
    if declared.units is not None:
        units = {name: unit for name, unit in declared.units.items() if name in columns}
    bare = [
        [_UNIT.sub(r"\g<number>", v.strip()) for v in values] if name in units else values
        for name, values in columns.items()
    ]
    decimal, thousands = number_marks(bare, words, declared)
    found = {"decimal": decimal, "thousands": thousands, "missing": missing}
    more = {"encoding": encoding, "units": declared.units or units or None}
    return form.model_copy(update=found | more)


def find_encoding(file: Path) -> str:
    """Return the encoding of a text file, reading until it can be detected."""
    with opened(file) as stream:
        start = read_up_to(stream, HEAD)
        whole = len(start) < HEAD
        found = guess_encoding(file, start, whole)
        while found is None and not whole:
            start = read_up_to(stream, HEAD)
            whole = len(start) < HEAD
            if not start.isascii():
                found = guess_encoding(file, start, whole)
    return found or "utf-8"


def _columns(names: Sequence[str], rows: Iterable[Sequence[str]]) -> dict[str, list[str]]:
    """Return the values by column, without ragged rows."""
    whole = [row for row in rows if len(row) == len(names)]
    values = map(list, zip(*whole, strict=True)) if whole else ([] for _ in names)
    return dict(zip(names, values, strict=True))


_BLANK = "[ \u00a0\u202f]*"
_MONEY = "[A-Z]{0,2}[$€£¥₩₹₽₺₴₫฿₱₪]|USD|EUR|GBP|CHF|JPY|KRW|CNY|INR|CAD|AUD"
_UNIT = re.compile(
    rf"\(?[-+\u2212\u2013]?{_BLANK}(?P<before>{_MONEY})?{_BLANK}"
    r"(?P<number>[-+\u2212\u2013]?[.,]?\d(?:[\d.,' \u00a0\u202f]*\d)?[.,]?)"
    rf"(?P<gap>{_BLANK})(?P<behind>{_MONEY}|[^\d\s()]\S{{0,11}}?)?\)?"
)
_WORDS = """
% ‰ ° °C °F nm µm um mm cm dm m km in inch inches ft feet yd mi mile miles m² m2 km² km2 cm² ft²
sqft sqm ha acre acres ml mL cl dl l L liter liters litre litres m³ m3 cm³ cc gal oz mg µg ug g kg
t ton tons lb lbs ms s sec secs second seconds min mins minute minutes h hr hrs hour hours d day
days week weeks mo month months yr yrs year years km/h kmh kph mph m/s kn W kW MW V kV A mA Wh kWh
MWh kcal cal kJ J Hz kHz MHz GHz KB kB MB GB TB KiB MiB GiB Mbps Pa hPa kPa bar mbar psi mmHg K px
pt ppm ppb dB hp HP bpm rpm mpg mol mmol mmol/L mg/dL g/dL g/L 원 만원 명 개 세 살 년 개월 일 시간
분 초 점 회 건 권 층 평 円 元 人 歳 岁 年 個
"""
UNITS = frozenset(_WORDS.split())
"""Units that are recognised, besides currencies; others must be declared."""


def is_unit(unit: str) -> bool:
    """Return whether a unit or currency is recognised."""
    return unit in UNITS or re.fullmatch(_MONEY, unit) is not None


def measured(text: str) -> tuple[str, str]:
    """Return the unit of a number, of any name, and the number; empty if there is no unit."""
    match = _UNIT.fullmatch(text.strip())
    units = [unit for unit in (match["before"], match["behind"]) if unit] if match else []
    return (units[0], match["number"]) if match and len(units) == 1 else ("", text)


def unit_of(values: Sequence[str], missing: Collection[str]) -> str:
    """Return the unit that all numbers of a column have: `kg`, `%`, `$`; empty if there is none.

    One capital right behind a number is a code, not a unit: 12A.
    """
    found: set[str] = set()
    for value in dict.fromkeys(values):
        if (bare := value.strip()) in missing:
            continue
        unit, _ = measured(bare)
        code = len(unit) == 1 and unit.isupper() and bare[-2:-1].isdigit()
        if code or not is_unit(unit) or len(found := found | {unit}) > 1:
            return ""
    return "".join(found)


Decimal = Literal[".", ","]
Thousands = Literal[".", ",", " ", "'"]

MARKS: tuple[tuple[Decimal, Thousands | None], ...] = (
    *((".", None), (",", None), (".", ","), (",", "."), (".", " "), (",", " ")),
    *((".", "'"), (",", "'")),
)
"""Decimal and thousands marks, the simpler ones first."""


def words_for_nothing(columns: Mapping[str, Sequence[str]], declared: Csv) -> tuple[str, ...]:
    """Return the words of `NO_VALUES` that mean a missing value in columns of text too.

    They do if they occur in a column that is otherwise numbers, truths or dates, and no text
    column has empty cells beside them.
    """
    readings = [Reading(dialect) for dialect in dialects(declared)]
    found: dict[str, None] = {}
    levels: set[str] = set()
    for values in columns.values():
        seen = {v.strip(" ") for v in values}
        odd = [word for word in NO_VALUES if word in seen]
        left = _texts(values, NO_NUMBERS) if odd else None
        if left is None or left.null_count == len(left):
            continue
        if any(chosen(reading.fits(left)) is not Kind.TEXT for reading in readings):
            found |= dict.fromkeys(odd)
        elif "" in seen:
            levels.update(odd)
    return tuple(word for word in found if word not in levels)


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
        for d in dialects(declared)
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


def dialects(declared: Csv) -> list[Csv]:
    """Return all ways to write numbers that agree with the declared marks."""
    return [
        Csv.model_construct(decimal=decimal, thousands=thousands, dates=declared.dates)
        for decimal, thousands in MARKS
        if declared.decimal in (None, decimal) and declared.thousands in (None, thousands)
    ]


def _texts(values: Sequence[str], missing: Collection[str]) -> pa.Array:
    nothing = {"", *missing}
    return pa.array([None if v.strip(" ") in nothing else v for v in values], pa.string())
