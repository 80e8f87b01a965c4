"""The run of Great Expectations: the schema's rules and the user's expectations."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from gristmill.pipelines.base import write_json
from gristmill.pipelines.config import ValidateSections
from gristmill.pipelines.tables import column_names
from gristmill.pipelines.validation.schema.given_expectations import (
    GivenExpectation,
    finding_in,
    frame_for,
)
from gristmill.pipelines.validation.schema.gx import ProgressBarsConfig, gx
from gristmill.pipelines.validation.schema.rules import SHOWN, Finding
from gristmill.pipelines.validation.schema.scan import Scanned
from gristmill.pipelines.validation.schema.scan_expectations import (
    ScanExpectation,
    finding_of,
    scan_expectations,
)


@dataclass
class _Reading:
    """The scan and its result. pandas copies the attributes of a frame, but must not copy this."""

    scan: Callable[[], Scanned]
    found: Scanned | None = None

    def __call__(self) -> Scanned:
        self.found = self.scan()
        return self.found

    def __deepcopy__(self, memo: object) -> _Reading:
        return self


def run_expectations(
    table: Path,
    document: ValidateSections,
    report: Path,
    scan: Callable[[], Scanned],
    given: Sequence[GivenExpectation] = (),
) -> tuple[list[Finding], Scanned | None]:
    """Run the schema's expectations on a table and write the full report.

    Args:
        table: Parquet file written by the stage `ingest`.
        document: the experiment file; all columns that it names must exist.
        report: folder for `result.json` (written by Great Expectations, with counts of all rows and
            the first row numbers and values) and `docs/` (Data Docs).
        scan: reads the table and returns the findings.
        given: the user's expectations, computed by Great Expectations on the columns they name.

    Returns:
        The findings, empty if all rules hold; and the result of the scan, None if it failed.
    """
    reading = _Reading(scan)
    frame = frame_for(table, given)
    frame.attrs["scan"] = reading
    ours = scan_expectations(document, column_names(table))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = _run(frame, [*ours, *(one.expectation for one in given)], report)
        failed = [part for part in result.results if not part.success]
        # a failure that all expectations share is reported once
        found = dict.fromkeys(one for part in failed for one in _found(part))
    write_json(report / "result.json", result.to_json_dict())
    return list(found), reading.found


def _run(frame: pd.DataFrame, expectations: list[Any], report: Path) -> Any:
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    context.variables.plugins_directory = str(Path(__file__).with_name("gx_plugins"))  # style sheet
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
            result_format={"result_format": "SUMMARY", "partial_unexpected_count": SHOWN},
        )
    )
    outcome = checkpoint.run(batch_parameters={"dataframe": frame})
    (result,) = outcome.run_results.values()
    return result


def _found(part: Any) -> list[Finding]:
    message = _raised(part.exception_info)
    ours = {kind.expectation_type for kind in ScanExpectation.__subclasses__()}
    if part.expectation_config.type not in ours:
        return [finding_in(part, message)]
    if message:
        return [Finding("the table", f"a check without an error: {message}", 0, 1.0, (), ())]
    return [finding_of(detail) for detail in part.result["details"]]


def _raised(info: Mapping[str, Any] | None) -> str:
    """Return the error message of a check: at the top level, or below each metric's name."""
    info = info or {}
    places = (info, *(inner for inner in info.values() if isinstance(inner, Mapping)))
    return next((str(p["exception_message"]) for p in places if p.get("exception_message")), "")
