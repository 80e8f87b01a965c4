"""Writing rows chunk by chunk to a file whose bytes depend on nothing but the values."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import feather

from gristmill.pipelines.base import InputError
from gristmill.pipelines.ingestion.readers import MixedColumn

Column = Sequence[object]
Columns = Sequence[Column]
"""One sequence of Python values per column, all of the same length."""

AS_THEY_ARE = frozenset({int, str, type(None)})
"""Types that the csv module writes correctly without conversion."""

KEPT = AS_THEY_ARE | {bool, float, Decimal, date, time}
"""Types of values that both CSV and Parquet can store."""

NUMBERS = {"int", "float"}
"""Types of a column of numbers."""

BYTES = frozenset({bytes, bytearray, memoryview})

Arrived = Callable[[int], object]
"""Called with the bytes of each chunk on disk."""


class Written(NamedTuple):
    """The number of rows, and notes about columns of several types."""

    rows: int
    notes: tuple[str, ...] = ()


def write_rows(
    names: Sequence[str],
    chunks: Iterable[Columns],
    target: Path,
    parquet: bool,
    arrived: Arrived = bool,
) -> Written:
    """Write CSV (UTF-8, commas, line feeds, a header) or Parquet.

    Numbers, text and booleans (`true`, `false`) keep their types. Dates are ISO 8601, times with a
    zone are in UTC, durations are seconds, JSON is text. A decimal is written digit by digit to
    CSV and as float64 to Parquet. A column of several types is written to Parquet as it would be
    read from CSV: numbers and `n/a` become numbers.

    Args:
        names: the columns.
        chunks: pieces of the rows, by column.
        target: the file to write.
        parquet: whether to write Parquet instead of CSV.
        arrived: called with the bytes of each chunk on disk.

    Raises:
        InputError: two columns have the same name, or a column contains bytes.
    """
    twice = sorted({name for name in names if list(names).count(name) > 1})
    if twice:
        raise InputError(
            "the source has duplicate column names",
            expected="each name once",
            found=", ".join(twice[:10]),
            next="give them different names: SELECT a.id AS a_id, b.id AS b_id",
        )
    plain = ([*map(_plain_column, names, columns)] for columns in chunks)
    return (_write_parquet if parquet else _write_csv)(names, plain, target, arrived)


def _plain_column(name: str, column: Column) -> Column:
    kinds = {*map(type, column)}
    if kinds & BYTES:
        raise InputError(
            "a column contains bytes",
            expected="numbers, texts, booleans and dates",
            found=f"bytes in {name}",
            next="remove the column from the query",
        )
    return column if kinds <= KEPT else [_plain(value) for value in column]


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return value if type(value) in KEPT else str(value)


def _write_csv(
    names: Sequence[str], chunks: Iterable[Columns], target: Path, arrived: Arrived
) -> Written:
    rows = 0
    with target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(names)
        for columns in chunks:
            before = file.tell()
            writer.writerows(zip(*map(_texts, columns), strict=True))
            arrived(file.tell() - before)
            rows += len(columns[0])
    return Written(rows)


def _texts(column: Column) -> Column:
    plain = {*map(type, column)} <= AS_THEY_ARE
    return column if plain else [*map(_text, column)]


def _text(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "" if value != value else repr(value)
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else ""
    return value.isoformat() if isinstance(value, date | time) else value


def _write_parquet(
    names: Sequence[str], chunks: Iterable[Columns], target: Path, arrived: Arrived
) -> Written:
    """Write Parquet from temporary chunks: the column types are known only after the last one."""
    with TemporaryDirectory(dir=target.parent, prefix=f"{target.name}.") as aside:
        parts: list[Path] = []
        kinds: list[set[str]] = [set() for _ in names]
        for columns in chunks:
            arrays = [_array(*both) for both in zip(columns, kinds, strict=True)]
            parts.append(Path(aside) / str(len(parts)))
            feather.write_feather(pa.table(arrays, names=list(names)), parts[-1])
            arrived(parts[-1].stat().st_size)
        several = {n for n, k in zip(names, kinds, strict=True) if len(k) > 1 and k != NUMBERS}
        mixed = {
            name: MixedColumn(name, _texts_of(parts, name)) for name in names if name in several
        }
        types = [
            mixed[n].type if n in mixed else _type(k) for n, k in zip(names, kinds, strict=True)
        ]
        schema = pa.schema(list(zip(names, types, strict=True)))
        rows = 0
        with pq.ParquetWriter(target, schema, compression="zstd") as writer:
            for table in map(feather.read_table, parts):
                fitting = [
                    mixed[field.name].read(_as_texts(table[field.name].to_pylist()))
                    if field.name in mixed
                    else table[field.name].cast(field.type, safe=field.type != "float64")
                    for field in schema
                ]
                writer.write_table(pa.table(fitting, schema=schema))
                rows += table.num_rows
    return Written(rows, tuple(column.note() for column in mixed.values()))


def _texts_of(parts: Iterable[Path], name: str) -> Iterator[pa.Array]:
    """Yield the values of a column as text, piece by piece."""
    for part in parts:
        yield _as_texts(feather.read_table(part, columns=[name])[name].to_pylist())


def _array(column: Column, kinds: set[str]) -> pa.Array:
    """Convert a chunk of a column without loss, to text if it has several kinds; add the kinds."""
    if Decimal in {*map(type, column)}:
        column = [float(value) if isinstance(value, Decimal) else value for value in column]
    found = _kinds(column)
    kinds |= found
    if len(found) < 2:
        try:
            return pa.array(column)
        except (OverflowError, pa.ArrowInvalid):  # a whole number of more than 64 bits
            kinds.add("str")
    return _as_texts(column)


def _kinds(column: Column) -> set[str]:
    """Return the names of the types of a column's values; `moment` for a time with a zone."""
    types = {*map(type, column)}
    names = {kind.__name__ for kind in types - {type(None), datetime}}
    if datetime in types:
        times = (value for value in column if isinstance(value, datetime))
        names |= {"moment" if value.tzinfo else "datetime" for value in times}
    return names


def _type(kinds: set[str]) -> pa.DataType:
    """Return the type of a column of one kind of values, or of numbers."""
    if kinds == NUMBERS:
        return pa.float64()
    if kinds == {"moment"}:
        return pa.timestamp("us", "UTC")
    names = {"int": "int64", "float": "float64", "bool": "bool", "date": "date32"}
    names |= {"time": "time64[us]", "datetime": "timestamp[us]"}
    return pa.type_for_alias(names.get("".join(kinds), "string"))


def _as_texts(column: Column) -> pa.Array:
    return pa.array([None if v is None else str(_text(v)) for v in column], pa.string())
