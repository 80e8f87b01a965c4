"""Roles that the data bring along: a column that names each row's."""

from __future__ import annotations

import numpy as np

from gristmill.pipelines.base import DataInvalid, Problem
from gristmill.pipelines.preparation.split.cuts_file import (
    ROLES,
    TEST,
    TRAINING,
    VALIDATION,
    RoleCodes,
)
from gristmill.pipelines.tables import MISSING, TableRows

WORDS = {
    **dict.fromkeys(("train", "training"), TRAINING),
    **dict.fromkeys(("valid", "validation", "val", "dev"), VALIDATION),
    "test": TEST,
}
"""What a role may be called, in any case."""


def given_roles(rows: TableRows, column: str) -> RoleCodes:
    """Each row's role by what the column says: (n_rows,) int8.

    Raises:
        DataInvalid: values that name no role, or no training or no test rows.
    """
    codes, names = rows.labels(column)
    counts = np.bincount(codes, minlength=len(names))
    strange = [
        Problem(
            f"{column}: {name}",
            "one of " + ", ".join(WORDS),
            f"{count:,} rows",
            "these rows have no value" if name == MISSING else "",
        )
        for name, count in zip(names, counts, strict=True)
        if name.strip().lower() not in WORDS
    ]
    if strange:
        raise DataInvalid(
            f"the column '{column}' has values that name no role",
            problems=strange,
            next="mend them at the source, or name another column: split: {given: …}",
        )
    by_name = np.array([WORDS[name.strip().lower()] for name in names], dtype=np.int8)
    roles = by_name[codes]
    for role in (TRAINING, TEST):
        if not (by_name == role).any():
            raise DataInvalid(
                f"the column '{column}' names no {ROLES[role]} rows",
                expected="training and test rows",
                found=", ".join(names),
                next="set split.test to a share, and the rows are split here",
            )
    return roles
