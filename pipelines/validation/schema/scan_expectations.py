"""The schema's rules as expectations: computed by the scan, shown as sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from gristmill.pipelines.config import Column, Rule, ValidateSections
from gristmill.pipelines.validation.schema.gx import (
    BatchExpectation,
    LegacyDiagnosticRendererType,
    LegacyRendererType,
    PandasExecutionEngine,
    RenderedStringTemplateContent,
    RenderedTableContent,
    TableMetricProvider,
    metric_value,
    renderer,
)
from gristmill.pipelines.validation.schema.rules import Finding, expand
from gristmill.pipelines.validation.schema.scan import Scanned, entries
from gristmill.pipelines.validation.schema.sentences import column_said, columns_said, rows_said

GRAVITY = {"error": "critical", "warning": "warning"}
"""Great Expectations' severity by ours, for the Data Docs."""

TABLED = 50
"""Largest number of findings of one rule in the Data Docs."""

PAIRS = 5
"""Largest number of rows of a finding in the Data Docs."""


class TableScan(TableMetricProvider):  # type: ignore[misc]
    """Metric: the result of the scan.

    The function that computes it is in the `attrs` of the batch's frame, so that the rows are read
    block by block and not held in memory. All our expectations use this one metric, which Great
    Expectations computes once.
    """

    metric_name = "table.scan"
    value_keys = ()

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(
        cls,  # noqa: N805  (the decorator makes it a class method)
        execution_engine: Any,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> Scanned:
        frame, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type="table")
        scanned: Scanned = frame.attrs["scan"]()
        return scanned


class ScanExpectation(BatchExpectation):  # type: ignore[misc]
    """Base of expectations that read their result from the scan."""

    metric_dependencies = ("table.scan",)

    def _findings(self, scanned: Scanned) -> list[Finding]:
        raise NotImplementedError

    def _said(self) -> str:
        """Return the expectation as a sentence."""
        raise NotImplementedError

    def _seen(self, scanned: Scanned, findings: Sequence[Finding]) -> str:
        count = sum(finding.count for finding in findings)
        broken = f"{count:,} values break the rule" if findings else "no value breaks the rule"
        return f"{scanned.rows:,} rows, {broken}"

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        scanned = metrics["table.scan"]
        findings = self._findings(scanned)
        return {
            "success": not findings,
            "result": {
                "observed_value": self._seen(scanned, findings),
                "details": [asdict(finding) for finding in findings],
            },
        }

    @classmethod
    @renderer(renderer_type=LegacyRendererType.PRESCRIPTIVE)  # type: ignore[untyped-decorator]
    def _prescriptive_renderer(
        cls, configuration: Any = None, result: Any = None, runtime_configuration: Any = None
    ) -> list[Any]:
        said = configuration.to_domain_obj()._said()
        if configuration.severity == "warning":
            said += " (only a warning)"
        return [_text(said)]

    @classmethod
    @renderer(  # type: ignore[untyped-decorator]
        renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_TABLE
    )
    def _diagnostic_unexpected_table_renderer(
        cls, configuration: Any = None, result: Any = None, runtime_configuration: Any = None
    ) -> list[Any] | None:
        found = [finding_of(detail) for detail in result.result.get("details", [])]
        if not found:
            return None
        rows = [[_text(cell) for cell in _cells(one)] for one in found[:TABLED]]
        table = RenderedTableContent(
            content_block_type="table",
            header_row=["Column", "Expected", "Rows that break the rule", "First rows"],
            table=rows,
            styling={"body": {"classes": ["table-bordered", "table-sm", "mt-3"]}},
        )
        more = len(found) - len(rows)
        return [table, *[_text(f"… and {more:,} more, in result.json") for _ in range(more > 0)]]


class ExpectBlockToFollowRule(ScanExpectation):
    """Expect every value of some columns to follow the schema's rule for them."""

    columns: list[str]
    rule: str
    success_keys = ("columns", "rule")

    def _findings(self, scanned: Scanned) -> list[Finding]:
        return scanned.by_entry[Column.model_validate_json(self.rule)]

    def _said(self) -> str:
        return f"{columns_said(self.columns)}: {column_said(Column.model_validate_json(self.rule))}"


class ExpectRowsToFollowRule(ScanExpectation):
    """Expect every row to follow a rule between columns."""

    rule: str
    success_keys = ("rule",)

    def _findings(self, scanned: Scanned) -> list[Finding]:
        return scanned.by_rule[Rule.model_validate_json(self.rule)]

    def _said(self) -> str:
        return f"each row: {Rule.model_validate_json(self.rule).check}"


class ExpectTableToHaveRows(ScanExpectation):
    """Expect the number of rows to be in a range."""

    min_rows: int | None = None
    max_rows: int | None = None
    success_keys = ("min_rows", "max_rows")

    def _seen(self, scanned: Scanned, findings: Sequence[Finding]) -> str:
        return f"{scanned.rows:,} rows"

    def _findings(self, scanned: Scanned) -> list[Finding]:
        rows, low, high = scanned.rows, self.min_rows, self.max_rows
        if (low is None or rows >= low) and (high is None or rows <= high):
            return []
        ends = [(low, "or more"), (high, "or less")]
        bounds = " and ".join(f"{end:,} rows {word}" for end, word in ends if end is not None)
        return [Finding("the table", bounds, rows, 1.0, (), ())]

    def _said(self) -> str:
        return f"the table: {rows_said(self.min_rows, self.max_rows)}"


class ExpectNoOtherColumns(ScanExpectation):
    """Expect the table to have only columns that the schema names."""

    named: list[str]
    success_keys = ("named",)

    def _seen(self, scanned: Scanned, findings: Sequence[Finding]) -> str:
        return f"{len(scanned.columns):,} columns"

    def _findings(self, scanned: Scanned) -> list[Finding]:
        others = [name for name in scanned.columns if name not in {*self.named}]
        words = "a column named in the schema"
        return [Finding(name, words, 0, 1.0, (), ("not named",)) for name in others]

    def _said(self) -> str:
        return f"the table: no columns except the {len(self.named):,} named in the schema"


class ExpectTargetToBeLearnable(ScanExpectation):
    """Expect a target in each row, with at least two different values; numbers for regression."""

    target: str
    task: str
    success_keys = ("target", "task")

    def _findings(self, scanned: Scanned) -> list[Finding]:
        return scanned.target

    def _said(self) -> str:
        kind = "two different values" if self.task == "classification" else "different numbers"
        return f"{self.target}, the target of {self.task}: one in each row, {kind} or more"


def scan_expectations(document: ValidateSections, present: list[str]) -> list[Any]:
    """Return the schema's rules and the requirements of a target as expectations.

    Args:
        document: the experiment file; all columns that it names must exist.
        present: the columns of the data.
    """
    schema = document.schema_
    made: list[Any] = [
        ExpectBlockToFollowRule(
            columns=columns, rule=rule.model_dump_json(), severity=GRAVITY[rule.severity]
        )
        for rule, columns in entries(schema, present).items()
    ]
    made += [
        ExpectRowsToFollowRule(rule=rule.model_dump_json(), severity=GRAVITY[rule.severity])
        for rule in dict.fromkeys(schema.rules)
    ]
    if schema.rows is not None:
        ends = (schema.rows.min, schema.rows.max)
        low, high = (None if end is None else int(end) for end in ends)
        made.append(ExpectTableToHaveRows(min_rows=low, max_rows=high))
    if schema.extra == "forbid":
        named = [c for found in expand(schema.columns, present).values() for c in found]
        made.append(ExpectNoOtherColumns(named=named))
    return [*made, ExpectTargetToBeLearnable(target=document.data.target, task=document.data.task)]


def finding_of(detail: dict[str, Any]) -> Finding:
    """Return the finding that a result contains as plain values."""
    lists = ("rows", "values")
    return Finding(**detail | {key: tuple(detail[key]) for key in lists})


def _cells(one: Finding) -> list[str]:
    rows = f"{one.count:,} ({one.share:.2%})" if one.rows else ""
    first = [f"row {row}: {value}" for row, value in zip(one.rows, one.values, strict=True)]
    shown = "; ".join(first[:PAIRS]) + "…" * (one.count > PAIRS) if one.rows else str(one)
    return [one.column, one.rule, rows, shown]


def _text(text: str) -> Any:
    """Return a text for the Data Docs in which a dollar sign has no meaning."""
    template = {"template": "$text", "params": {"text": text}}
    return RenderedStringTemplateContent(
        content_block_type="string_template", string_template=template
    )
