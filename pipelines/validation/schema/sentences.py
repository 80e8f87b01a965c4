"""The schema's rules as sentences for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from gristmill.pipelines.config import Column
from gristmill.pipelines.validation.schema.cell_values import as_text

KINDS = {
    "integer": "whole numbers",
    "number": "numbers",
    "text": "texts",
    "boolean": "true or false",
    "date": "dates",
}
NAMED = 3
"""Columns that are named one by one; of more, only the first and the last."""

LISTED = 12
"""Largest number of allowed values in a sentence."""


def columns_said(names: Sequence[str]) -> str:
    """Return the columns of a sentence: `64 columns pixel_0_0 … pixel_7_7`."""
    if len(names) > NAMED:
        return f"{len(names):,} columns {names[0]} … {names[-1]}"
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def column_said(rule: Column) -> str:
    """Return the rule for a column: `whole numbers from 0 to 16, never missing`."""
    parts = [_kind_said(rule)]
    if rule.one_of is not None:
        allowed = [as_text(value) for value in rule.one_of]
        parts.append("one of " + ", ".join(allowed[:LISTED]) + "…" * (len(allowed) > LISTED))
    if rule.matches is not None:
        parts.append(f"each matches {rule.matches}")
    if rule.unique:
        parts.append("each value once")
    if isinstance(rule.missing, float):
        parts.append(f"missing in at most {rule.missing:.4g} of the rows")
    elif rule.missing == "never":
        parts.append("never missing")
    return ", ".join(filter(None, parts)) or "any values"


def rows_said(low: int | None, high: int | None) -> str:
    """Return the allowed number of rows: `2 to 5 rows`."""
    if low is None or high is None:
        return f"{high:,} rows or fewer" if low is None else f"{low:,} rows or more"
    return f"{low:,} to {high:,} rows"


def _kind_said(rule: Column) -> str:
    low, high = (
        None if end is None else end if isinstance(end, str) else f"{end:,.12g}"
        for end in (rule.min, rule.max)
    )
    bounded = low is not None or high is not None
    kind = KINDS[rule.type] if rule.type else "numbers" if bounded else ""
    after, before = ("later", "earlier") if rule.type == "date" else ("more", "less")
    if low is not None and high is not None:
        return f"{kind} from {low} to {high}"
    if low is not None:
        return f"{kind}, {low} or {after}"
    return f"{kind}, {high} or {before}" if high is not None else kind
