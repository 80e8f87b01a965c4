"""The rows of a table, read piece by piece: memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

Storage = Literal["number", "boolean", "date", "text", "picture", "other"]

BATCH = 65_536
"""Rows that are read at a time."""


@dataclass(frozen=True)
class Rows:
    """Some rows of a Parquet file or of a table in memory.

    Attributes:
        source: the file or the table.
        keep: (n_rows,) bool, the rows to read; None for all.
    """

    source: Path | pa.Table
    keep: Any = None

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns' names and types."""
        if isinstance(self.source, pa.Table):
            return self.source.schema
        return pa.parquet.read_schema(self.source)

    @property
    def count(self) -> int:
        """How many rows are read."""
        if self.keep is not None:
            return int(np.count_nonzero(self.keep))
        if isinstance(self.source, pa.Table):
            return int(self.source.num_rows)
        return int(pa.parquet.read_metadata(self.source).num_rows)

    def storage(self, name: str) -> Storage:
        """What a column's values are in the table."""
        return storage(self.schema.field(name).type)

    def batches(
        self, names: Sequence[str] | None = None, plain: Collection[str] = (), size: int = BATCH
    ) -> Iterator[pa.RecordBatch]:
        """The rows in their order; text as dictionaries, but for the columns named in `plain`."""
        start = 0
        for batch in self._read(names, plain, size):
            kept = batch
            if self.keep is not None:
                kept = batch.filter(pa.array(self.keep[start : start + batch.num_rows]))
            start += batch.num_rows
            yield kept

    def frames(
        self, names: Sequence[str] | None = None, plain: Collection[str] = (), size: int = BATCH
    ) -> Iterator[pd.DataFrame]:
        """The same as frames; see `to_frame`."""
        return (to_frame(batch) for batch in self.batches(names, plain, size))

    def _read(
        self, names: Sequence[str] | None, plain: Collection[str], size: int
    ) -> Iterator[pa.RecordBatch]:
        if isinstance(self.source, pa.Table):
            chosen = self.source if names is None else self.source.select(list(names))
            yield from chosen.to_batches(max_chunksize=size)
            return
        texts = [f.name for f in self.schema if storage(f.type) == "text" and f.name not in plain]
        with pa.parquet.ParquetFile(
            self.source, read_dictionary=texts, pre_buffer=False, buffer_size=1 << 20
        ) as file:
            yield from file.iter_batches(batch_size=size, columns=names)


def storage(kind: pa.DataType) -> Storage:
    """What values of an Arrow type are."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_boolean(kind):
        return "boolean"
    if any(is_it(kind) for is_it in (types.is_integer, types.is_floating, types.is_decimal)):
        return "number"
    if types.is_null(kind):
        return "number"  # no value in any row, which is said when it is scaled
    if types.is_timestamp(kind) or types.is_date(kind):
        return "date"
    if types.is_fixed_size_binary(kind):
        return "picture"
    return "text" if types.is_string(kind) or types.is_large_string(kind) else "other"


def to_frame(batch: pa.RecordBatch) -> pd.DataFrame:
    """Arrow's columns as pandas has them: float64 numbers with NaN, texts as categories, dates in
    UTC, booleans that may be missing."""
    pairs = zip(batch.schema.names, batch.columns, strict=True)
    return pd.DataFrame({name: _series(column) for name, column in pairs}, copy=False)


def _series(column: pa.Array) -> Any:
    kind = storage(column.type)
    if kind == "number" and not pa.types.is_dictionary(column.type):
        return column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    if kind == "boolean":
        return column.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
    if kind == "date":
        return column.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    return column.to_pandas()
