"""The schema as Great Expectations sees it: the one module that imports great_expectations."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.config import Column, Schema, write_json
from pipelines.validation.rules import Finding, check_block, expand

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read by great_expectations when it is imported

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations.expectation import BatchExpectation
    from great_expectations.expectations.metrics.metric_provider import metric_value
    from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider


class BlockFindings(TableMetricProvider):  # type: ignore[misc]
    """Metric: what `check_block` finds in some columns."""

    metric_name = "table.block_findings"
    value_keys = ("columns", "rule")

    @metric_value(engine=PandasExecutionEngine)  # type: ignore[untyped-decorator]
    def _pandas(
        cls,  # noqa: N805  (the decorator makes it a class method)
        execution_engine: Any,
        metric_domain_kwargs: dict[str, Any],
        metric_value_kwargs: dict[str, Any],
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any],
    ) -> list[dict[str, Any]]:
        frame, _, _ = execution_engine.get_compute_domain(metric_domain_kwargs, domain_type="table")
        rule = Column.model_validate_json(metric_value_kwargs["rule"])
        return [
            asdict(finding) for finding in check_block(frame, metric_value_kwargs["columns"], rule)
        ]


class ExpectBlockToFollowRule(BatchExpectation):  # type: ignore[misc]
    """Expect every value of a block of columns to follow one entry of the schema."""

    columns: list[str]
    rule: str
    metric_dependencies = ("table.block_findings",)
    success_keys = ("columns", "rule")

    def _validate(
        self,
        metrics: dict[str, Any],
        runtime_configuration: dict[str, Any] | None = None,
        execution_engine: Any = None,
    ) -> dict[str, Any]:
        findings = metrics["table.block_findings"]
        seen = f"{len(self.columns)} columns, {sum(f['count'] for f in findings)} values break it"
        return {"success": not findings, "result": {"observed_value": seen, "details": findings}}


def validate_frame(frame: pd.DataFrame, schema: Schema, report: Path) -> list[Finding]:
    """Runs the schema's expectations and writes the full report.

    Args:
        frame: the rows, with pandas' nullable types.
        schema: the experiment's.
        report: folder for `result.json` (GX's own, complete) and `docs/` (GX Data Docs).

    Returns:
        What breaks the schema, empty when all holds.
    """
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return _run(frame, schema, report)


def _run(frame: pd.DataFrame, schema: Schema, report: Path) -> list[Finding]:
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
    suite = context.suites.add(
        gx.ExpectationSuite("schema", expectations=_expectations(frame, schema))
    )
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
    write_json(report / "result.json", result.to_json_dict())
    return [
        finding for part in result.results if not part.success for finding in _found(part, frame)
    ]


def _expectations(frame: pd.DataFrame, schema: Schema) -> list[Any]:
    expectations: list[Any] = [
        ExpectBlockToFollowRule(columns=columns, rule=schema.columns[entry].model_dump_json())
        for entry, columns in expand(schema.columns, list(frame.columns)).items()
        if columns
    ]
    if schema.rows is not None:
        bounds = {"min_value": _whole(schema.rows.min), "max_value": _whole(schema.rows.max)}
        expectations.append(gx.expectations.ExpectTableRowCountToBeBetween(**bounds))
    if schema.extra == "forbid":
        named = [c for found in expand(schema.columns, list(frame.columns)).values() for c in found]
        expectations.append(
            gx.expectations.ExpectTableColumnsToMatchSet(column_set=named, exact_match=True)
        )
    return expectations


def _whole(bound: float | None) -> int | None:
    return None if bound is None else int(bound)


def _found(part: Any, frame: pd.DataFrame) -> list[Finding]:
    details = part.result.get("details")
    if isinstance(details, list):
        return [_finding(detail) for detail in details]
    if message := _raised(part.exception_info):
        return [Finding("the table", f"a check that runs: {message}", len(frame), 1.0, (), ())]
    arguments: Mapping[str, Any] = part.expectation_config.kwargs
    if "column_set" in arguments:
        unknown = [name for name in frame.columns if name not in arguments["column_set"]]
        return [
            Finding(name, "a column that the schema names", len(frame), 1.0, (), ())
            for name in unknown
        ]
    ends = [(arguments.get("min_value"), "or more"), (arguments.get("max_value"), "or less")]
    bounds = " and ".join(f"{end:,} rows {word}" for end, word in ends if end is not None)
    return [Finding("the table", bounds, len(frame), 1.0, (), ())]


def _raised(info: Mapping[str, Any] | None) -> str:
    """What a check died of: Great Expectations has it at the top, or below each metric's name."""
    info = info or {}
    places = (info, *(inner for inner in info.values() if isinstance(inner, Mapping)))
    return next((str(p["exception_message"]) for p in places if p.get("exception_message")), "")


def _finding(detail: dict[str, Any]) -> Finding:
    return Finding(**{**detail, "rows": tuple(detail["rows"]), "values": tuple(detail["values"])})
