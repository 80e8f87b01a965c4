"""The data against the experiment's schema, by Great Expectations."""

from pipelines.validation.drift import (
    Difference,
    Drifted,
    compare_tables,
    drifted,
    summarise,
)
from pipelines.validation.rules import Finding
from pipelines.validation.stage import Validated, validate, validate_table

__all__ = [
    "Difference",
    "Drifted",
    "Finding",
    "Validated",
    "compare_tables",
    "drifted",
    "summarise",
    "validate",
    "validate_table",
]
