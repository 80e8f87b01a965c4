"""A role for every row: a hash decides, frozen cuts make it exact."""

from pipelines.preparation.split.roles import (
    ROLES,
    TEST,
    TRAINING,
    VALIDATION,
    Cuts,
    Roles,
    assign,
    cut,
    read_cuts,
    split,
)

__all__ = [
    "ROLES",
    "TEST",
    "TRAINING",
    "VALIDATION",
    "Cuts",
    "Roles",
    "assign",
    "cut",
    "read_cuts",
    "split",
]
