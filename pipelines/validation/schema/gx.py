"""The only module that imports Great Expectations, without its warnings and logs."""

from __future__ import annotations

import logging
import os
import warnings
from typing import Any

os.environ["GX_ANALYTICS_ENABLED"] = "false"  # read by great_expectations when it is imported

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import great_expectations as gx
    from great_expectations.compatibility.pydantic import ValidationError as WrongArguments
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.exceptions import MetricProviderError as NoMetric
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.expectations import core
    from great_expectations.expectations.expectation import BatchExpectation
    from great_expectations.expectations.metrics.metric_provider import metric_value
    from great_expectations.expectations.metrics.table_metric_provider import TableMetricProvider
    from great_expectations.expectations.registry import get_metric_provider
    from great_expectations.render import (
        LegacyDiagnosticRendererType,
        LegacyRendererType,
        RenderedStringTemplateContent,
        RenderedTableContent,
    )
    from great_expectations.render.renderer.renderer import renderer

# errors are in the results; it also logs the replacement of a class and faults of its renderers
logging.getLogger("great_expectations").setLevel(logging.CRITICAL)

__all__ = [
    "BatchExpectation",
    "LegacyDiagnosticRendererType",
    "LegacyRendererType",
    "NoMetric",
    "PandasExecutionEngine",
    "ProgressBarsConfig",
    "RenderedStringTemplateContent",
    "RenderedTableContent",
    "TableMetricProvider",
    "WrongArguments",
    "core",
    "get_metric_provider",
    "gx",
    "metric_value",
    "renderer",
]


class ExpectColumnQuantileValuesToBeBetween(
    core.ExpectColumnQuantileValuesToBeBetween,  # type: ignore[misc]
):
    """A replacement of the original, whose `success` is a NumPy boolean that its store cannot
    write."""

    def _validate(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        found = super()._validate(*arguments, **named)
        return {**found, "success": bool(found["success"])}
