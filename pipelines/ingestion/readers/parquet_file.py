"""Parquet files, with their types converted to the few of an ingested table."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.pipelines.config import Data
from gristmill.pipelines.ingestion.readers.faults import broken, check_names, unreadable
from gristmill.pipelines.ingestion.readers.type_inference import Batches, RowStream
from gristmill.pipelines.ingestion.readers.value_kinds import MOMENT

SUFFIXES = (".parquet", ".pq")

ROWS = 1 << 16
"""Rows in memory at a time."""

BUFFER = 1 << 20
"""Bytes of a column that are read ahead; without a limit it would be a whole row group."""


def read(raw: Path, data: Data | None, not_numbers: Collection[str]) -> RowStream:
    """Read the columns and rows of a Parquet file, piece by piece.

    Raises:
        InputError: the file is damaged, or has nested columns or unsupported types.
    """
    try:
        file = pq.ParquetFile(raw, buffer_size=BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise broken(raw, error) from error
    check_names(raw, file.schema_arrow.names)
    nested = [field.name for field in file.schema_arrow if pa.types.is_nested(field.type)]
    if nested:
        raise unreadable(raw, "flat columns", "nested columns: " + ", ".join(nested[:10]))
    kinds = [_canonical(field.type, field.name not in not_numbers) for field in file.schema_arrow]
    schema = pa.schema(list(zip(file.schema_arrow.names, kinds, strict=True)))
    return RowStream(schema, _batches(raw, file, schema))


def _batches(raw: Path, file: pq.ParquetFile, schema: pa.Schema) -> Batches:
    with file:
        try:
            for batch in file.iter_batches(batch_size=ROWS):
                columns = [_cast(c, f.type) for c, f in zip(batch.columns, schema, strict=True)]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)
        except (pa.ArrowException, OSError) as error:
            raise broken(raw, error) from error


def _canonical(kind: pa.DataType, numbers: bool) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return _canonical(kind.value_type, numbers)
    if pa.types.is_boolean(kind):
        return pa.bool_()
    if numbers and (pa.types.is_integer(kind) or pa.types.is_null(kind)):
        return pa.int64()
    if numbers and (pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return pa.float64()
    return MOMENT if pa.types.is_date(kind) or pa.types.is_timestamp(kind) else pa.string()


def _cast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_timestamp(column.type):  # nanoseconds are truncated, not refused
        return column.cast(pa.timestamp("us", column.type.tz), safe=False).cast(kind)
    return column.cast(kind, safe=not pa.types.is_date64(column.type))


def index_columns(raw: Path) -> list[str]:
    """Return the columns that were the index of a pandas data frame, by the file's metadata.

    Args:
        raw: a file, or a folder of parts; there are none if it is not a Parquet file.
    """
    files = sorted(raw.iterdir()) if raw.is_dir() else [raw]
    first = next((file for file in files if file.suffix.lower() in SUFFIXES), None)
    if first is None:
        return []
    about = json.loads((pq.read_schema(first).metadata or {}).get(b"pandas", b"{}"))
    return [name for name in about.get("index_columns", []) if isinstance(name, str)]
