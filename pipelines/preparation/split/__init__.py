"""A role for every row: a hash decides, frozen cuts make it exact."""

from pipelines.preparation.split.hashed import cut
from pipelines.preparation.split.record import (
    ROLES,
    TEST,
    TRAINING,
    UNUSED,
    VALIDATION,
    Cuts,
    Roles,
    read_cuts,
)
from pipelines.preparation.split.roles import Assigned, assign, split_table, test_twins
from pipelines.preparation.split.rows import Rows, rows_in, rows_of

__all__ = [
    "ROLES",
    "TEST",
    "TRAINING",
    "UNUSED",
    "VALIDATION",
    "Assigned",
    "Cuts",
    "Roles",
    "Rows",
    "assign",
    "cut",
    "read_cuts",
    "rows_in",
    "rows_of",
    "split_table",
    "test_twins",
]
