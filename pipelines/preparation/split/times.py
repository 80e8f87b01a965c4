"""Split by time: training before a date, validation from it up to a second one, test after it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gristmill.pipelines.base import ConfigError, read_duration
from gristmill.pipelines.config import TimeSplit
from gristmill.pipelines.preparation.split.cuts_file import (
    TEST,
    TRAINING,
    UNUSED,
    VALIDATION,
    RoleCodes,
)
from gristmill.pipelines.preparation.split.role_checks import require_values
from gristmill.pipelines.tables import TableRows, microseconds

Moments = npt.NDArray[np.int64]
"""Microseconds since 1970."""

NAMES = ("validation_from", "test_from")


def moments(rows: TableRows, column: str) -> Moments:
    """Return each row's time: (n_rows,) int64 microseconds since 1970.

    Raises:
        ConfigError: the column does not contain dates.
        DataInvalid: rows have no date.
    """
    made = np.empty(rows.count, dtype=np.int64)
    for place, batch in rows.pieces([column]):
        made[place] = np.asarray(_dates(batch.column(0), column).fill_null(0))
    require_values(rows, column, "date", "split.time.column")
    return made


def dates_for(
    time: TimeSplit, when: Moments, shares: tuple[float, float], old: Mapping[str, str] | None
) -> dict[str, str]:
    """Return the two dates: given ones, else stored ones, else those that give the shares.

    Rows of one date stay together, in the later role. Dates can only be moved forward, so that no
    training row ever becomes a test row.

    Args:
        time: the section `split.time` of the experiment file.
        when: (n_rows,) int64 microseconds since 1970.
        shares: shares of test and validation.
        old: the stored dates, `validation_from` and `test_from` in ISO 8601, if any.

    Raises:
        ConfigError: a date was moved backward, or the dates are not in order.
    """
    given = {n: getattr(time, n) for n in NAMES if getattr(time, n) is not None}
    kept = dict(old or {})
    for name, value in given.items():
        if name in kept and micro(value) < micro(kept[name]):
            raise ConfigError(
                f"split.time.{name} was moved backward: training rows would become test rows",
                expected=f"{kept[name]} or later",
                found=value,
                next="move it forward, or delete the split file for a new split, after which "
                "earlier models cannot be compared",
            )
    dates = kept | given
    ordered = np.sort(when) if len(dates) < 2 else when
    if "test_from" not in dates:
        dates["test_from"] = _iso(_from_share(ordered, shares[0]))
    if "validation_from" not in dates:
        before = ordered[: np.searchsorted(ordered, micro(dates["test_from"]))]
        share = shares[1] * len(ordered) / max(len(before), 1)
        dates["validation_from"] = _iso(_from_share(before, min(share, 1.0)))
    dates = {name: dates[name] for name in NAMES}
    if micro(dates["validation_from"]) >= micro(dates["test_from"]):
        raise ConfigError(
            "split.time.validation_from must be before test_from",
            expected=f"a date before {dates['test_from']}",
            found=dates["validation_from"],
            next="give both dates under split.time",
        )
    return dates


def time_roles(when: Moments, dates: Mapping[str, str], gap: str | None) -> RoleCodes:
    """Return each row's role: (n_rows,) int8; UNUSED in a gap before either date.

    Args:
        when: (n_rows,) int64 microseconds since 1970.
        dates: `validation_from` and `test_from` in ISO 8601.
        gap: length of the gaps, for example `7d`; None for no gaps.
    """
    roles = np.full(len(when), TRAINING, dtype=np.int8)
    validation, test = (micro(dates[name]) for name in NAMES)
    left_out = span(gap) if gap else 0
    roles[when >= validation] = VALIDATION
    roles[when >= test] = TEST
    if left_out:
        for date in (validation, test):
            roles[(when >= date - left_out) & (when < date)] = UNUSED
    return roles


def micro(date: str) -> int:
    """Convert an ISO 8601 date to microseconds since 1970; without a zone UTC is assumed."""
    moment = datetime.fromisoformat(date)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def span(text: str) -> int:
    """Convert a duration, for example `7d`, to microseconds."""
    return timedelta(seconds=read_duration(text)) // timedelta(microseconds=1)


def _dates(values: pa.Array, column: str) -> pa.Array:
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind) or pa.types.is_null(kind):
        return microseconds(values)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        values = _years(values)
        kind = values.type
    try:
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise pa.ArrowInvalid(f"a column of {kind}")
        return microseconds(values.cast(pa.timestamp("us")))
    except pa.ArrowInvalid as error:
        raise ConfigError(
            f"split.time.column '{column}' does not contain dates",
            expected="dates or times, years, or texts in ISO 8601 (2026-01-31)",
            found=" ".join(str(error).split())[:120],
            next=f"use a column of dates, or declare it: "
            f"schema: {{columns: {{{column}: {{type: date}}}}}}",
        ) from error


def _years(values: pa.Array) -> pa.Array:
    """Return the first days of years of four digits; other numbers as they are."""
    try:
        years = values.cast(pa.int64())
    except pa.ArrowInvalid:  # with fractions
        return values
    ends = pc.min_max(years)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    if low is None or low < 1000 or high > 2999:
        return values
    return pc.binary_join_element_wise(years.cast(pa.string()), "-01-01", "")


def _from_share(ordered: Moments, share: float) -> int:
    """Return the date from which on there is this share of the rows; ties are in the later part."""
    n = len(ordered)
    if not n:
        return 0
    return int(ordered[min(max(n - round(n * share), 0), n - 1)])


def _iso(moment: int) -> str:
    text = (datetime(1970, 1, 1) + timedelta(microseconds=moment)).isoformat()
    return text.removesuffix("T00:00:00")
