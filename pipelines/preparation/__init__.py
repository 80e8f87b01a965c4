"""Roles for rows, and numbers for what stands in them."""

from pipelines.preparation.scale import Scaled, fit_statistics, scale
from pipelines.preparation.split import ROLES, Cuts, Roles, assign, cut, read_cuts, split
from pipelines.preparation.transform import (
    answers,
    encode_target,
    feature_names,
    probabilities,
    transform,
)

__all__ = [
    "ROLES",
    "Cuts",
    "Roles",
    "Scaled",
    "answers",
    "assign",
    "cut",
    "encode_target",
    "feature_names",
    "fit_statistics",
    "probabilities",
    "read_cuts",
    "scale",
    "split",
    "transform",
]
