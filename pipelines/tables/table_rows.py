"""Tables read in batches: memory holds one or two numbers per row, never the rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet

from gristmill.pipelines.base import side_by_side
from gristmill.pipelines.tables.hashing import Flags, Floats, Hashes, row_hashes

Storage = Literal["number", "boolean", "date", "text", "picture", "other"]

BATCH = 1 << 16
"""Default number of rows of a batch."""

BATCH_BYTES = 8 << 20
"""Approximate bytes of a batch, if its number of rows is computed from its columns."""

BUFFER = 1 << 16
"""Bytes of each column that are read ahead."""

SMALLEST = 64
"""Minimum number of rows of a batch, if it is computed from its columns."""

VALUE = 8
"""Assumed bytes of a value, except of pictures."""

MISSING = "<NA>"
"""The label of a missing value."""


@dataclass(frozen=True)
class TableRows:
    """Some rows of a Parquet file or of a table in memory; each method reads them again.

    Attributes:
        source: the file or the table.
        keep: (n_rows_of_source,) bool, the rows to read; None for all.
    """

    source: Path | pa.Table
    keep: Flags | None = None

    @cached_property
    def _footer(self) -> pa.parquet.FileMetaData:
        return pa.parquet.read_metadata(self.source)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns' names and types."""
        if isinstance(self.source, pa.Table):
            return self.source.schema
        return self._footer.schema.to_arrow_schema()

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(self.schema.names)

    @cached_property
    def count(self) -> int:
        """The number of rows to read."""
        if self.keep is not None:
            return int(np.count_nonzero(self.keep))
        source = self.source if isinstance(self.source, pa.Table) else self._footer
        return int(source.num_rows)

    def storage(self, name: str) -> Storage:
        """Return the kind of a column's values."""
        return storage(self.schema.field(name).type)

    def batches(
        self,
        columns: Sequence[str] | None = None,
        *,
        plain: Collection[str] = (),
        size: int = BATCH,
    ) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, in batches.

        Args:
            columns: names of the columns; None for all.
            plain: text columns to read as plain strings; others from a file are
                dictionary-encoded.
            size: rows of the source per batch, before `keep` is applied.
        """
        start = 0
        for batch in self._read(columns, plain, size):
            here = slice(start, start + batch.num_rows)
            start = here.stop
            yield batch if self.keep is None else batch.filter(pa.array(self.keep[here]))

    def _read(
        self, columns: Sequence[str] | None, plain: Collection[str], size: int
    ) -> Iterator[pa.RecordBatch]:
        names = self.schema.names if columns is None else list(columns)
        if isinstance(self.source, pa.Table):
            yield from self.source.select(names).to_batches(max_chunksize=size)
            return
        texts = [name for name in names if name not in plain and self.storage(name) == "text"]
        with pa.parquet.ParquetFile(
            self.source,
            metadata=self._footer,
            read_dictionary=texts,
            pre_buffer=False,  # or the whole file would be read into memory
            buffer_size=BUFFER,
        ) as file:
            yield from file.iter_batches(batch_size=size, columns=names)

    def pieces(
        self, columns: Sequence[str], *, plain: Collection[str] = (), size: int | None = None
    ) -> Iterator[tuple[slice, pa.RecordBatch]]:
        """Yield batches, each with its position among the rows.

        Args:
            columns: names of the columns.
            plain: text columns to read as plain strings, see `batches`.
            size: rows of the source per batch; by default as many as give about `BATCH_BYTES`.
        """
        start = 0
        if size is None:
            width = sum(_width(self.schema.field(name).type) for name in columns)
            size = max(SMALLEST, BATCH_BYTES // max(width, 1))
        for batch in self.batches(columns, plain=plain, size=size):
            yield slice(start, start + batch.num_rows), batch
            start += batch.num_rows

    def hashes(self, columns: Sequence[str]) -> Hashes:
        """Return the hash of each row's content in some columns: (n_rows,) uint64."""
        made = np.zeros(self.count, dtype=np.uint64)
        pieces = self.pieces(columns) if columns else ()
        for (place, _), hashes in side_by_side(pieces, lambda piece: row_hashes(piece[1], columns)):
            made[place] = hashes
        return made

    def labels(self, column: str) -> tuple[npt.NDArray[np.int32], tuple[str, ...]]:
        """Return a column as codes, and the texts of its distinct values.

        Returns:
            (n_rows,) int32 positions in the texts; the texts. A missing value has the text
            `MISSING`.
        """
        codes = np.empty(self.count, dtype=np.int32)
        known: dict[str, int] = {}
        for place, batch in self.pieces([column]):
            values = batch.column(0)
            if not pa.types.is_dictionary(values.type):
                values = values.dictionary_encode("encode")
            levels = [MISSING if v is None else str(v) for v in values.dictionary.to_pylist()]
            places = values.indices
            if places.null_count:  # as in a column that was read as a dictionary
                places = places.cast(pa.int64()).fill_null(len(levels))
                levels.append(MISSING)
            by_level = [known.setdefault(level, len(known)) for level in levels]
            codes[place] = np.asarray(by_level, dtype=np.int32)[np.asarray(places)]
        return codes, tuple(known)

    def numbers(self, column: str) -> Floats:
        """Return a column as (n_rows,) float64, with NaN for missing values."""
        made = np.empty(self.count)
        for place, batch in self.pieces([column]):
            made[place] = batch.column(0).cast(pa.float64(), safe=False).to_numpy(False)
        return made

    def value(self, column: str, row: int) -> Any:
        """Return one value of a column."""
        for place, batch in self.pieces([column]):
            if place.start <= row < place.stop:
                return batch.column(0)[row - place.start].as_py()
        raise IndexError(row)


def column_names(table: Path) -> list[str]:
    """Return the column names of a Parquet file, from its footer."""
    return list(TableRows(table).names)


def read_column(table: Path, name: str) -> pa.ChunkedArray:
    """Read a whole column of a Parquet file."""
    return pa.parquet.read_table(table, columns=[name])[name]


def _width(kind: pa.DataType) -> int:
    return int(kind.byte_width) if pa.types.is_fixed_size_binary(kind) else VALUE


def storage(kind: pa.DataType) -> Storage:
    """Return the kind of values that an Arrow type holds."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_boolean(kind):
        return "boolean"
    if any(is_it(kind) for is_it in (types.is_integer, types.is_floating, types.is_decimal)):
        return "number"
    if types.is_null(kind):
        return "number"  # no value in any row; the stage `scale` reports it
    if types.is_timestamp(kind) or types.is_date(kind):
        return "date"
    if types.is_fixed_size_binary(kind):
        return "picture"
    return "text" if types.is_string(kind) or types.is_large_string(kind) else "other"
