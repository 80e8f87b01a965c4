"""Changes: what is different between two versions of a table, by the content of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from gristmill.pipelines.preparation.split import TRAINING, VALIDATION
from gristmill.pipelines.tables import Hashes, row_hashes

BATCH = 1 << 16
"""Rows that are in memory at a time, beside 8 bytes for each row of both tables."""


@dataclass(frozen=True)
class Changes:
    """From an old version to a new one.

    Attributes:
        before, after: numbers of rows.
        added, removed: rows, by content and how often it stands there; a changed row is both.
        shared: the columns by which rows were compared: in both versions, of one kind.
        new_columns, lost_columns: by name.
        retyped: for a column of both versions: name, old type, new type.
    """

    before: int
    after: int
    added: int
    removed: int
    shared: tuple[str, ...]
    new_columns: tuple[str, ...]
    lost_columns: tuple[str, ...]
    retyped: tuple[tuple[str, str, str], ...]


def table_changes(old: Path, new: Path) -> Changes:
    """Compares two Parquet tables; memory grows by 8 bytes a row, not with the columns."""
    first, second = _opened(old), _opened(new)
    before, after = first.schema_arrow, second.schema_arrow
    both = [name for name in before.names if name in after.names]
    kinds = {name: (before.field(name).type, after.field(name).type) for name in both}
    shared = [name for name, pair in kinds.items() if _kind(pair[0]) == _kind(pair[1])]
    added, removed = _unmatched(_hashes(first, shared), _hashes(second, shared))
    return Changes(
        first.metadata.num_rows,
        second.metadata.num_rows,
        added,
        removed,
        tuple(shared),
        tuple(name for name in after.names if name not in kinds),
        tuple(name for name in before.names if name not in kinds),
        tuple((name, str(a), str(b)) for name, (a, b) in kinds.items() if a != b),
    )


def changed_columns(old: Path, new: Path, columns: Sequence[str]) -> list[str]:
    """Those of some columns whose values, as a bag, differ between two Parquet tables."""
    first, second = _opened(old), _opened(new)
    return [
        name
        for name in columns
        if _unmatched(_hashes(first, [name]), _hashes(second, [name])) != (0, 0)
    ]


def changed_roles(old: Path, new: Path) -> int:
    """How many rows have another role or fold, of two `roles.parquet` of one table."""
    before, after = pa.parquet.read_table(old), pa.parquet.read_table(new)
    names = [name for name in ("role", "fold") if name in before.schema.names]
    if names != [name for name in ("role", "fold") if name in after.schema.names]:
        return int(after.num_rows)
    differ = np.zeros(after.num_rows, dtype=bool)
    for name in names:
        differ |= before[name].to_numpy() != after[name].to_numpy()
    return int(np.count_nonzero(differ))


def rows_to_learn_from(roles: Path) -> int:
    """Rows in the roles training and validation of a `roles.parquet`."""
    role = pa.parquet.read_table(roles, columns=["role"])["role"].to_numpy()
    return int(np.count_nonzero(np.isin(role, (TRAINING, VALIDATION))))


def _opened(table: Path) -> pa.parquet.ParquetFile:
    # with `pre_buffer`, the default, the whole file would be read into memory
    return pa.parquet.ParquetFile(table, pre_buffer=False, buffer_size=1 << 20)


def _kind(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return "number"  # equal values hash alike
    return "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else str(kind)


def _hashes(file: pa.parquet.ParquetFile, columns: Sequence[str]) -> Hashes:
    """(n_rows,) uint64"""
    if not columns:
        return np.zeros(file.metadata.num_rows, dtype=np.uint64)
    parts = [
        row_hashes(batch, columns)
        for batch in file.iter_batches(batch_size=BATCH, columns=list(columns))
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)


def _unmatched(old: Hashes, new: Hashes) -> tuple[int, int]:
    """How many rows only the new, and only the old version has, as bags."""
    left, times_left = np.unique(old, return_counts=True)
    right, times_right = np.unique(new, return_counts=True)
    _, at_left, at_right = np.intersect1d(left, right, assume_unique=True, return_indices=True)
    kept = int(np.minimum(times_left[at_left], times_right[at_right]).sum())
    return len(new) - kept, len(old) - kept
