"""Conversion of a column of a block to numbers, dates or texts, with the invalid values. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import TypeAlias

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gristmill.pipelines.tables import storage

Array: TypeAlias = pa.Array | pa.ChunkedArray
"""A column of values; a mask is one of booleans, where null means false."""

NOTHING = "nothing"
"""Text shown for a missing value."""

MOMENT = pa.timestamp("us", tz="UTC")
"""Type for the comparison of dates; a date without a time zone is in UTC."""


def plain(column: Array) -> Array:
    """Return the column without a dictionary, and with null for NaN."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_floating(column.type):
        absent = pc.is_nan(column)
        if pc.any(absent).as_py():
            column = pc.if_else(absent, pa.scalar(None, column.type), column)
    return column


def by_level(
    column: Array, result: Callable[[list[object]], list[object]], kind: pa.DataType
) -> Array:
    """Compute a function of the value once for each different value of the block.

    Args:
        column: a column without NaN.
        result: function from the list of different values to a list of results.
        kind: type of the results.

    Returns:
        An array as long as the column, with null where the column has null.
    """
    encoded = column.dictionary_encode()
    results = pa.array(result(encoded.dictionary.to_pylist()), type=kind, from_pandas=True)
    return results.take(encoded.indices)


def numbers(column: Array) -> tuple[Array, Array | None]:
    """Return the column as int64 or float64, with null for values that are not finite numbers.

    Returns:
        The numbers, and a mask of the values that are not numbers; None if there are none.
    """
    kind = column.type
    if pa.types.is_integer(kind):
        return column, None
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        found = column.cast(pa.float64(), safe=False)
    elif storage(kind) == "text":
        found = by_level(column, _parse_numbers, pa.float64())
    else:
        found = pa.nulls(len(column), pa.float64())
    ends = pc.min_max(found)
    if float("inf") in (ends["max"].as_py(), -(ends["min"].as_py() or 0)):
        found = pc.if_else(pc.is_finite(found), found, pa.scalar(None, pa.float64()))
    return found, _lost(column, found)


def dates(column: Array) -> tuple[Array, Array | None]:
    """Return the column as `MOMENT`s, with null for values that are not dates.

    Returns:
        The dates, and a mask of the values that are not dates; None if there are none.
    """
    kind = column.type
    if pa.types.is_date(kind):
        found = column.cast(pa.timestamp("us")).cast(MOMENT, safe=False)
    elif pa.types.is_timestamp(kind):
        found = column.cast(MOMENT, safe=False)
    elif storage(kind) == "text":
        found = by_level(column, _parse_dates, MOMENT)
    else:
        found = pa.nulls(len(column), MOMENT)
    return found, _lost(column, found)


def moment(text: float | str) -> pa.Scalar:
    """Return a date of the experiment file as a `MOMENT`."""
    read = datetime.fromisoformat(str(text))
    return pa.scalar(read if read.tzinfo else read.replace(tzinfo=UTC), MOMENT)


def as_text(value: object) -> str:
    """Format a value for people: 3 and not 3.0, 2026-01-31 and not 2026-01-31T00:00:00."""
    if value is None:
        return NOTHING
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)


def _lost(column: Array, found: Array) -> Array | None:
    if found.null_count == column.null_count:
        return None
    return pc.and_(pc.is_null(found), pc.is_valid(column))


def _parse_numbers(texts: list[object]) -> list[object]:
    return list(pd.to_numeric(pd.Series(texts, dtype="object"), errors="coerce").astype("float64"))


def _parse_dates(texts: list[object]) -> list[object]:
    read = pd.to_datetime(
        pd.Series(texts, dtype="object"), format="ISO8601", errors="coerce", utc=True
    )
    return [None if pd.isna(one) else one.to_pydatetime(warn=False) for one in read]
