"""Great Expectations, imported without its noise: the one module that imports it."""

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

# what matters is in the results; it also logs that a class is replaced, and its renderers' faults
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
    """Great Expectations' own, registered anew: it calls NumPy's truth a success, which its own
    store cannot write."""

    def _validate(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        found = super()._validate(*arguments, **named)
        return {**found, "success": bool(found["success"])}
