"""Differences between two versions of a table, by the content of their rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from gristmill.pipelines.tables.hashing import Hashes
from gristmill.pipelines.tables.table_rows import TableRows, storage


@dataclass(frozen=True)
class Changes:
    """Changes from an old version of a table to a new one.

    Attributes:
        before, after: numbers of rows.
        added, removed: numbers of rows that only the new or only the old version has, duplicates
            counted; a changed row counts in both.
        shared: the columns by which rows were compared: those of the same kind in both versions.
        new_columns, lost_columns: names of columns that only the new or only the old version has.
        retyped: columns whose type changed, as (name, old type, new type).
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
    """Compare two Parquet tables; memory grows by 8 bytes per row, not with the columns."""
    first, second = TableRows(old), TableRows(new)
    both = [name for name in first.names if name in second.names]
    kinds = {n: (first.schema.field(n).type, second.schema.field(n).type) for n in both}
    shared = [name for name, pair in kinds.items() if _kind(pair[0]) == _kind(pair[1])]
    added, removed = _unmatched(first.hashes(shared), second.hashes(shared))
    return Changes(
        first.count,
        second.count,
        added,
        removed,
        tuple(shared),
        tuple(name for name in second.names if name not in kinds),
        tuple(name for name in first.names if name not in kinds),
        tuple((name, str(a), str(b)) for name, (a, b) in kinds.items() if a != b),
    )


def changed_columns(old: Path, new: Path, columns: Sequence[str]) -> list[str]:
    """Return the columns whose values differ between two Parquet tables, whatever their order.

    Args:
        old, new: the tables.
        columns: the names to compare; each is in both tables.
    """
    first, second = TableRows(old), TableRows(new)
    return [n for n in columns if _unmatched(first.hashes([n]), second.hashes([n])) != (0, 0)]


def _kind(kind: pa.DataType) -> str:
    alike = {
        "number": "number",
        "boolean": "number",
        "text": "text",
    }  # equal values have equal hashes
    return alike.get(storage(kind), str(kind))


def _unmatched(old: Hashes, new: Hashes) -> tuple[int, int]:
    """Return how many rows only the new and only the old version has, duplicates counted."""
    left, times_left = np.unique(old, return_counts=True)
    right, times_right = np.unique(new, return_counts=True)
    _, at_left, at_right = np.intersect1d(left, right, assume_unique=True, return_indices=True)
    kept = int(np.minimum(times_left[at_left], times_right[at_right]).sum())
    return len(new) - kept, len(old) - kept
