"""SQLite and Excel files are read like text tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from gristmill.pipelines.base.errors import EnvironmentFault, InputError
from gristmill.pipelines.ingestion.readers import converted_tables
from gristmill.pipelines.ingestion.table import ingest_file

NOTHING = "'n/a'"


def database(file: Path, *statements: str) -> Path:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(";".join(statements))
    return file


def test_the_table_of_a_database_is_read_with_its_mixed_values(tmp_path: Path) -> None:
    raw = database(
        tmp_path / "a.sqlite",
        'create table t(id integer, "a b" text, v, picture blob, code text)',
        *(
            f"insert into t values({i}, 'x,\n\"y\"', {i if i % 50 else NOTHING}, x'00', '0{i}')"
            for i in range(1, 101)
        ),
    )
    made = ingest_file(raw, tmp_path / "table.parquet")
    assert made.notes[:2] == ("picture is left out: bytes", "read as missing values: n/a (2 in v)")
    rows: list[Any] = pq.read_table(tmp_path / "table.parquet").to_pylist()
    assert rows[0] == {"id": 1, "a b": 'x,\n"y"', "v": 1, "code": "01"}
    assert rows[49]["v"] is None


def test_a_database_of_several_tables_asks_for_a_query(tmp_path: Path) -> None:
    raw = database(tmp_path / "a.db", "create table one(x)", "create table two(x)")
    with pytest.raises(InputError, match=r"(?s)2: one, two.*--query 'SELECT . FROM one"):
        ingest_file(raw, tmp_path / "table.parquet")


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"hello")
    with pytest.raises(InputError, match="not a database"):
        ingest_file(tmp_path / "a.db", tmp_path / "table.parquet")


def test_excel_needs_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(converted_tables, "import_module", absent)
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(EnvironmentFault, match="pip install openpyxl"):
        ingest_file(tmp_path / "a.xlsx", tmp_path / "table.parquet")


def test_the_only_sheet_with_rows_is_read(tmp_path: Path) -> None:
    import openpyxl

    book = openpyxl.Workbook()
    book.create_sheet("empty")
    for row in (["n", "day", "ok", None], [1.5, datetime(2024, 1, 2), True], [None, None, False]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    ingest_file(tmp_path / "a.xlsx", tmp_path / "table.parquet")
    assert pq.read_table(tmp_path / "table.parquet").to_pydict() == {
        "n": [1.5, None],
        "day": [datetime(2024, 1, 2), None],
        "ok": [True, False],
    }
