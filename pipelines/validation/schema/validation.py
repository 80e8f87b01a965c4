"""Validate: the table against the schema. Fails closed."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from gristmill.pipelines.base import ConfigError, DataInvalid, Problem, suggest, write_json
from gristmill.pipelines.config import Project, ValidateSections, load_sections, read_condition
from gristmill.pipelines.validation.schema.rules import Finding, unmatched


@dataclass(frozen=True)
class ValidationResult:
    """What validation found in data that passed.

    Attributes:
        rows: of the table.
        columns: of the table.
        rules: entries of the schema and rules between columns.
        warnings: what breaks a rule of severity warning.
        newest: the newest date of the column that must be fresh, as ISO text. How old it may be is
            asked when a run begins, not here: this result is kept, and must not hang on the clock.
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
    """The stage `validate`: the table → `build/NAME/validation.json`, or DataInvalid."""
    document = load_sections(project, name, ValidateSections)
    build = project.build(name)
    result = validate_table(
        build / "table.parquet", document, build / "validation", project.relative(build)
    )
    write_json(build / "validation.json", asdict(result))
    return result


def validate_table(
    table: Path, document: ValidateSections, report: Path, shown: str
) -> ValidationResult:
    """Checks a table; all failures are collected before anything is raised.

    Args:
        table: what ingest made.
        document: the experiment file.
        report: folder for the full report.
        shown: how to name the report's folder to the user.

    Raises:
        ConfigError: the file and the data do not speak of the same columns.
        DataInvalid: rows break the schema, or the target cannot be learnt.
    """
    from gristmill.pipelines.tables import column_names
    from gristmill.pipelines.validation.schema.scan import scan

    present = column_names(table)
    _columns_exist(present, document)
    with ThreadPoolExecutor(1) as reading:  # while Great Expectations is imported
        scanning = reading.submit(scan, table, document)
        from gristmill.pipelines.validation.schema.expectations import run_expectations

    findings, scanned = run_expectations(table, document, report, lambda: scanning.result())
    findings += _no_date(document, scanned.newest if scanned is not None else None)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors or scanned is None:
        raise DataInvalid(
            f"the data break the schema: {len(errors)} finding" + "s" * (len(errors) > 1),
            problems=[Problem(f.column, f.rule, str(f)) for f in errors],
            next=f"mend the source, or the schema if it is wrong; full report: {shown}/validation/",
        )
    schema = document.schema_
    rules = len(schema.columns) + len(schema.rules)
    return ValidationResult(scanned.rows, len(present), rules, tuple(findings), scanned.newest)


def _no_date(document: ValidateSections, newest: str | None) -> list[Finding]:
    fresh = document.schema_.fresh
    if fresh is None or newest is not None:
        return []
    return [Finding(fresh.column, "a date, to be fresh", 0, 1.0, (), ("none",), fresh.severity)]


def _columns_exist(present: list[str], document: ValidateSections) -> None:
    schema = document.schema_
    problems = [
        Problem(f"schema.columns.{entry}", "a column of the data", "none of that name", hint)
        for entry, hint in unmatched(schema.columns, present).items()
    ]
    for where, column in _named(document):
        if column not in present:
            hint = suggest(column, present)
            problems.append(Problem(where, "a column of the data", column, hint))
    if problems:
        some = ", ".join(present[:12]) + ("…" if len(present) > 12 else "")
        raise ConfigError(
            "the experiment file names columns that the data do not have",
            problems=problems,
            found=f"columns {some}",
        )


def _named(document: ValidateSections) -> Iterator[tuple[str, str]]:
    """Every place of the file that names one column, and the column."""
    yield "data.target", document.data.target
    if document.split.key is not None:
        yield "split.key", document.split.key
    if document.schema_.fresh is not None:
        yield "schema.fresh.column", document.schema_.fresh.column
    for place, rule in enumerate(document.schema_.rules):
        for column in dict.fromkeys(read_condition(rule.check).columns.values()):
            yield f"schema.rules.{place}.check", column
