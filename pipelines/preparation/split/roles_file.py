"""The file `roles.parquet`: role, identity, twin mark and optionally fold of each row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from gristmill.pipelines.base import writing
from gristmill.pipelines.preparation.split.cuts_file import TEST, TRAINING, VALIDATION, RoleCodes
from gristmill.pipelines.tables import Flags, Hashes, column_names, read_column

LEFT_OUT = b"left out"
"""Key of the file's metadata with the columns that are not features, because they came later."""


def write_roles(
    file: Path,
    roles: RoleCodes,
    identities: Hashes,
    twins: Flags,
    folds: RoleCodes | None = None,
    left_out: Sequence[str] = (),
) -> None:
    """Write one row for each row of the table, in its order.

    Args:
        file: `roles.parquet`.
        roles: (n_rows,) int8, indices into `ROLES`.
        identities: (n_rows,) uint64, identifies a row across versions of the data.
        twins: (n_rows,) bool, marks test rows with the same features as a training row.
        folds: (n_rows,) int8, −1 for test rows; None without folds.
        left_out: columns that are not features, because they came after the first split.
    """
    columns = {"role": roles, "identity": identities, "twin": twins}
    if folds is not None:
        columns["fold"] = folds
    table = pa.table(columns)
    if left_out:
        table = table.replace_schema_metadata({LEFT_OUT: json.dumps([*left_out])})
    with writing(file) as aside:
        pa.parquet.write_table(table, aside, compression="zstd")


def read_left_out(file: Path) -> list[str]:
    """Return the columns that are not features, because they came after the first split."""
    about = pa.parquet.read_schema(file).metadata or {}
    return [str(name) for name in json.loads(about.get(LEFT_OUT, b"[]"))]


def read_roles(file: Path) -> RoleCodes:
    """Return the role of each row: (n_rows,) int8."""
    roles: RoleCodes = read_column(file, "role").to_numpy()
    return roles


def read_folds(file: Path) -> RoleCodes | None:
    """Return the fold of each row, −1 for test rows: (n_rows,) int8; None without folds."""
    return read_column(file, "fold").to_numpy() if "fold" in column_names(file) else None


def read_twins(file: Path) -> Flags:
    """Return which test rows equal a training row: (n_test,) bool; none if twins are not marked."""
    test = read_roles(file) == TEST
    if "twin" not in column_names(file):
        return np.zeros(int(test.sum()), dtype=np.bool_)
    marked: Flags = read_column(file, "twin").to_numpy()[test]
    return marked


def changed_roles(old: Path, new: Path) -> int:
    """Return how many rows have another role or fold, in two files of the same table."""
    before, after = read_roles(old), read_roles(new)
    folds = read_folds(old), read_folds(new)
    if (folds[0] is None) != (folds[1] is None):
        return len(after)
    differ = before != after
    if folds[0] is not None:
        differ |= folds[0] != folds[1]
    return int(np.count_nonzero(differ))


def rows_to_learn_from(file: Path) -> int:
    """Return the number of training and validation rows."""
    return int(np.count_nonzero(np.isin(read_roles(file), (TRAINING, VALIDATION))))
