"""Rows of a table as pandas data frames."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from gristmill.pipelines.tables import TableRows, storage


def frames(
    rows: TableRows, columns: Sequence[str], plain: Collection[str] = ()
) -> Iterator[pd.DataFrame]:
    """Return an iterator over batches of rows.

    Args:
        rows: the rows.
        columns: columns to read.
        plain: text columns to read as strings; the others become categories.
    """
    return (to_frame(batch) for batch in rows.batches(columns, plain=plain))


def to_frame(batch: pa.RecordBatch) -> pd.DataFrame:
    """Convert a batch to pandas.

    Numbers become float64 with NaN, dictionary-encoded texts categories, dates datetime64[us] in
    UTC, booleans the nullable `boolean`.
    """
    pairs = zip(batch.schema.names, batch.columns, strict=True)
    return pd.DataFrame({name: _series(column) for name, column in pairs}, copy=False)


def _series(column: pa.Array) -> Any:
    kind = storage(column.type)
    if kind == "number" and not pa.types.is_dictionary(column.type):
        return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    if kind == "boolean":
        return column.to_pandas(types_mapper={pa.bool_(): pd.BooleanDtype()}.get)
    if kind == "date":
        return column.cast(pa.timestamp("us")).to_numpy(zero_copy_only=False)
    return column.to_pandas()
