"""Roles for rows, and numbers for what stands in them."""

from pipelines.preparation.rows import Rows
from pipelines.preparation.scale import Scaled, scale
from pipelines.preparation.split import (
    ROLES,
    TRAINING,
    VALIDATION,
    Cuts,
    Roles,
    assign,
    cut,
    read_cuts,
    split,
)
from pipelines.preparation.statistics import fit, fit_statistics
from pipelines.preparation.transform import (
    answers,
    as_text,
    class_name,
    encode_target,
    feature_names,
    in_own_units,
    input_names,
    optional_names,
    probabilities,
    scaled,
    transform,
)

__all__ = [
    "ROLES",
    "TRAINING",
    "VALIDATION",
    "Cuts",
    "Roles",
    "Rows",
    "Scaled",
    "answers",
    "as_text",
    "assign",
    "class_name",
    "cut",
    "encode_target",
    "feature_names",
    "fit",
    "fit_statistics",
    "in_own_units",
    "input_names",
    "optional_names",
    "probabilities",
    "read_cuts",
    "scale",
    "scaled",
    "split",
    "transform",
]
