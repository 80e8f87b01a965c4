"""The data against the experiment's schema, by Great Expectations."""

from pipelines.validation.rules import Finding
from pipelines.validation.stage import Validated, validate, validate_table

__all__ = ["Finding", "Validated", "validate", "validate_table"]
