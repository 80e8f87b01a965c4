"""Columns of Arrow, converted to the few types of an ingested table; others are left out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from gristmill.pipelines.ingestion.readers.faults import broken, check_names, unreadable
from gristmill.pipelines.ingestion.readers.type_inference import Batches, RowStream
from gristmill.pipelines.ingestion.readers.value_kinds import MOMENT

Open = Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
"""Yields the rows of the named columns from the beginning."""


def converted(raw: Path, schema: pa.Schema, rows: Open, not_numbers: Collection[str]) -> RowStream:
    """Return the rows with converted types; nested and binary columns are left out.

    Args:
        raw: the file.
        schema: its columns.
        rows: reads some of them.
        not_numbers: columns that are not numbers even if all their values look like numbers.

    Raises:
        InputError: the file is damaged, or no column can be used.
    """
    check_names(raw, schema.names)
    kinds: dict[str, pa.DataType] = {}
    notes: list[str] = []
    for field in schema:
        kind = _canonical(field.type, field.name not in not_numbers)
        if pa.types.is_nested(field.type):
            notes.append(f"{field.name} is left out: nested values")
        elif _is_binary(field.type) and not _all_cast(raw, rows, field.name, kind):
            notes.append(f"{field.name} is left out: bytes that are not text")
        elif kind == pa.int64() and not _all_cast(raw, rows, field.name, kind):
            notes.append(f"{field.name} is text: whole numbers beyond 2^63")
            kinds[field.name] = pa.string()
        else:
            kinds[field.name] = kind
    if not kinds:
        raise unreadable(raw, "a column of numbers, text, booleans or dates", "; ".join(notes))
    return RowStream(pa.schema(list(kinds.items())), _cast_all(raw, rows, kinds), notes)


def _is_binary(kind: pa.DataType) -> bool:
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    checks = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
    return any(check(values) for check in checks)


def _all_cast(raw: Path, rows: Open, name: str, kind: pa.DataType) -> bool:
    """Return whether all values of a column fit its type; only few types must be tried."""
    try:
        for batch in rows([name]):
            if not pa.types.is_uint64(batch[name].type) and kind == pa.int64():
                return True
            try:
                _cast(batch[name], kind)
            except pa.ArrowInvalid:
                return False
    except (pa.ArrowException, OSError) as error:
        raise broken(raw, error) from error
    return True


def _cast_all(raw: Path, rows: Open, kinds: dict[str, pa.DataType]) -> Batches:
    try:
        for batch in rows(list(kinds)):
            columns = [_cast(batch[name], kind) for name, kind in kinds.items()]
            yield pa.RecordBatch.from_arrays(columns, schema=pa.schema(list(kinds.items())))
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
