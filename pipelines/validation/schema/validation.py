"""Validation of the table against the schema; fails closed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.pipelines.base import ConfigError, DataInvalid, Problem, suggest, write_json
from gristmill.pipelines.config import (
    Project,
    Schema,
    ValidateSections,
    load_sections,
    read_condition,
)
from gristmill.pipelines.validation.schema.rules import Finding, expand, unmatched

if TYPE_CHECKING:
    from gristmill.pipelines.validation.schema.given_expectations import GivenExpectation


@dataclass(frozen=True)
class ValidationResult:
    """The result of validation for data that passed.

    Attributes:
        rows: number of rows of the table.
        columns: number of columns of the table.
        rules: number of column entries, cross-column rules and expectations.
        warnings: findings of rules with severity warning.
        newest: newest date of the column that must be fresh, as ISO text. Its age is checked when a
            run starts, because this result is cached and must not depend on the clock.
    """

    rows: int
    columns: int
    rules: int
    warnings: tuple[Finding, ...] = ()
    newest: str | None = None

    def __str__(self) -> str:
        more = f", {len(self.warnings)} warning" + "s" * (len(self.warnings) > 1)
        return f"{self.rules} rules hold for {self.columns} columns" + more * bool(self.warnings)


def validate(project: Project, name: str) -> ValidationResult:
    """Run the stage `validate`: write `build/NAME/validation.json`, or raise DataInvalid."""
    document = load_sections(project, name, ValidateSections)
    build = project.build(name)
    result = validate_table(project, build / "table.parquet", document, build / "validation")
    write_json(build / "validation.json", asdict(result))
    return result


def check_expectations(project: Project, schema: Schema) -> None:
    """Check the names and arguments of Great Expectations' own expectations.

    Great Expectations is imported only if there are any.

    Raises:
        ConfigError: an expectation or the suite is invalid.
    """
    _given(project, schema)


def validate_table(
    project: Project, table: Path, document: ValidateSections, report: Path
) -> ValidationResult:
    """Check a table; all findings are collected before an error is raised.

    Args:
        project: the project with the suites.
        table: Parquet file written by the stage `ingest`.
        document: the experiment file.
        report: folder for the full report.

    Raises:
        ConfigError: the file names columns that do not exist, or an expectation is invalid.
        DataInvalid: rows break the schema, or the target is unusable.
        EnvironmentFault: there is not enough memory for Great Expectations' own expectations.
    """
    from gristmill.pipelines.tables import column_names
    from gristmill.pipelines.validation.schema.scan import scan

    present = column_names(table)
    given = _given(project, document.schema_)
    _columns_exist(present, document, given)
    with ThreadPoolExecutor(1) as reading:  # while Great Expectations is imported
        scanning = reading.submit(scan, table, document)
        from gristmill.pipelines.validation.schema.expectations import run_expectations

    findings, scanned = run_expectations(table, document, report, lambda: scanning.result(), given)
    findings += _no_date(document, scanned.newest if scanned is not None else None)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors or scanned is None:
        raise DataInvalid(
            f"the data break the schema: {len(errors)} finding" + "s" * (len(errors) > 1),
            problems=[Problem(f.column, f.rule, str(f)) for f in errors],
            next="correct the source, or the schema if it is wrong; full report: "
            f"{project.relative(report)}/",
        )
    schema = document.schema_
    rules = len(schema.columns) + len(schema.rules) + len(given)
    return ValidationResult(scanned.rows, len(present), rules, tuple(findings), scanned.newest)


def _no_date(document: ValidateSections, newest: str | None) -> list[Finding]:
    fresh = document.schema_.fresh
    if fresh is None or newest is not None:
        return []
    return [Finding(fresh.column, "a date, to be fresh", 0, 1.0, (), ("none",), fresh.severity)]


def _given(project: Project, schema: Schema) -> list[GivenExpectation]:
    if not schema.expectations and schema.suite is None:
        return []
    from gristmill.pipelines.validation.schema.given_expectations import given_expectations

    return given_expectations(project, schema)


def _columns_exist(
    present: list[str], document: ValidateSections, given: Sequence[GivenExpectation]
) -> None:
    schema = document.schema_
    problems = [
        Problem(f"schema.columns.{entry}", "a column of the data", "no match", hint)
        for entry, hint in unmatched(schema.columns, present).items()
    ]
    asked = [(one.where, column) for one in given for column in one.columns]
    for where, column in [*_named(document), *asked]:
        if column not in present:
            hint = suggest(column, present)
            problems.append(Problem(where, "a column of the data", column, hint))
    if problems:
        some = ", ".join(present[:12]) + ("…" if len(present) > 12 else "")
        named = {name for names in expand(schema.columns, present).values() for name in names}
        others = [name for name in present if name not in named and name != document.data.target]
        new = ", ".join(others[:5]) + "…" * (len(others) > 5) or "none"
        raise ConfigError(
            "the experiment file names columns that the data do not have",
            problems=problems,
            found=f"columns {some}",
            next="if a column was renamed, write its new name in the experiment file (columns that "
            f"the schema does not name: {new})\n"
            "if it was removed, delete its lines there, and the split file: the rows need new "
            "roles",
        )


def _named(document: ValidateSections) -> Iterator[tuple[str, str]]:
    """Yield each place of the file that names one column, and the column."""
    yield "data.target", document.data.target
    if document.split.key is not None:
        yield "split.key", document.split.key
    if document.schema_.fresh is not None:
        yield "schema.fresh.column", document.schema_.fresh.column
    for place, rule in enumerate(document.schema_.rules):
        for column in dict.fromkeys(read_condition(rule.check).columns.values()):
            yield f"schema.rules.{place}.check", column
