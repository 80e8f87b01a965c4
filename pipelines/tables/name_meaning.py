"""What the name of a column and the range of its values say about it."""

from __future__ import annotations

import re

YEAR_WORDS = frozenset(("year", "years", "yr", "jahr", "annee", "ano", "anno", "연도", "년도"))
TIME_WORDS = YEAR_WORDS | frozenset(
    (
        *("date", "time", "t", "day", "days", "week", "month", "months", "quarter", "period"),
        *("hour", "hours", "minute", "second", "날짜", "시간", "월", "일"),
    )
)
"""Words in the names of columns that count time; such a count is not a row number."""

YEARS = (1500, 2200)
"""Range of whole numbers that can be years."""


def name_words(name: str) -> list[str]:
    """Split a column's name into words: `customerId` and `customer_id` are customer, id."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word.lower() for word in re.split(r"[\W_]+", parted) if word]


def names_year(name: str) -> bool:
    """Return whether a column of this name contains years."""
    return bool(YEAR_WORDS & {*name_words(name)})


def counts_time(name: str, low: float, high: float) -> bool:
    """Return whether whole numbers count years, days or hours, by their name or range.

    Args:
        name: the column.
        low: its least value.
        high: its greatest value.
    """
    return (YEARS[0] <= low and high <= YEARS[1]) or bool(TIME_WORDS & {*name_words(name)})
