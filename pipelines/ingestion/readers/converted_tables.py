"""Excel sheets and SQLite tables: written as a text table, and read like one."""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import date, datetime
from importlib import import_module
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gristmill.pipelines.base import EnvironmentFault, open_sqlite
from gristmill.pipelines.config import Csv, Data
from gristmill.pipelines.ingestion.readers.delimited import Delimited
from gristmill.pipelines.ingestion.readers.dialect import sniff_csv
from gristmill.pipelines.ingestion.readers.faults import broken, check_names, unreadable
from gristmill.pipelines.ingestion.readers.type_inference import Again, Batches, RowStream, settle

Row = Sequence[Any]


def read(raw: Path, data: Data | None, not_numbers: Collection[str]) -> RowStream:
    """Read the one sheet of an Excel file, or the one table of an SQLite file.

    Raises:
        InputError: the file is damaged, or has several sheets or tables.
        EnvironmentFault: openpyxl is not installed.
    """
    aside = TemporaryDirectory()
    file = Path(aside.name) / f"{raw.name}.csv"
    notes: list[str] = []
    try:
        with (
            _table(raw, notes) as (names, rows),
            file.open("w", encoding="utf-8", newline="") as out,
        ):
            check_names(raw, names)
            writer = csv.writer(out, lineterminator="\n")
            writer.writerows(chain([names], (map(_text, row) for row in rows)))
        declared = {"delimiter": ",", "quote": '"', "decimal": ".", "encoding": "utf-8"}
        dialect = (data.csv if data is not None else Csv()).model_copy(update=declared)
        rows_read = settle(raw, [Delimited(file, sniff_csv(file, dialect))], not_numbers)
    except BaseException:
        aside.cleanup()
        raise
    return _kept(rows_read, aside, notes)


def _kept(rows: RowStream, aside: TemporaryDirectory[str], notes: list[str]) -> RowStream:
    """Return the rows, and remove the text table after the last one."""

    def batches() -> Batches:
        try:
            yield from rows.batches
        except Again as again:
            raise Again(_kept(again.rows, aside, notes[:before])) from None
        except BaseException:
            aside.cleanup()
            raise
        aside.cleanup()
        notes.extend(rows.notes)

    before = len(notes)
    return RowStream(rows.schema, batches(), notes)


def _table(raw: Path, notes: list[str]) -> Any:
    return (_sheet if raw.suffix.lower() == ".xlsx" else _sqlite)(raw, notes)


@contextmanager
def _sheet(raw: Path, notes: list[str]) -> Iterator[tuple[Row, Iterable[Row]]]:
    try:
        openpyxl: Any = import_module("openpyxl")
    except ModuleNotFoundError as error:
        raise EnvironmentFault(
            f"{raw.name} cannot be read: openpyxl is not installed",
            expected="the package that reads Excel files",
            found="no openpyxl",
            next="pip install openpyxl   or save the sheet as CSV",
        ) from error
    try:
        book = openpyxl.load_workbook(raw, read_only=True, data_only=True)
    except Exception as error:
        raise broken(raw, error) from error
    with closing(book):
        filled = {sheet.title: sheet for sheet in book.worksheets if any(_rows(sheet))}
        if len(filled) != 1:
            found = ", ".join(filled) or "none"
            raise unreadable(raw, "one sheet with rows", found, "save the sheet as CSV")
        rows = _rows(*filled.values())
        head = next(rows)
        last = max(place for place, name in enumerate(head) if name is not None) + 1
        names = ["" if name is None else _text(name) for name in head[:last]]
        yield names, (tuple(row[:last]) for row in rows)


def _rows(sheet: Any) -> Iterator[Row]:
    """Yield the rows of a sheet that are not empty."""
    return (row for row in sheet.iter_rows(values_only=True) if any(v is not None for v in row))


@contextmanager
def _sqlite(raw: Path, notes: list[str]) -> Iterator[tuple[Row, Iterable[Row]]]:
    try:
        with closing(open_sqlite(raw.resolve(), ours=False)) as connection:
            found = connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' "
                "ESCAPE '~' ORDER BY name"
            )
            tables = [name for (name,) in found]
            if len(tables) != 1:
                one = tables[0] if tables else "TABLE"
                raise unreadable(
                    raw,
                    "a database with one table",
                    f"{len(tables)}: {', '.join(tables[:10])}" if tables else "none",
                    f"gristmill new NAME --data sqlite:///PATH/{raw.name} "
                    f"--query 'SELECT * FROM {one} ORDER BY …' --target COLUMN",
                )
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({_name(tables[0])})")]
            kinds = ", ".join(f"max(typeof({_name(name)}) = 'blob')" for name in names)
            blobs = connection.execute(f"SELECT {kinds} FROM {_name(tables[0])}").fetchone()
            notes += [f"{n} is left out: bytes" for n, b in zip(names, blobs, strict=True) if b]
            kept = [name for name, blob in zip(names, blobs, strict=True) if not blob]
            wanted = ", ".join(map(_name, kept))
            yield kept, connection.execute(f"SELECT {wanted} FROM {_name(tables[0])}")
    except sqlite3.Error as error:
        raise broken(raw, error) from error


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return (
            value.isoformat(" ") if value.time() != value.time().min else value.date().isoformat()
        )
    return value.isoformat() if isinstance(value, date) else str(value)
