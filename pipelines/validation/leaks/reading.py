"""The rows and values that the firewall checks, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gristmill.pipelines.tables import (
    Flags,
    Floats,
    Hashes,
    Places,
    TableRows,
    mix,
    read_column,
    storage,
)

Codes = npt.NDArray[np.int64]

MOST_ROWS = 200_000
LEAST_ROWS = 25_000
MOST_CELLS = 20_000_000
"""Up to `MOST_ROWS` rows are checked; of a wide table as many as make `MOST_CELLS` cells."""

MOST_HASHES = 1_000_000
"""Rows that are compared as a whole: those with the lowest hashes, so that equal rows are kept
together."""

RUN = 16
"""Length of the runs in which rows are sampled, so that neighbours can be compared."""


@dataclass(frozen=True)
class Values:
    """The values of a column.

    Attributes:
        name: name of the column.
        kind: the order of the levels: by number, by date, or as text.
        codes: (n_rows,) position of each value in the levels; -1 if it is missing.
        levels: (n_levels,) the different values in order; float64, or texts.
    """

    name: str
    kind: Literal["number", "date", "text"]
    codes: Codes
    levels: npt.NDArray[Any]


@dataclass(frozen=True)
class Looked:
    """The rows that are checked: all of them, or a sample that is large enough for a proof.

    Attributes:
        table: the sampled rows.
        places: (n_rows,) their numbers in the whole table, from 0, ascending.
        total: number of rows in the whole table.
        hashes: (n_hashed,) uint64 hashes of the features, of the rows with the lowest hashes.
        hashed: (n_hashed,) numbers of the rows of `hashes`.
    """

    table: pa.Table
    places: Places
    total: int
    hashes: Hashes
    hashed: Places

    @property
    def whole(self) -> bool:
        return len(self.places) == self.total


def look(table: Path, features: Sequence[str], target: str, known: Hashes | None = None) -> Looked:
    """Sample the rows to check, and hash the features of every row if the hashes are not known.

    A hash of their number selects runs of rows, so that the sample of a file is always the same.

    Args:
        table: the Parquet file.
        features: the feature columns.
        target: the target column.
        known: (n_rows,) uint64 hashes of all features, if known.
    """
    rows = TableRows(table)
    most = min(MOST_ROWS, max(LEAST_ROWS, MOST_CELLS // (len(features) + 1)))
    keep = _drawn(rows.count, most)
    columns = [*features, target]
    kept = TableRows(table, keep).batches(columns, plain=columns)
    schema = pa.schema([rows.schema.field(name) for name in columns])
    hashes = rows.hashes(features) if known is None else known
    highest = np.uint64(min(1.0, MOST_HASHES / max(rows.count, 1)) * (2**64 - 1025))
    low = np.flatnonzero(hashes <= highest)
    looked = pa.Table.from_batches(kept, schema)
    return Looked(looked, np.flatnonzero(keep), rows.count, hashes[low], low)


def values(name: str, column: pa.ChunkedArray) -> Values | None:
    """Return a column's levels and codes; None for a type without levels, such as bytes."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = storage(column.type)
    if kind == "text":
        return _texts(name, column)
    if kind == "date":
        return _numbers(name, "date", column.cast(pa.int64()))
    if kind == "boolean":
        column = column.cast(pa.uint8())
    return _numbers(name, "number", column) if kind in ("number", "boolean") else None


def whole_column(table: Path, name: str) -> Values | None:
    """Read a column of the whole table, to verify a finding of the sample."""
    return values(name, read_column(table, name))


def _numbers(name: str, kind: Literal["number", "date"], column: pa.ChunkedArray) -> Values:
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64(), safe=False)
    numbers = column.to_numpy().astype(np.float64) + 0.0  # −0.0 becomes 0.0
    codes, levels = pd.factorize(numbers)
    order = np.argsort(levels)
    return Values(name, kind, _renumbered(codes, order), levels[order])


def encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Return a column as one array of codes and levels."""
    coded = column.combine_chunks().dictionary_encode()
    return coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded


def ranks(codes: Codes) -> Floats:
    """Return (n_rows,) ranks from 1; equal values have the mean of their ranks."""
    counts = np.bincount(codes)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[codes])


def _texts(name: str, column: pa.ChunkedArray) -> Values:
    coded = encoded(column)
    order = pc.sort_indices(coded.dictionary).to_numpy()
    levels = coded.dictionary.to_numpy(zero_copy_only=False)
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return Values(name, "text", _renumbered(codes, order), levels[order])


def _renumbered(codes: npt.NDArray[Any], order: npt.NDArray[Any]) -> Codes:
    places = np.empty(len(order) + 1, dtype=np.int64)
    places[order] = np.arange(len(order))
    places[-1] = -1  # keeps the code of missing values
    return np.asarray(places[codes])


def _drawn(total: int, most: int) -> Flags:
    if most >= total:
        return np.ones(total, dtype=bool)
    drawn = np.zeros(total, dtype=bool)
    runs = -(-total // RUN)
    enough = most // RUN
    first = np.argpartition(mix(np.arange(runs, dtype=np.uint64)), enough)[:enough] * RUN
    rows = (first[:, None] + np.arange(RUN)).ravel()
    drawn[rows[rows < total]] = True
    return drawn
