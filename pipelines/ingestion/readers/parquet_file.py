"""Parquet files, with their types converted to the few of an ingested table."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.pipelines.config import Data
from gristmill.pipelines.ingestion.readers.arrow_columns import converted
from gristmill.pipelines.ingestion.readers.faults import broken
from gristmill.pipelines.ingestion.readers.type_inference import RowStream

SUFFIXES = (".parquet", ".pq")

ROWS = 1 << 16
"""Rows in memory at a time."""

BUFFER = 1 << 20
"""Bytes of a column that are read ahead; without a limit it would be a whole row group."""


def read(raw: Path, data: Data | None, not_numbers: Collection[str]) -> RowStream:
    """Read the columns and rows of a Parquet file, piece by piece.

    Raises:
        InputError: the file is damaged, or has no flat column.
    """
    try:
        with pq.ParquetFile(raw) as file:
            schema = file.schema_arrow
    except (pa.ArrowException, OSError) as error:
        raise broken(raw, error) from error
    text = {*not_numbers, *((data and data.csv.text) or ())}
    return converted(raw, schema, lambda names: _rows(raw, names), text)


def _rows(raw: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(raw, buffer_size=BUFFER, pre_buffer=False) as file:
        yield from file.iter_batches(batch_size=ROWS, columns=list(names))


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
