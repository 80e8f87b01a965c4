"""Rows of a table as pandas has them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from gristmill.pipelines.tables import TableRows, storage


def frames(
    rows: TableRows, columns: Sequence[str], plain: Collection[str] = ()
) -> Iterator[pd.DataFrame]:
    """The rows batch by batch, text as categories but for the columns named in `plain`."""
    return (to_frame(batch) for batch in rows.batches(columns, plain=plain))


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
