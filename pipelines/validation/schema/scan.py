"""One reading of a table, block by block: everything that validation asks of its rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from gristmill.pipelines.config import Column, Rule, Schema, ValidateSections, read_condition
from gristmill.pipelines.validation.schema.cell_values import as_text, dates, kind_of, plain
from gristmill.pipelines.validation.schema.parquet_footer import unproven
from gristmill.pipelines.validation.schema.rule_checks import check_rule
from gristmill.pipelines.validation.schema.rules import Finding, check_block, expand, finding, merge
from gristmill.pipelines.validation.schema.uniqueness import repeated

CELLS = 1 << 22
"""Values of a block: 32 MB of numbers, whatever the table's shape."""


@dataclass(frozen=True)
class Scanned:
    """What a reading found.

    Attributes:
        rows: of the table.
        columns: of the table.
        by_entry: findings by entry of the schema; entries of equal content share them.
        by_rule: findings by cross-column rule.
        target: what keeps the target from being learnt.
        newest: the newest date of the column that must be fresh, as ISO text.
    """

    rows: int
    columns: tuple[str, ...]
    by_entry: dict[Column, list[Finding]]
    by_rule: dict[Rule, list[Finding]]
    target: list[Finding]
    newest: str | None


@dataclass
class _Parts:
    entries: dict[Column, list[Finding]] = field(default_factory=dict)
    rules: dict[Rule, list[Finding]] = field(default_factory=dict)
    target: list[Finding] = field(default_factory=list)
    labels: list[Any] = field(default_factory=list)
    newest: Any = None


def column_names(table: Path) -> list[str]:
    """The columns of a Parquet table, from its footer."""
    return list(pa.parquet.read_schema(table).names)


def blocks(
    table: Path, columns: Sequence[str] | None = None, rows: int | None = None
) -> Iterator[Any]:
    """The rows of a Parquet table in blocks of bounded memory.

    Args:
        table: the file.
        columns: what to read; all by default.
        rows: of a block; by default as many as make `CELLS` values.
    """
    # pre_buffer, on by default, would keep the whole file in memory
    with pa.parquet.ParquetFile(table, buffer_size=1 << 20, pre_buffer=False) as file:
        width = len(file.schema_arrow.names if columns is None else columns)
        size = rows or max(CELLS // max(width, 1), 1024)
        yield from file.iter_batches(batch_size=min(size, 1 << 18), columns=columns)


def entries(schema: Schema, present: Sequence[str]) -> dict[Column, list[str]]:
    """The columns by what the schema says of them: entries of equal content are one."""
    made: dict[Column, list[str]] = {}
    for entry, names in expand(schema.columns, present).items():
        made.setdefault(schema.columns[entry], []).extend(names)
    return {rule: list(dict.fromkeys(names)) for rule, names in made.items()}


def scan(table: Path, document: ValidateSections, rows: int | None = None) -> Scanned:
    """Reads a table once, and each column that must be unique once more.

    Args:
        table: what ingest made.
        document: the experiment file; its columns are there.
        rows: of a block; the findings are the same for any number.
    """
    schema, present = document.schema_, column_names(table)
    asked, parts, before = entries(schema, present), _Parts(), 0
    read = unproven(table, asked)
    for block in blocks(table, _needed(document, read, present), rows):
        _see(parts, block, document, read, before)
        before += len(block)
    return Scanned(
        before,
        tuple(present),
        {
            rule: _of_entry(parts.entries.get(rule, []), table, rule, names, before, rows)
            for rule, names in asked.items()
        },
        {rule: merge(parts.rules.get(rule, []), before) for rule in schema.rules},
        _target(parts, document.data.target, before),
        None if parts.newest is None else as_text(parts.newest),
    )


def breaks(table: Path, document: ValidateSections) -> list[Finding]:
    """What rows of another file than the data set break of the schema, by column or rule.

    What is said of the number of rows, of the target as a whole and of columns that are not there
    is left out.
    """
    schema, present = document.schema_, column_names(table)
    asked = {rule: names for rule, names in entries(schema, present).items() if names}
    between = {rule: set(read_condition(rule.check).columns.values()) for rule in schema.rules}
    rules = [rule for rule, names in between.items() if names <= set(present)]
    wanted = {
        name for names in (*asked.values(), *map(between.__getitem__, rules)) for name in names
    }
    by_entry: dict[Column, list[Finding]] = {rule: [] for rule in asked}
    by_rule: dict[Rule, list[Finding]] = {rule: [] for rule in rules}
    before = 0
    for block in blocks(table, [name for name in present if name in wanted]):
        for entry, names in asked.items():
            by_entry[entry] += check_block(block, names, entry, before)
        for rule in rules:
            by_rule[rule] += check_rule(block, rule, before)
        before += len(block)
    found = [
        finding
        for entry, names in asked.items()
        for finding in _of_entry(by_entry[entry], table, entry, names, before, None)
    ]
    return found + [one for rule in rules for one in merge(by_rule[rule], before)]


def _needed(
    document: ValidateSections, asked: Mapping[Column, list[str]], present: Sequence[str]
) -> list[str]:
    schema = document.schema_
    needed = {name for names in asked.values() for name in names} | {document.data.target}
    for rule in schema.rules:
        needed |= set(read_condition(rule.check).columns.values())
    if schema.fresh is not None:
        needed.add(schema.fresh.column)
    return [name for name in present if name in needed]


def _see(
    parts: _Parts,
    block: Any,
    document: ValidateSections,
    asked: Mapping[Column, list[str]],
    before: int,
) -> None:
    for rule, names in asked.items():
        parts.entries.setdefault(rule, []).extend(check_block(block, names, rule, before))
    for condition in document.schema_.rules:
        parts.rules.setdefault(condition, []).extend(check_rule(block, condition, before))
    target = document.data.target
    column = plain(block[target])
    if column.null_count:
        words = "a target in each row"
        parts.target.append(finding(target, words, column, pc.is_null(column), before))
    if document.data.task == "regression" and kind_of(column.type) != "number":
        words = "numbers, for regression"
        parts.target.append(finding(target, words, column, pc.is_valid(column), before))
    if len(parts.labels) < 2:
        found = pc.unique(column.drop_null()).slice(0, 2).to_pylist()
        parts.labels = list(dict.fromkeys(parts.labels + found))
    if document.schema_.fresh is not None:
        latest = pc.max(dates(plain(block[document.schema_.fresh.column]))[0]).as_py()
        known = [moment for moment in (parts.newest, latest) if moment is not None]
        parts.newest = max(known, default=None)


def _of_entry(
    parts: list[Finding],
    table: Path,
    rule: Column,
    names: Sequence[str],
    rows: int,
    size: int | None,
) -> list[Finding]:
    found = merge(parts, rows, rule)
    for name in names if rule.unique else ():
        read = partial(blocks, table, [name], size)
        found += repeated(name, read, rows, rule.severity)
    place = {name: number for number, name in enumerate(names)}
    return sorted(found, key=lambda one: (place[one.column], one.rule))


def _target(parts: _Parts, name: str, rows: int) -> list[Finding]:
    found = sorted(merge(parts.target, rows), key=lambda one: one.rule)
    if not found and len(parts.labels) < 2:
        only = tuple(as_text(label) for label in parts.labels)
        found = [Finding(name, "two different targets or more", rows, 1.0, (1,), only)]
    return found
