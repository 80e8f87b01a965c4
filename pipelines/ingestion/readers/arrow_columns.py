"""Columns of Arrow, converted to the few types of an ingested table; others are left out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from gristmill.pipelines.ingestion.readers.faults import broken, check_names, unreadable
from gristmill.pipelines.ingestion.readers.type_inference import Batches, RowStream
from gristmill.pipelines.ingestion.readers.value_kinds import (
    MOMENT,
    Kind,
    Reading,
    date_field,
)

Open = Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
"""Yields the rows of the named columns from the beginning."""


def converted(raw: Path, schema: pa.Schema, rows: Open, not_numbers: Collection[str]) -> RowStream:
    """Return the rows with converted types; nested and binary columns are left out.

    Args:
        raw: the file.
        schema: its columns.
        rows: reads some of them.
        not_numbers: columns that stay text even if all their values look like numbers or dates.

    Raises:
        InputError: the file is damaged, or no column can be used.
    """
    check_names(raw, schema.names)
    kinds: dict[str, pa.DataType] = {}
    dates: dict[str, Kind] = {}
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
        elif _is_text(field.type) and (found := _dates_in(raw, rows, field.name, not_numbers)):
            notes.append(f"{field.name} is read as dates, since all its texts are")
            kinds[field.name], dates[field.name] = MOMENT, found
        else:
            kinds[field.name] = kind
    if not kinds:
        raise unreadable(raw, "a column of numbers, text, booleans or dates", "; ".join(notes))
    zoned = {f.name for f in schema if pa.types.is_timestamp(f.type) and f.type.tz is not None}
    zoned |= {name for name, found in dates.items() if found is Kind.ZONED}
    fields = [date_field(name, kind, name in zoned) for name, kind in kinds.items()]
    return RowStream(pa.schema(fields), _cast_all(raw, rows, kinds, dates), notes)


def _is_text(kind: pa.DataType) -> bool:
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(values) or pa.types.is_large_string(values))


def _dates_in(raw: Path, rows: Open, name: str, not_numbers: Collection[str]) -> Kind | None:
    """Return the kind of dates that all values of a column of text are, as in a text table."""
    possible, seen = [Kind.ISO, Kind.ZONED], False
    try:
        for batch in rows([name]) if name not in not_numbers else ():
            texts = _texts(batch[name])
            possible = [kind for kind in possible if Reading().read(texts, kind) is not None]
            if not possible:
                return None
            seen = seen or texts.null_count < len(texts)
    except (pa.ArrowException, OSError) as error:
        raise broken(raw, error) from error
    return possible[0] if seen else None


def _texts(column: pa.Array) -> pa.Array:
    """Return stripped texts, missing where blank."""
    texts = pc.utf8_trim_whitespace(_cast(column, pa.string()))
    return pc.if_else(pc.equal(texts, ""), None, texts)


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


def _cast_all(
    raw: Path, rows: Open, kinds: Mapping[str, pa.DataType], dates: Mapping[str, Kind]
) -> Batches:
    try:
        for batch in rows(list(kinds)):
            columns = [
                Reading().read(_texts(batch[name]), dates[name])
                if name in dates
                else _cast(batch[name], kind)
                for name, kind in kinds.items()
            ]
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
