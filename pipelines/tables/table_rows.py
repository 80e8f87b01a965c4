"""The table a batch at a time: memory holds a number or two a row, never the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from gristmill.pipelines.base import side_by_side
from gristmill.pipelines.tables.hashing import Hashes, row_hashes

BATCH = 8 << 20
"""Bytes of a batch, more or less."""

BUFFER = 1 << 16
"""Bytes that are read ahead of a column."""

SMALLEST = 64
"""Rows of a batch at least."""

VALUE = 8
"""Bytes of a value, but for pictures."""

MISSING = "<NA>"
"""The label of a missing value."""


@dataclass(frozen=True)
class Rows:
    """Rows that can be read again and again, some columns at a time.

    Attributes:
        schema: of the columns.
        count: how many rows there are.
        read: batches of some columns, of so many rows at most.
    """

    schema: pa.Schema
    count: int
    read: Callable[[list[str], int], Iterator[pa.RecordBatch]]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        return tuple(self.schema.names)

    def batches(self, columns: Sequence[str]) -> Iterator[tuple[slice, pa.RecordBatch]]:
        """Batches of some columns, each with its place among the rows."""
        start = 0
        width = sum(_width(self.schema.field(name).type) for name in columns)
        for batch in self.read(list(columns), max(SMALLEST, BATCH // max(width, 1))):
            yield slice(start, start + batch.num_rows), batch
            start += batch.num_rows

    def hashes(self, columns: Sequence[str]) -> Hashes:
        """The hash of each row's content in some columns: (n_rows,) uint64."""
        made = np.empty(self.count, dtype=np.uint64)
        pieces = self.batches(columns)
        for (place, _), hashes in side_by_side(pieces, lambda piece: row_hashes(piece[1], columns)):
            made[place] = hashes
        return made

    def labels(self, column: str) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
        """A column as codes: (n_rows,) int32 places in the texts of its different values.

        A missing value is a value of its own, `MISSING`.
        """
        codes = np.empty(self.count, dtype=np.int32)
        known: dict[str, int] = {}
        for place, batch in self.batches([column]):
            values = batch.column(0)
            if not pa.types.is_dictionary(values.type):
                values = values.dictionary_encode("encode")
            levels = [_label(value) for value in values.dictionary.to_pylist()]
            places = values.indices
            if places.null_count:  # as in a column that was read as a dictionary
                places = places.cast(pa.int64()).fill_null(len(levels))
                levels.append(MISSING)
            by_level = [known.setdefault(level, len(known)) for level in levels]
            codes[place] = np.asarray(by_level, dtype=np.int32)[np.asarray(places)]
        return codes, tuple(known)

    def numbers(self, column: str) -> npt.NDArray[np.float64]:
        """A column as (n_rows,) float64, NaN where a value is missing."""
        made = np.empty(self.count)
        for place, batch in self.batches([column]):
            made[place] = batch.column(0).cast(pa.float64(), safe=False).to_numpy(False)
        return made

    def value(self, column: str, row: int) -> Any:
        """One value."""
        for place, batch in self.batches([column]):
            if place.start <= row < place.stop:
                return batch.column(0)[row - place.start].as_py()
        raise IndexError(row)


def rows_of(file: Path) -> Rows:
    """The rows of a Parquet file."""
    # with `pre_buffer`, the default, the whole file would be read into memory
    schema = pa.parquet.read_schema(file)
    texts = [field.name for field in schema if pa.types.is_string(field.type)]
    opened = pa.parquet.ParquetFile(
        file, pre_buffer=False, buffer_size=BUFFER, read_dictionary=texts
    )

    def read(columns: list[str], size: int) -> Iterator[pa.RecordBatch]:
        yield from opened.iter_batches(size, columns=columns)

    return Rows(schema, opened.metadata.num_rows, read)


def rows_in(table: pa.Table) -> Rows:
    """The rows of a table in memory."""

    def read(columns: list[str], size: int) -> Iterator[pa.RecordBatch]:
        yield from table.select(columns).to_batches(size)

    return Rows(table.schema, table.num_rows, read)


def _width(kind: pa.DataType) -> int:
    return int(kind.byte_width) if pa.types.is_fixed_size_binary(kind) else VALUE


def _label(value: Any) -> str:
    return MISSING if value is None else str(value)
