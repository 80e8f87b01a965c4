"""The scan: all checks of rows in one pass over the table, block by block."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from gristmill.pipelines.config import Column, Rule, Schema, ValidateSections, read_condition
from gristmill.pipelines.tables import TableRows, column_names, storage
from gristmill.pipelines.validation.schema.cell_values import as_text, dates, plain
from gristmill.pipelines.validation.schema.parquet_footer import unproven
from gristmill.pipelines.validation.schema.rule_checks import check_rule
from gristmill.pipelines.validation.schema.rules import Finding, check_block, expand, finding, merge
from gristmill.pipelines.validation.schema.uniqueness import repeated

CELLS = 1 << 22
"""Values of a block: 32 MB of numbers for every shape of the table."""


@dataclass(frozen=True)
class Scanned:
    """The result of a scan.

    Attributes:
        rows: number of rows of the table.
        columns: columns of the table.
        by_entry: findings by entry of the schema; entries with equal content share them.
        by_rule: findings by cross-column rule.
        target: findings that make the target unusable.
        newest: newest date of the column that must be fresh, as ISO text.
    """

    rows: int
    columns: tuple[str, ...]
    by_entry: dict[Column, list[Finding]]
    by_rule: dict[Rule, list[Finding]]
    target: list[Finding]
    newest: str | None


@dataclass
class _Checks:
    """The findings of the rules, collected block by block."""

    asked: Mapping[Column, Sequence[str]]
    between: Sequence[Rule]
    entries: dict[Column, list[Finding]] = field(default_factory=lambda: defaultdict(list))
    rules: dict[Rule, list[Finding]] = field(default_factory=lambda: defaultdict(list))
    rows: int = 0

    def check(self, block: pa.RecordBatch) -> None:
        for entry, names in self.asked.items():
            self.entries[entry] += check_block(block, names, entry, self.rows)
        for rule in self.between:
            self.rules[rule] += check_rule(block, rule, self.rows)
        self.rows += len(block)

    def of_entry(
        self, table: Path, entry: Column, names: Sequence[str], size: int | None = None
    ) -> list[Finding]:
        found = merge(self.entries[entry], self.rows, entry)
        for name in names if entry.unique else ():
            read = partial(blocks, table, [name], size)
            found += repeated(name, read, self.rows, entry.severity)
        place = {name: number for number, name in enumerate(names)}
        return sorted(found, key=lambda one: (place[one.column], one.rule))

    def of_rule(self, rule: Rule) -> list[Finding]:
        return merge(self.rules[rule], self.rows)


@dataclass
class _Target:
    """The findings that make a target unusable, collected block by block."""

    name: str
    regression: bool
    found: list[Finding] = field(default_factory=list)
    labels: list[object] = field(default_factory=list)

    def check(self, block: pa.RecordBatch, before: int) -> None:
        column = plain(block[self.name])
        if column.null_count:
            words, missing = "a target in each row", pc.is_null(column)
            self.found.append(finding(self.name, words, column, missing, before))
        if self.regression and storage(column.type) != "number":
            words, present = "numbers, for regression", pc.is_valid(column)
            self.found.append(finding(self.name, words, column, present, before))
        if len(self.labels) < 2:
            some = pc.unique(column.drop_null()).slice(0, 2).to_pylist()
            self.labels = list(dict.fromkeys(self.labels + some))

    def findings(self, rows: int) -> list[Finding]:
        found = sorted(merge(self.found, rows), key=lambda one: one.rule)
        if not found and len(self.labels) < 2:
            only = tuple(as_text(label) for label in self.labels)
            found = [Finding(self.name, "two different targets or more", rows, 1.0, (1,), only)]
        return found


def blocks(
    table: Path, columns: Sequence[str] | None = None, rows: int | None = None
) -> Iterator[pa.RecordBatch]:
    """Return the rows of a Parquet table in blocks of bounded memory.

    Args:
        table: the file.
        columns: columns to read; default: all.
        rows: rows of a block; default: as many as make `CELLS` values.
    """
    stream = TableRows(table)
    names = stream.names if columns is None else columns
    size = rows or max(CELLS // max(len(names), 1), 1024)
    return stream.batches(names, plain=names, size=min(size, 1 << 18))


def entries(schema: Schema, present: Sequence[str]) -> dict[Column, list[str]]:
    """Return the columns by their rule in the schema; entries with equal content are merged."""
    made: dict[Column, list[str]] = {}
    for entry, names in expand(schema.columns, present).items():
        made.setdefault(schema.columns[entry], []).extend(names)
    return {rule: list(dict.fromkeys(names)) for rule, names in made.items()}


def scan(table: Path, document: ValidateSections, rows: int | None = None) -> Scanned:
    """Read a table once, and each column that must be unique once more.

    Args:
        table: Parquet file written by the stage `ingest`.
        document: the experiment file; all columns that it names must exist.
        rows: rows of a block; the findings do not depend on it.
    """
    schema, present = document.schema_, column_names(table)
    asked, fresh = entries(schema, present), schema.fresh
    checks = _Checks(unproven(table, asked), schema.rules)
    target = _Target(document.data.target, document.data.task == "regression")
    more = [target.name, *([fresh.column] if fresh is not None else [])]
    newest: datetime | None = None
    for block in blocks(table, _needed(checks, present, more), rows):
        target.check(block, checks.rows)
        if fresh is not None:
            latest = pc.max(dates(plain(block[fresh.column]))[0]).as_py()
            newest = max(filter(None, (newest, latest)), default=None)
        checks.check(block)
    return Scanned(
        checks.rows,
        tuple(present),
        {entry: checks.of_entry(table, entry, names, rows) for entry, names in asked.items()},
        {rule: checks.of_rule(rule) for rule in schema.rules},
        target.findings(checks.rows),
        None if newest is None else as_text(newest),
    )


def breaks(table: Path, document: ValidateSections) -> list[Finding]:
    """Find the rows of another file that break the schema, by column or rule.

    Rules about the number of rows, the target and columns that the file does not have are ignored.
    """
    schema, present = document.schema_, column_names(table)
    asked = {rule: names for rule, names in entries(schema, present).items() if names}
    rules = [rule for rule in schema.rules if columns_of(rule) <= set(present)]
    checks = _Checks(asked, rules)
    for block in blocks(table, _needed(checks, present)):
        checks.check(block)
    found = [one for entry, names in asked.items() for one in checks.of_entry(table, entry, names)]
    return found + [one for rule in rules for one in checks.of_rule(rule)]


def columns_of(rule: Rule) -> set[str]:
    """Return the columns in a rule."""
    return set(read_condition(rule.check).columns.values())


def _needed(checks: _Checks, present: Sequence[str], more: Sequence[str] = ()) -> list[str]:
    needed = set(more).union(*checks.asked.values(), *map(columns_of, checks.between))
    return [name for name in present if name in needed]
