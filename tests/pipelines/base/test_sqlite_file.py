"""SQLite files opened read-only, also after a writer was killed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hot_journal import journal, leave_hot_journal, tables

from gristmill.pipelines.base.errors import EnvironmentFault
from gristmill.pipelines.base.sqlite_file import open_sqlite


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "100% ours?.db"
    with closing(sqlite3.connect(file)) as opened, opened:
        opened.execute("CREATE TABLE t (n INTEGER)")
        opened.execute("INSERT INTO t VALUES (7)")
    return file


def test_the_connection_is_read_only(database: Path) -> None:
    with closing(open_sqlite(database)) as opened:
        assert opened.execute("SELECT n FROM t").fetchall() == [(7,)]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            opened.execute("INSERT INTO t VALUES (8)")


def test_a_write_interrupted_by_a_kill_is_rolled_back(database: Path) -> None:
    leave_hot_journal(database)
    for _ in range(2):
        with closing(open_sqlite(database)) as opened:
            assert opened.execute("SELECT n FROM t").fetchall() == [(7,)]
    assert not journal(database).exists()
    assert tables(database) == {"t"}


def test_a_foreign_database_with_an_interrupted_write_is_left_unchanged(database: Path) -> None:
    leave_hot_journal(database)
    before = database.read_bytes(), journal(database).read_bytes()
    with pytest.raises(
        EnvironmentFault, match=r"(?s)write to .* interrupted.*: sqlite3 '.*' \.tables"
    ):
        open_sqlite(database, ours=False)
    assert (database.read_bytes(), journal(database).read_bytes()) == before


def test_a_missing_or_invalid_database_raises_the_error_of_sqlite(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        open_sqlite(tmp_path / "a.db")
    (tmp_path / "a.db").write_text("no database " * 99)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        open_sqlite(tmp_path / "a.db")
