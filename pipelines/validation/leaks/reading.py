"""The rows and the counts that the firewall looks at; memory does not grow with the table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from gristmill.pipelines.tables import mix

Codes = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]

MOST_ROWS = 200_000
LEAST_ROWS = 25_000
MOST_CELLS = 20_000_000
"""Up to `MOST_ROWS` rows are looked at; of a wide table as many as make `MOST_CELLS` cells."""

MOST_HASHES = 1_000_000
"""Rows that are compared whole: those with the lowest hashes, so that equal rows stay together."""

RUN = 16
"""Rows are drawn in runs, so that neighbours can be compared."""

BATCH = 1 << 16
THREADS = 4
"""Row groups that are read at once, at most: each takes memory."""

_MISSING = np.uint64(0x6D697373696E6721)


@dataclass(frozen=True)
class Values:
    """The values of a column.

    Attributes:
        name: of the column.
        kind: how its levels are ordered: by number, by date, or as text.
        codes: (n_rows,) place of each value among the levels; -1 where it is missing.
        levels: (n_levels,) the different values in order; float64, or texts.
    """

    name: str
    kind: Literal["number", "date", "text"]
    codes: Codes
    levels: npt.NDArray[Any]

    def at(self, keep: Mask) -> Values:
        """The values of some rows; levels stay as they are."""
        return Values(self.name, self.kind, self.codes[keep], self.levels)


@dataclass(frozen=True)
class Looked:
    """The rows that are looked at: all of them, or as many as are enough for a proof.

    Attributes:
        table: these rows.
        places: (n_rows,) their numbers in the whole table, from 0, rising.
        total: rows of the whole table.
        hashes: a hash of the features of each row whose hash is among the lowest.
        hashed: (n_hashed,) the numbers of these rows.
    """

    table: pa.Table
    places: Rows
    total: int
    hashes: Hashes
    hashed: Rows

    @property
    def whole(self) -> bool:
        return len(self.places) == self.total


def look(table: Path, features: Sequence[str], target: str, known: Hashes | None = None) -> Looked:
    """Reads a table once: hashes every row's features, if these hashes are not known, and keeps the
    rows to look at.

    Runs of rows are drawn by a hash of their number, so that the same file gives the same rows.
    """
    with pa.parquet.ParquetFile(table) as file:
        groups = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    total = sum(groups)
    most = min(MOST_ROWS, max(LEAST_ROWS, MOST_CELLS // (len(features) + 1)))
    keep = _drawn(total, most)
    highest = np.uint64(min(1.0, MOST_HASHES / max(total, 1)) * (2**64 - 1025))
    starts = np.concatenate([[0], np.cumsum(groups)])

    def part(group: int) -> _Part:
        here = slice(starts[group], starts[group + 1])
        mine = None if known is None else known[here]
        return _read_part(table, group, [*features, target], keep[here], highest, mine)

    with ThreadPoolExecutor(min(THREADS, os.cpu_count() or 1)) as pool:
        parts = list(pool.map(part, range(len(groups))))
    rows = pa.Table.from_batches([batch for part in parts for batch in part.kept])
    hashed = [part.hashed + start for part, start in zip(parts, starts[:-1], strict=True)]
    hashes = np.concatenate([part.hashes for part in parts])
    return Looked(rows, np.flatnonzero(keep), total, hashes, np.concatenate(hashed))


@dataclass(frozen=True)
class _Part:
    kept: list[pa.RecordBatch]
    hashes: Hashes
    hashed: Rows


def _read_part(
    table: Path,
    group: int,
    columns: Sequence[str],
    keep: Mask,
    highest: np.uint64,
    known: Hashes | None,
) -> _Part:
    """One row group. Read in one go, pyarrow keeps every row group that it has passed."""
    kept, hashes, hashed, start = [], [], [], 0
    with pa.parquet.ParquetFile(table) as file:
        for batch in file.iter_batches(
            BATCH, row_groups=[group], columns=columns, use_threads=False
        ):
            found = (
                _row_hashes(batch, columns[:-1])
                if known is None
                else known[start : start + batch.num_rows]
            )
            low = np.flatnonzero(found <= highest)
            hashes.append(found[low])
            hashed.append(low + start)
            here = keep[start : start + batch.num_rows]
            kept.append(batch if here.all() else batch.filter(pa.array(here)))
            start += batch.num_rows
    return _Part(kept, np.concatenate(hashes), np.concatenate(hashed))


def values(name: str, column: pa.ChunkedArray) -> Values | None:
    """A column's levels and codes; None for what has no levels, such as bytes."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_temporal(kind):
        return _numbers(name, "date", column.cast(pa.int64()))
    if pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        column = column.cast(pa.uint8() if pa.types.is_boolean(kind) else pa.float64())
        return _numbers(name, "number", column)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return _numbers(name, "number", column)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _texts(name, column)
    return None


def whole_column(table: Path, name: str) -> Values | None:
    """A column of the whole table: for the last word on what the rows looked at show."""
    return values(name, pa.parquet.read_table(table, columns=[name])[name])


def _numbers(name: str, kind: Literal["number", "date"], column: pa.ChunkedArray) -> Values:
    numbers = column.to_numpy().astype(np.float64) + 0.0  # −0.0 becomes 0.0
    codes, levels = pd.factorize(numbers)
    order = np.argsort(levels)
    return Values(name, kind, _renumbered(codes, order), levels[order])


def _texts(name: str, column: pa.ChunkedArray) -> Values:
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pa.ChunkedArray):
        coded = coded.combine_chunks()
    order = pc.sort_indices(coded.dictionary).to_numpy()
    levels = coded.dictionary.to_numpy(zero_copy_only=False)
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return Values(name, "text", _renumbered(codes, order), levels[order])


def _renumbered(codes: npt.NDArray[Any], order: npt.NDArray[Any]) -> Codes:
    places = np.empty(len(order) + 1, dtype=np.int64)
    places[order] = np.arange(len(order))
    places[-1] = -1  # so that a missing value's code stays what it is
    return np.asarray(places[codes])


def _drawn(total: int, most: int) -> Mask:
    if most >= total:
        return np.ones(total, dtype=bool)
    drawn = np.zeros(total, dtype=bool)
    runs = -(-total // RUN)
    enough = most // RUN
    first = np.argpartition(mix(np.arange(runs, dtype=np.uint64)), enough)[:enough] * RUN
    rows = (first[:, None] + np.arange(RUN)).ravel()
    drawn[rows[rows < total]] = True
    return drawn


def _row_hashes(batch: pa.RecordBatch, features: Sequence[str]) -> Hashes:
    total = np.zeros(batch.num_rows, dtype=np.uint64)
    for name in features:
        total = mix(total ^ _bits(batch[name]))
    return total


def _bits(column: pa.Array) -> Hashes:
    """64 bits for each value, equal where the values are."""
    kind = column.type
    if pa.types.is_temporal(kind):
        column, kind = column.cast(pa.int64()), pa.int64()
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        numbers = column.to_numpy(zero_copy_only=False)
        if numbers.dtype == object:  # truth values with gaps
            numbers = column.cast(pa.uint8()).to_numpy(zero_copy_only=False)
        return np.asarray((numbers.astype(np.float64) + 0.0).view(np.uint64))
    if not pa.types.is_dictionary(kind):
        column = column.dictionary_encode()
    levels = np.array([str(level) for level in column.dictionary.to_pylist()], dtype=object)
    by_level = np.append(pd.util.hash_array(levels) if len(levels) else levels, _MISSING)
    codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return np.asarray(by_level.astype(np.uint64)[codes])
