"""The data against the experiment's schema, by Great Expectations."""

from pipelines.validation.drift import (
    Difference,
    Shift,
    compare_tables,
    drifted,
    rows_needed,
    shifts,
    summarise,
)
from pipelines.validation.rules import Finding
from pipelines.validation.scan import breaks
from pipelines.validation.stage import Validated, validate, validate_table

__all__ = [
    "Difference",
    "Finding",
    "Shift",
    "Validated",
    "breaks",
    "compare_tables",
    "drifted",
    "rows_needed",
    "shifts",
    "summarise",
    "validate",
    "validate_table",
]
