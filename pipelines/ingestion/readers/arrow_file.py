"""Feather and Arrow files: the format of Arrow's memory, in a file or as a stream."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from gristmill.pipelines.config import Data
from gristmill.pipelines.ingestion.readers.arrow_columns import converted
from gristmill.pipelines.ingestion.readers.faults import broken
from gristmill.pipelines.ingestion.readers.type_inference import RowStream


def read(raw: Path, data: Data | None, not_numbers: Collection[str]) -> RowStream:
    """Read the columns and rows of a Feather file (version 2) or an Arrow file.

    Raises:
        InputError: the file is damaged, or has no flat column.
    """
    try:
        with _opened(raw) as file:
            schema = file.schema
    except (pa.ArrowException, OSError) as error:
        raise broken(raw, error) from error
    text = {*not_numbers, *((data and data.csv.text) or ())}
    return converted(raw, schema, lambda names: _rows(raw, names), text)


@contextmanager
def _opened(raw: Path) -> Iterator[Any]:
    with pa.memory_map(str(raw)) as source:
        try:
            file = pa.ipc.open_file(source)
        except pa.ArrowInvalid:
            source.seek(0)
            file = pa.ipc.open_stream(source)
        with file:
            yield file


def _rows(raw: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    with _opened(raw) as file:
        places = getattr(file, "num_record_batches", None)
        batches = file if places is None else map(file.get_batch, range(places))
        for batch in batches:
            yield batch.select(list(names))
