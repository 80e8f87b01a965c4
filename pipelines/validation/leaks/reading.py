"""The rows and the counts that the firewall looks at; memory does not grow with the table."""

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
"""Up to `MOST_ROWS` rows are looked at; of a wide table as many as make `MOST_CELLS` cells."""

MOST_HASHES = 1_000_000
"""Rows that are compared whole: those with the lowest hashes, so that equal rows stay together."""

RUN = 16
"""Rows are drawn in runs, so that neighbours can be compared."""


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
    places: Places
    total: int
    hashes: Hashes
    hashed: Places

    @property
    def whole(self) -> bool:
        return len(self.places) == self.total


def look(table: Path, features: Sequence[str], target: str, known: Hashes | None = None) -> Looked:
    """Read the rows to look at, and hash every row's features where these are not known.

    Runs of rows are drawn by a hash of their number, so that the same file gives the same rows.
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
    """A column's levels and codes; None for what has no levels, such as bytes."""
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
    """A column of the whole table: for the last word on what the rows looked at show."""
    return values(name, read_column(table, name))


def _numbers(name: str, kind: Literal["number", "date"], column: pa.ChunkedArray) -> Values:
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    numbers = column.to_numpy().astype(np.float64) + 0.0  # −0.0 becomes 0.0
    codes, levels = pd.factorize(numbers)
    order = np.argsort(levels)
    return Values(name, kind, _renumbered(codes, order), levels[order])


def encoded(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """A column as one array of codes and levels."""
    coded = column.combine_chunks().dictionary_encode()
    return coded.combine_chunks() if isinstance(coded, pa.ChunkedArray) else coded


def ranks(codes: Codes) -> Floats:
    """(n_rows,) ranks from 1, equal values sharing the middle one."""
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
    places[-1] = -1  # so that a missing value's code stays what it is
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
