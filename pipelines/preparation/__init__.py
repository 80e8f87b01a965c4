"""Roles for rows, and numbers for what stands in them."""

from pipelines.preparation.rows import Rows
from pipelines.preparation.scale import Scaled, scale
from pipelines.preparation.seen import (
    Seen,
    dates_of,
    group_of,
    read_seen,
    seen_rows,
    write_seen,
)
from pipelines.preparation.split import (
    ROLES,
    TRAINING,
    VALIDATION,
    Cuts,
    Roles,
    assign,
    cut,
    read_cuts,
    rows_of,
    split_table,
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
    "Seen",
    "answers",
    "as_text",
    "assign",
    "class_name",
    "cut",
    "dates_of",
    "encode_target",
    "feature_names",
    "fit",
    "fit_statistics",
    "group_of",
    "in_own_units",
    "input_names",
    "optional_names",
    "probabilities",
    "read_cuts",
    "read_seen",
    "rows_of",
    "scale",
    "scaled",
    "seen_rows",
    "split_table",
    "transform",
    "write_seen",
]
