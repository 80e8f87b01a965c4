"""What stands in numbers, and what for no value, found out from columns of text."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Literal

import pyarrow as pa

from gristmill.pipelines.config import Csv
from gristmill.pipelines.ingestion.readers.value_kinds import Kind, Reading

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None")
"""What always stands for a missing value, unless other words are declared."""

MAYBE_MISSING = (
    *("?", "-", "--", ".", "n/a", "n.a.", "N.A.", "na", "#N/A", "<NA>", "\\N", "none", "NONE"),
    *("Null", "(null)", "NIL", "nil", "*", "..", "…", "–", "unknown", "missing"),
)
"""What stands for a missing value where all else in its column is no text."""

Decimal = Literal[".", ","]
Thousands = Literal[".", ",", " ", "'"]

MARKS: tuple[tuple[Decimal, Thousands | None], ...] = (
    *((".", None), (",", None), (".", ","), (",", "."), (".", " "), (",", " ")),
    *((".", "'"), (",", "'")),
)
"""Decimal and thousands marks, the simpler ones first."""


def words_for_nothing(columns: Sequence[Sequence[str]], declared: Csv) -> tuple[str, ...]:
    """The words of `MAYBE_MISSING` that keep a column from being numbers, truths or dates."""
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
    """The decimal and thousands marks with which the most columns are numbers.

    `1,234` alone may be one and a bit or a thousand and more: where nothing else tells, neither is
    taken and the column stays text.

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
    """Whether the values are whole numbers with no mark: such a column speaks for no dialect."""
    with suppress(pa.ArrowInvalid):
        texts.cast(pa.int64())
        return True
    return False


def _dialects(declared: Csv) -> list[Csv]:
    """All ways to write numbers that agree with what is declared."""
    return [
        Csv.model_construct(decimal=decimal, thousands=thousands, dates=declared.dates)
        for decimal, thousands in MARKS
        if declared.decimal in (None, decimal) and declared.thousands in (None, thousands)
    ]


def _texts(values: Sequence[str], missing: Collection[str]) -> pa.Array:
    nothing = {"", *missing}
    return pa.array([None if v.strip(" ") in nothing else v for v in values], pa.string())
