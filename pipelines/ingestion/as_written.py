"""The rows of a file as they are written in it, for outputs that repeat them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gristmill.pipelines.config import Data
from gristmill.pipelines.ingestion.readers import Again, find_format, part_files, read
from gristmill.pipelines.ingestion.table import plain_name


def read_as_written(raw: Path, data: Data | None, dates: Collection[str]) -> pa.Table | None:
    """Return the rows of a file with its own names, types and order.

    Args:
        raw: the file or folder.
        data: the experiment's section, whose CSV dialect is used; None to detect everything.
        dates: columns that ingest converts to dates, by their names in the table.

    Returns:
        Text tables with all columns as text, JSON lines with dates as text, Parquet with its types;
        None for arrays.
    """
    kind = find_format(raw).module
    files = part_files(raw) if kind == "multipart" else [raw]
    kind = find_format(files[0]).module
    if kind == "parquet_file":
        parts = [pq.read_table(file) for file in files]
        return pa.concat_tables(parts, promote_options="permissive").replace_schema_metadata()
    if kind not in ("delimited", "json_lines"):
        return None
    names = read(raw, data).schema.names
    if kind == "json_lines":
        names = [name for name in names if plain_name(name) in dates]
    known = data or Data(path="data/any/file", target="?", task="regression")
    csv = known.csv.model_copy(update={"text": tuple(names)})
    return _all(raw, known.model_copy(update={"csv": csv}))


def _all(raw: Path, data: Data) -> pa.Table:
    rows = read(raw, data)
    while True:
        try:
            return pa.Table.from_batches(rows.batches, rows.schema)
        except Again as again:
            rows = again.rows
