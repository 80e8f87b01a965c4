"""Checks of the schema's rules on blocks of rows. Pure: Arrow blocks in, findings out."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from gristmill.pipelines.base import suggest
from gristmill.pipelines.config import Column
from gristmill.pipelines.tables import storage
from gristmill.pipelines.validation.schema.cell_values import (
    NOTHING,
    Array,
    as_text,
    by_level,
    dates,
    moment,
    numbers,
    plain,
)

SHOWN = 20
"""Number of row numbers and values that are kept of each finding."""

LONGEST_VALUE = 40
"""Number of characters that are kept of a value."""

Broken = Iterator[tuple[str, Array]]
"""(rule in words, mask of the rows that break it)."""


@dataclass(frozen=True)
class Finding:
    """Rows of one column that break one rule.

    Attributes:
        column: name of the column.
        rule: the rule in words.
        count: number of rows that break it.
        share: `count` as a share of all rows, in [0, 1].
        rows: the first row numbers, counted from 1 below the header.
        values: the values in these rows, as text.
        severity: `error` stops the run, `warning` is only shown.
    """

    column: str
    rule: str
    count: int
    share: float
    rows: tuple[int, ...]
    values: tuple[str, ...]
    severity: str = "error"

    def __str__(self) -> str:
        if not self.rows:
            return f"{self.count:,} rows" if self.count else "; ".join(self.values)
        some = ", ".join(map(str, self.rows[:5])) + ("…" if self.count > 5 else "")
        values = ", ".join(self.values[:5])
        rows = "row" if self.count == 1 else "rows"
        said = f"{self.count:,} of the rows ({self.share:.2%}): {rows} {some}"
        return said if set(self.values) == {NOTHING} else f"{said} with {values}"


def expand(columns: Mapping[str, Column], present: Sequence[str]) -> dict[str, list[str]]:
    """Return the columns of the data that match each entry; a name overrides a pattern.

    Args:
        columns: entries of the schema by name or pattern.
        present: the columns of the data.

    Returns:
        Columns by entry; empty if an entry matches none.
    """
    named = {entry for entry in columns if entry in present}
    return {
        entry: [entry]
        if entry in named
        else [c for c in present if c not in named and fnmatch.fnmatchcase(c, entry)]
        for entry in columns
    }


def unmatched(columns: Mapping[str, Column], present: Sequence[str]) -> dict[str, str]:
    """Return entries of the schema that match no column, each with a hint of the nearest name."""
    found = expand(columns, present)
    return {entry: suggest(entry, present) for entry in columns if not found[entry]}


def check_block(
    block: pa.RecordBatch, names: Sequence[str], rule: Column, before: int = 0
) -> list[Finding]:
    """Find the rows of a block that break the rule of some columns.

    Two rules depend on all rows. For a share of missing values, the missing rows are counted here
    and `merge` decides; `unique` is checked in `uniqueness.py`.

    Args:
        block: a pyarrow RecordBatch or Table.
        names: the columns to check.
        rule: the entry of the schema.
        before: number of rows of the table before the block.
    """
    return [
        finding(name, words, column, mask, before, rule.severity)
        for name in names
        for column in [plain(block[name])]
        for words, mask in _broken(column, rule)
        if pc.any(mask).as_py()
    ]


def merge(parts: Iterable[Finding], rows: int, rule: Column | None = None) -> list[Finding]:
    """Combine the findings of all blocks; the result does not depend on the size of blocks.

    Args:
        parts: findings in the order of the rows.
        rows: number of rows of the whole table.
        rule: the rule with the allowed share of missing values, if any.
    """
    whole: dict[tuple[str, str], Finding] = {}
    for part in parts:
        kept = whole.get((part.column, part.rule))
        whole[part.column, part.rule] = part if kept is None else _joined(kept, part)
    allowed = rule.missing if rule is not None and isinstance(rule.missing, float) else 0.0
    few = _missing_words(rule) if rule is not None else ""
    found = [replace(made, share=made.count / max(rows, 1)) for made in whole.values()]
    return [made for made in found if made.rule != few or made.share > allowed]


def finding(
    name: str, rule: str, column: Array, mask: Array, before: int, severity: str = "error"
) -> Finding:
    """Create the finding for the rows of a block in a mask.

    Args:
        name: name of the column.
        rule: the rule in words.
        column: the column's values in the block.
        mask: booleans of the same length; true where the rule is broken.
        before: number of rows of the table before the block.
        severity: severity of the rule.
    """
    count = pc.sum(mask).as_py()
    first = pc.indices_nonzero(mask)[:SHOWN]
    return Finding(
        column=name,
        rule=rule,
        count=count,
        share=count / max(len(column), 1),
        rows=tuple(before + place + 1 for place in first.to_pylist()),
        values=tuple(as_text(value)[:LONGEST_VALUE] for value in column.take(first).to_pylist()),
        severity=severity,
    )


def _joined(first: Finding, second: Finding) -> Finding:
    return replace(
        first,
        count=first.count + second.count,
        rows=(first.rows + second.rows)[:SHOWN],
        values=(first.values + second.values)[:SHOWN],
    )


def _missing_words(rule: Column) -> str:
    if isinstance(rule.missing, float):
        return f"at most {rule.missing:.4g} of the rows missing"
    return "no missing value" if rule.missing == "never" else ""


def _broken(column: Array, rule: Column) -> Broken:
    if rule.missing != "allowed" and column.null_count:
        yield _missing_words(rule), pc.is_null(column)
    if rule.type == "date":
        yield from _dates(column, rule)
    elif rule.type in ("integer", "number") or rule.min is not None or rule.max is not None:
        yield from _numbers(column, rule)
    if rule.type in ("text", "boolean") and storage(column.type) != rule.type:
        yield rule.type, pc.is_valid(column)
    if rule.one_of is not None:
        allowed = {as_text(value) for value in rule.one_of}
        some = ", ".join(sorted(allowed)[:12]) + ("…" if len(allowed) > 12 else "")
        yield f"one of {some}", _unlike(column, allowed.__contains__)
    if rule.matches is not None:
        pattern = re.compile(rule.matches)
        yield f"text that matches {rule.matches}", _unlike(column, pattern.fullmatch)


def _numbers(column: Array, rule: Column) -> Broken:
    found, wrong = numbers(column)
    if rule.type == "integer" and pa.types.is_floating(found.type):
        part = pc.not_equal(found, pc.floor(found))
        yield "a whole number", part if wrong is None else pc.or_kleene(wrong, part)
    elif wrong is not None:
        yield "a whole number" if rule.type == "integer" else "a number", wrong
    ends = pc.min_max(found)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    if isinstance(rule.min, int | float) and low is not None and low < rule.min:
        yield f"{rule.min:g} or more", pc.less(found, rule.min)
    if isinstance(rule.max, int | float) and high is not None and high > rule.max:
        yield f"{rule.max:g} or less", pc.greater(found, rule.max)


def _dates(column: Array, rule: Column) -> Broken:
    found, wrong = dates(column)
    if wrong is not None:
        yield "a date", wrong
    if rule.min is not None:
        yield f"{rule.min} or later", pc.less(found, moment(rule.min))
    if rule.max is not None:
        yield f"{rule.max} or earlier", pc.greater(found, moment(rule.max))


def _unlike(column: Array, test: Callable[[str], object]) -> Array:
    return by_level(column, lambda levels: [not test(as_text(v)) for v in levels], pa.bool_())
