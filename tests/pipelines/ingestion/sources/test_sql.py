"""Databases, a real SQLite and Postgres: read-only, in chunks, passwords never shown."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hot_journal import journal, leave_hot_journal, tables
from postgres_server import PASSWORD
from sqlalchemy import URL, create_engine

from gristmill.pipelines.base.errors import (
    ConfigError,
    EnvironmentFault,
    GristmillError,
    InputError,
)
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.sources import sql
from gristmill.pipelines.ingestion.sources.fetching import fetch
from gristmill.pipelines.ingestion.sources.sql import is_ordered
from gristmill.pipelines.ingestion.table import ingest_file


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    file = tmp_path / "a.db"
    with sqlite3.connect(file) as connection:
        connection.execute("CREATE TABLE t (n INTEGER, x REAL, name TEXT, mixed)")
        connection.executemany(
            "INSERT INTO t VALUES (?, ?, ?, ?)",
            [(1, 0.1, "a,b", 1), (2, None, 'say "é"', "one"), (3, 2.0, None, 2.5)],
        )
    connection.close()
    return file


def test_a_sqlite_query_becomes_csv_with_the_same_bytes_each_time(
    tmp_path: Path, sqlite_file: Path
) -> None:
    before = sqlite_file.read_bytes()
    for _ in range(2):
        notes = fetch(
            Project(tmp_path),
            "sqlite:///a.db",
            tmp_path / "out.csv",
            query="SELECT * FROM t ORDER BY n;",
        )
        assert notes == ()
        assert (tmp_path / "out.csv").read_bytes() == (
            'n,x,name,mixed\n1,0.1,"a,b",1\n2,,"say ""é""",one\n3,2.0,,2.5\n'.encode()
        )
    assert sqlite_file.read_bytes() == before


def test_a_sqlite_query_becomes_parquet_with_types_that_fit_all_rows(
    tmp_path: Path, sqlite_file: Path
) -> None:
    query = "SELECT * FROM t ORDER BY n"
    fetch(Project(tmp_path), f"sqlite:///{sqlite_file}", tmp_path / "o.parquet", query=query)
    table = pq.read_table(tmp_path / "o.parquet")
    assert [str(field.type) for field in table.schema] == ["int64", "double", "string", "string"]
    assert table.column("mixed").to_pylist() == ["1", "one", "2.5"]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.db", "o.parquet"]


MIXED: dict[str, tuple[list[Any], list[Any], str]] = {
    "a word for nothing": ([1, "n/a", 3], [1, None, 3], "v is int64; .*n/a .1 in v."),
    "numbers as text": ([1, "2.5", None], [1.0, 2.5, None], "v is double"),
    "codes": ([1, "007", 2.5], ["1", "007", "2.5"], "v is text"),
    "days and words": (["2024-01-31", 5], ["2024-01-31", "5"], "v is text"),
    "a long number": ([2**62, "12345678901234567890123"], None, "v is text"),
}


@pytest.mark.parametrize(("values", "expected", "words"), MIXED.values(), ids=list(MIXED))
@pytest.mark.parametrize("size", [1, 100])
def test_a_column_of_several_types_is_read_like_a_text_table(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    values: list[Any],
    expected: list[Any] | None,
    words: str,
    size: int,
) -> None:
    monkeypatch.setattr(sql, "ROWS", size)
    with closing(sqlite3.connect(tmp_path / "m.db")) as connection, connection:
        connection.execute("CREATE TABLE t (i INTEGER, v)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", list(enumerate(values)))
    source, query = f"sqlite:///{tmp_path / 'm.db'}", "SELECT i, v FROM t ORDER BY i"
    notes = fetch(Project(tmp_path), source, tmp_path / "o.parquet", query=query)
    wanted = [str(value) for value in values] if expected is None else expected
    assert pq.read_table(tmp_path / "o.parquet")["v"].to_pylist() == wanted
    assert len(notes) == 1
    assert re.match(words, notes[0])
    fetch(Project(tmp_path), source, tmp_path / "o.csv", query=query)
    ingest_file(tmp_path / "o.csv", tmp_path / "t.parquet")
    assert pq.read_table(tmp_path / "t.parquet")["v"].to_pylist() == wanted


def test_a_sqlite_file_with_an_interrupted_write_is_refused_until_it_is_rolled_back(
    tmp_path: Path, sqlite_file: Path
) -> None:
    leave_hot_journal(sqlite_file)
    before = sqlite_file.read_bytes(), journal(sqlite_file).read_bytes()
    ask = partial(fetch, Project(tmp_path), "sqlite:///a.db", tmp_path / "out.csv")
    with pytest.raises(
        EnvironmentFault, match=r"(?s)write to a\.db was interrupted.*sqlite3 .*a\.db \.tables"
    ):
        ask(query="SELECT n FROM t ORDER BY n")
    assert (sqlite_file.read_bytes(), journal(sqlite_file).read_bytes()) == before
    assert tables(sqlite_file) == {"t"}
    ask(query="SELECT n FROM t ORDER BY n")
    assert (tmp_path / "out.csv").read_bytes() == b"n\n1\n2\n3\n"


def test_a_sqlite_file_is_copied_as_its_last_complete_write_left_it(
    tmp_path: Path, sqlite_file: Path
) -> None:
    copy = tmp_path / "copy.db"
    leave_hot_journal(sqlite_file)
    with pytest.raises(EnvironmentFault, match=r"write to a\.db was interrupted"):
        fetch(Project(tmp_path), "a.db", copy)
    writer = sqlite3.connect(sqlite_file)
    writer.execute("PRAGMA journal_mode = wal")
    writer.execute("INSERT INTO t (n) VALUES (4)")
    writer.commit()  # into the log beside the file
    with closing(writer):
        fetch(Project(tmp_path), "a.db", copy)
    with closing(sqlite3.connect(copy)) as copied:
        assert copied.execute("SELECT max(n) FROM t").fetchone() == (4,)
    fetch(Project(tmp_path), "a.db", copy)
    assert copy.read_bytes() == sqlite_file.read_bytes()


def test_a_damaged_sqlite_file_with_a_log_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"SQLite format 3\0" + b"x" * 900)
    (tmp_path / "a.db-wal").write_text("x")
    with pytest.raises(InputError, match=r"(?s)as a database.*not a database.*integrity_check"):
        fetch(Project(tmp_path), "a.db", tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


@pytest.mark.parametrize(
    ("query", "ordered"),
    [
        ("SELECT * FROM t ORDER BY n", True),
        ("select * from t order\n by (n)", True),
        ("SELECT * FROM t", False),
        ("SELECT * FROM (SELECT * FROM t ORDER BY n) u", False),
        ("SELECT row_number() OVER (PARTITION BY a ORDER BY (b)) FROM t", False),
        ("SELECT ' order by ' FROM t -- ORDER BY n", False),
        ("SELECT 'it''s' FROM t /* ( */ ORDER BY 1", True),
    ],
)
def test_a_query_without_a_defined_row_order_is_detected(query: str, ordered: bool) -> None:
    assert is_ordered(query) is ordered


def test_a_query_without_an_order_gives_a_warning(tmp_path: Path, sqlite_file: Path) -> None:
    (note,) = fetch(
        Project(tmp_path), "sqlite:///a.db", tmp_path / "o.csv", query="SELECT n FROM t"
    )
    assert "no ORDER BY" in note


@pytest.fixture
def source(postgres: URL, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("GRISTMILL_SQL_PASSWORD", PASSWORD)
    return postgres.render_as_string()


def test_every_common_postgres_type_is_written_in_one_form(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = """SELECT i, i * 1.5::float8 AS x, i % 2 = 0 AS even,
        (i * 0.10)::numeric(9, 2) AS price,
        date '2026-01-31' + i AS day, timestamp '2026-01-31 12:30' AS local,
        timestamptz '2026-01-31 12:30+09' AS moment, time '08:15' AS clock,
        interval '90 minutes' AS span, json_build_object('b', i, 'a', 'ä') AS doc,
        ARRAY[i, 2] AS list,
        '00000000-0000-0000-0000-00000000000a'::uuid AS id, 'it''s 5%, :yes'::text AS said,
        NULL::int AS nothing FROM generate_series(1, 2) i ORDER BY i"""
    made = []
    for zone in ("Asia/Seoul", "UTC"):
        monkeypatch.setenv("PGTZ", zone)
        fetch(Project(tmp_path), source, tmp_path / "o.csv", query=query)
        made.append((tmp_path / "o.csv").read_text())
    assert made[0] == made[1]
    first = made[0].splitlines()[1]
    assert first == (
        "1,1.5,false,0.10,2026-02-01,2026-01-31T12:30:00,2026-01-31T03:30:00+00:00,08:15:00,5400.0,"
        '"{""a"": ""ä"", ""b"": 1}","[1, 2]",00000000-0000-0000-0000-00000000000a,"it\'s 5%, :yes",'
    )
    fetch(Project(tmp_path), source, tmp_path / "o.parquet", query=query)
    table = pq.read_table(tmp_path / "o.parquet")
    kinds = {field.name: field.type for field in table.schema}
    assert kinds["price"] == pa.float64()
    assert kinds["moment"] == pa.timestamp("us", "UTC")
    assert (kinds["day"], kinds["even"]) == (pa.date32(), pa.bool_())
    assert table.column("clock").to_pylist() == [time(8, 15)] * 2
    assert table.column("local").to_pylist() == [datetime(2026, 1, 31, 12, 30)] * 2
    assert table.column("day").to_pylist() == [date(2026, 2, 1), date(2026, 2, 2)]


def test_a_large_result_is_read_in_chunks_of_different_types(tmp_path: Path, source: str) -> None:
    query = """SELECT i, CASE WHEN i < 30000 THEN NULL ELSE i END AS late, i::numeric AS n
        FROM generate_series(1, 50000) i ORDER BY i"""
    fetch(Project(tmp_path), source, tmp_path / "o.parquet", query=query)
    table = pq.read_table(tmp_path / "o.parquet")
    assert table.num_rows == 50_000
    assert table.column("late").null_count == 29_999
    assert table.column("late").type == pa.int64()
    assert table.column("n").to_pylist()[-1] == float(Decimal(50_000))


@pytest.mark.parametrize(
    ("query", "kind", "words"),
    [
        ("SELECT * FROM nowhere", ConfigError, 'relation "nowhere" does not exist'),
        ("SELEC 1", ConfigError, "syntax error"),
        ("DELETE FROM pg_class", ConfigError, "syntax error|read-only"),
        ("SELECT 1/(i - 45000) AS x FROM generate_series(1, 50000) i", ConfigError, "division by"),
        ("SELECT 1 AS a WHERE false", InputError, "returns no rows"),
        ("SELECT 1 AS a, 2 AS a", InputError, "duplicate column names"),
        ("SELECT 'a'::bytea AS b", InputError, "bytes in b"),
    ],
)
def test_a_query_refused_by_postgres_is_reported_and_the_old_file_kept(
    tmp_path: Path, source: str, query: str, kind: type[GristmillError], words: str
) -> None:
    (tmp_path / "o.csv").write_text("old")
    with pytest.raises(kind, match=words):
        fetch(Project(tmp_path), source, tmp_path / "o.csv", query=query)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("o.csv", "old")]


@pytest.mark.parametrize("password", ["wrong/word", ""])
def test_a_wrong_password_is_an_environment_fault_and_is_not_shown(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("GRISTMILL_SQL_PASSWORD", password)
    with pytest.raises(EnvironmentFault, match=r"(?s)could not be reached.*password") as caught:
        fetch(Project(tmp_path), source, tmp_path / "o.csv", query="SELECT 1 AS a")
    assert PASSWORD not in str(caught.value)
    assert not password or password not in str(caught.value)


def test_the_password_of_the_driver_is_used_if_ours_is_not_set(
    tmp_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GRISTMILL_SQL_PASSWORD")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    fetch(Project(tmp_path), source, tmp_path / "o.csv", query="SELECT 1 AS a ORDER BY 1")
    assert (tmp_path / "o.csv").read_text() == "a\n1\n"


def test_a_query_cannot_change_postgres(tmp_path: Path, source: str, postgres: URL) -> None:
    engine = create_engine(postgres.set(password=PASSWORD))
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS kept")
        connection.exec_driver_sql("CREATE TABLE kept AS SELECT 1 AS a")
        connection.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION empty() RETURNS int LANGUAGE sql AS"
            " 'DELETE FROM kept RETURNING a'"
        )
    with pytest.raises(ConfigError, match="read-only transaction"):
        fetch(Project(tmp_path), source, tmp_path / "o.csv", query="SELECT empty() AS a")
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM kept").scalar() == 1
    engine.dispose()


def test_a_lost_connection_is_an_environment_fault_and_leaves_no_file(
    tmp_path: Path, source: str
) -> None:
    query = """SELECT i, CASE WHEN i = 45000 THEN pg_terminate_backend(pg_backend_pid()) END AS x
        FROM generate_series(1, 50000) i"""
    with pytest.raises(EnvironmentFault, match=r"(?s)could not be reached.*terminat"):
        fetch(Project(tmp_path), source, tmp_path / "o.parquet", query=query)
    assert not list(tmp_path.iterdir())
