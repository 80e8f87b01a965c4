"""Roles given in a column of the data."""

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
"""Accepted names of the roles; case is ignored."""


def given_roles(rows: TableRows, column: str) -> RoleCodes:
    """Return each row's role from a column, (n_rows,) int8.

    Raises:
        DataInvalid: values are not roles, or there are no training or no test rows.
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
            f"the column '{column}' has values that are not roles",
            problems=strange,
            next="fix them at the source, or use another column: split: {given: …}",
        )
    by_name = np.array([WORDS[name.strip().lower()] for name in names], dtype=np.int8)
    roles = by_name[codes]
    for role in (TRAINING, TEST):
        if not (by_name == role).any():
            raise DataInvalid(
                f"the column '{column}' names no {ROLES[role]} rows",
                expected="training and test rows",
                found=", ".join(names),
                next="set split.test to a share, to split the rows by hash",
            )
    return roles
