"""The schema as Great Expectations sees it: the one module that imports great_expectations."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from gristmill.pipelines.base import write_json
from gristmill.pipelines.config import Column, Rule, ValidateSections
from gristmill.pipelines.tables import column_names
from gristmill.pipelines.validation.schema.rules import Finding, expand
from gristmill.pipelines.validation.schema.scan import Scanned, entries

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read by great_expectations when it is imported

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations.expectation import BatchExpectation
    from great_expectations.expectations.metrics.metric_provider import metric_value
    from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider


GRAVITY = {"error": "critical", "warning": "warning"}
"""Great Expectations' words for ours, as the Data Docs show them."""


class TableScan(TableMetricProvider):  # type: ignore[misc]
    """Metric: what one reading of the table finds.

    The batch is a frame with the table's columns and no rows; it carries a function that gives the
    findings, so that the rows are read block by block and not held in memory. All
    expectations ask for this one metric, and Great Expectations computes it once.
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
        frame.attrs["scanned"] = scanned
        return scanned


class ScanExpectation(BatchExpectation):  # type: ignore[misc]
    """Base of expectations that read their answer from the scan."""

    metric_dependencies = ("table.scan",)

    def _findings(self, scanned: Scanned) -> list[Finding]:
        raise NotImplementedError

    def _seen(self, scanned: Scanned, findings: Sequence[Finding]) -> str:
        count = sum(finding.count for finding in findings)
        return f"{scanned.rows:,} rows, {count:,} values break it"

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


class ExpectBlockToFollowRule(ScanExpectation):
    """Expect every value of some columns to follow what the schema says of them."""

    columns: list[str]
    rule: str
    success_keys = ("columns", "rule")

    def _findings(self, scanned: Scanned) -> list[Finding]:
        return scanned.by_entry[Column.model_validate_json(self.rule)]


class ExpectRowsToFollowRule(ScanExpectation):
    """Expect every row to follow a rule between columns."""

    rule: str
    success_keys = ("rule",)

    def _findings(self, scanned: Scanned) -> list[Finding]:
        return scanned.by_rule[Rule.model_validate_json(self.rule)]


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


class ExpectTargetToBeLearnable(ScanExpectation):
    """Expect a target in each row, of two values or more, numbers for a regression."""

    target: str
    success_keys = ("target",)

    def _findings(self, scanned: Scanned) -> list[Finding]:
        return scanned.target


def run_expectations(
    table: Path, document: ValidateSections, report: Path, scan: Callable[[], Scanned]
) -> tuple[list[Finding], Scanned | None]:
    """Runs the schema's expectations over a table and writes the full report.

    Args:
        table: what ingest made.
        document: the experiment file; the columns that it names are there.
        report: folder for `result.json` (GX's own, with counts of all rows, the first row numbers
            and values) and `docs/` (GX Data Docs).
        scan: gives what a reading of the table finds.

    Returns:
        What breaks the schema, empty when all holds; and the scan, None where it broke down.
    """
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    frame = pd.DataFrame(columns=column_names(table))
    frame.attrs["scan"] = scan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = _run(frame, _expectations(document, list(frame.columns)), report)
    write_json(report / "result.json", result.to_json_dict())
    failed = [part for part in result.results if not part.success]
    # what all expectations say alike is said once
    found = dict.fromkeys(one for part in failed for one in _found(part, list(frame.columns)))
    return list(found), frame.attrs.get("scanned")


def _run(frame: pd.DataFrame, expectations: list[Any], report: Path) -> Any:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    docs = {
        "class_name": "SiteBuilder",
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(report / "docs"),
        },
    }
    context.add_data_docs_site(site_name="docs", site_config=docs)
    batch = (
        context.data_sources.add_pandas("table")
        .add_dataframe_asset("rows")
        .add_batch_definition_whole_dataframe("all")
    )
    suite = context.suites.add(gx.ExpectationSuite("schema", expectations=expectations))
    definition = context.validation_definitions.add(
        gx.ValidationDefinition(name="schema", data=batch, suite=suite)
    )
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name="schema",
            validation_definitions=[definition],
            actions=[gx.checkpoint.UpdateDataDocsAction(name="docs", site_names=["docs"])],
            result_format={"result_format": "COMPLETE"},
        )
    )
    outcome = checkpoint.run(batch_parameters={"dataframe": frame})
    (result,) = outcome.run_results.values()
    return result


def _expectations(document: ValidateSections, present: list[str]) -> list[Any]:
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
        made.append(
            gx.expectations.ExpectTableColumnsToMatchSet(column_set=named, exact_match=True)
        )
    return [*made, ExpectTargetToBeLearnable(target=document.data.target)]


def _found(part: Any, present: list[str]) -> list[Finding]:
    if message := _raised(part.exception_info):
        return [Finding("the table", f"a check that runs: {message}", 0, 1.0, (), ())]
    arguments: Mapping[str, Any] = part.expectation_config.kwargs
    if "column_set" in arguments:
        unknown = [name for name in present if name not in arguments["column_set"]]
        words = "a column that the schema names"
        return [Finding(name, words, 0, 1.0, (), ("not named",)) for name in unknown]
    lists = ("rows", "values")
    return [
        Finding(**detail | {key: tuple(detail[key]) for key in lists})
        for detail in part.result["details"]
    ]


def _raised(info: Mapping[str, Any] | None) -> str:
    """What a check died of: Great Expectations has it at the top, or below each metric's name."""
    info = info or {}
    places = (info, *(inner for inner in info.values() if isinstance(inner, Mapping)))
    return next((str(p["exception_message"]) for p in places if p.get("exception_message")), "")
