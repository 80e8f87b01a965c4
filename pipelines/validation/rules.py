"""What a schema says, checked on whole blocks of columns at once. Pure: frames in, findings out."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipelines.config import Column, nearest

SHOWN = 20
"""Row numbers and values that are kept of each finding."""

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Finding:
    """Rows of one column that break one rule.

    Attributes:
        column: the column's name.
        rule: what should hold, in words.
        count: how many rows break it.
        share: the same as a share of all rows, in [0, 1].
        rows: the first row numbers, counted from 1 below the header.
        values: the values there, as text.
    """

    column: str
    rule: str
    count: int
    share: float
    rows: tuple[int, ...]
    values: tuple[str, ...]

    def __str__(self) -> str:
        if not self.rows:
            return f"{self.count:,} rows"
        some = ", ".join(map(str, self.rows[:5])) + ("…" if self.count > 5 else "")
        values = ", ".join(self.values[:5])
        rows = "row" if self.count == 1 else "rows"
        return f"{self.count:,} of the rows ({self.share:.2%}): {rows} {some} with {values}"


def expand(columns: Mapping[str, Column], present: Sequence[str]) -> dict[str, list[str]]:
    """The columns of the data that each entry of the schema names; a name beats a pattern.

    Args:
        columns: entries of the schema by name or pattern.
        present: the columns of the data.

    Returns:
        Columns by entry; empty where an entry names none.
    """
    named = {entry for entry in columns if entry in present}
    return {
        entry: [entry]
        if entry in named
        else [c for c in present if c not in named and fnmatch.fnmatchcase(c, entry)]
        for entry in columns
    }


def unmatched(columns: Mapping[str, Column], present: Sequence[str]) -> dict[str, str]:
    """Entries of the schema that name no column of the data, with the nearest column."""
    return {
        entry: nearest(entry, present)
        for entry, found in expand(columns, present).items()
        if not found
    }


def check_block(frame: pd.DataFrame, names: Sequence[str], rule: Column) -> list[Finding]:
    """The rows of the named columns that break a rule.

    Args:
        frame: rows in the order of the data set, with pandas' nullable types.
        names: columns that the rule is for.
        rule: the entry of the schema.
    """
    block = frame[list(names)]
    missing = block.isna().to_numpy()
    findings: list[Finding] = []
    if rule.missing == "never":
        findings += _findings(block, missing, "no missing value")
    if rule.type in ("integer", "number"):
        numbers, wrong = _numbers(block)
        kind = "a number"
        if rule.type == "integer":
            kind = "a whole number"
            with np.errstate(invalid="ignore"):
                wrong |= np.isfinite(numbers) & (numbers != np.floor(numbers))
        findings += _findings(block, wrong & ~missing, kind)
        findings += _range(block, numbers, wrong | missing, rule)
    elif rule.min is not None or rule.max is not None:
        numbers, wrong = _numbers(block)
        findings += _findings(block, wrong & ~missing, "a number")
        findings += _range(block, numbers, wrong | missing, rule)
    if rule.type in ("text", "boolean"):
        findings += _findings(block, ~_is_kind(block, rule.type) & ~missing, rule.type)
    if rule.one_of is not None:
        allowed = {_text(value) for value in rule.one_of}
        outside = _each(block, lambda text: text.isin(allowed)) | missing
        words = "one of " + ", ".join(sorted(allowed)[:12]) + ("…" if len(allowed) > 12 else "")
        findings += _findings(block, ~outside, words)
    if rule.matches is not None:
        pattern = rule.matches
        like = _each(block, lambda text: text.str.fullmatch(pattern)) | missing
        findings += _findings(block, ~like, f"text that matches {pattern}")
    if rule.unique:
        twice = np.column_stack([block[name].duplicated(keep=False) for name in names])
        findings += _findings(block, twice & ~missing, "each value once")
    return findings


def _numbers(block: pd.DataFrame) -> tuple[npt.NDArray[np.float64], Mask]:
    """The block as float64, and where it holds something that is no finite number."""
    flags = np.array([pd.api.types.is_bool_dtype(kind) for kind in block.dtypes])
    if all(pd.api.types.is_numeric_dtype(kind) for kind in block.dtypes):
        numbers = block.to_numpy(dtype="float64", na_value=np.nan)
        return numbers, np.isinf(numbers) | flags
    parsed = [pd.to_numeric(block[name], errors="coerce") for name in block]
    numbers = np.column_stack([column.to_numpy("float64", na_value=np.nan) for column in parsed])
    return numbers, ~np.isfinite(numbers) & ~block.isna().to_numpy() | flags


def _range(
    block: pd.DataFrame, numbers: npt.NDArray[np.float64], skip: Mask, rule: Column
) -> list[Finding]:
    findings: list[Finding] = []
    with np.errstate(invalid="ignore"):
        if rule.min is not None:
            findings += _findings(block, ~(numbers >= rule.min) & ~skip, f"{rule.min:g} or more")
        if rule.max is not None:
            findings += _findings(block, ~(numbers <= rule.max) & ~skip, f"{rule.max:g} or less")
    return findings


def _is_kind(block: pd.DataFrame, kind: str) -> Mask:
    check = pd.api.types.is_bool_dtype if kind == "boolean" else pd.api.types.is_string_dtype
    right = [check(dtype) for dtype in block.dtypes]
    return np.broadcast_to(np.array(right), block.shape).copy()


def _each(block: pd.DataFrame, test: Any) -> Mask:
    columns = [test(block[name].map(_text, na_action="ignore").astype("string")) for name in block]
    return np.column_stack([c.fillna(False).to_numpy(dtype=bool) for c in columns])


def _text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _findings(block: pd.DataFrame, bad: Mask, rule: str) -> list[Finding]:
    return [
        _finding(block[name], np.flatnonzero(bad[:, place]), rule)
        for place, name in enumerate(block.columns)
        if bad[:, place].any()
    ]


def _finding(column: pd.Series[Any], rows: Iterable[int], rule: str) -> Finding:
    places = np.asarray(rows)
    first = places[:SHOWN]
    return Finding(
        column=str(column.name),
        rule=rule,
        count=len(places),
        share=len(places) / max(len(column), 1),
        rows=tuple(int(place) + 1 for place in first),
        values=tuple(
            "nothing" if pd.isna(value) else _text(value)[:40] for value in column.iloc[first]
        ),
    )
