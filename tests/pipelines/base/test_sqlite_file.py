"""SQLite files opened read-only, also after a writer was killed."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hot_journal import journal, leave_hot_journal, tables

from gristmill.pipelines.base.errors import EnvironmentFault
from gristmill.pipelines.base.sqlite_file import copy_sqlite, open_sqlite


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


@pytest.fixture
def logged(database: Path) -> Path:
    """A database whose last row is in its write-ahead log only, as after a kill."""
    write = (
        "import os, sqlite3, sys; d = sqlite3.connect(sys.argv[1]); "
        "d.execute('PRAGMA journal_mode = wal'); d.execute('INSERT INTO t VALUES (8)'); "
        "d.commit(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", write, str(database)], check=True)
    assert database.with_name(f"{database.name}-wal").stat().st_size
    return database


def test_a_copy_has_the_rows_of_the_write_ahead_log(logged: Path, tmp_path: Path) -> None:
    before = logged.read_bytes()
    assert copy_sqlite(logged, tmp_path / "copy.db")
    assert logged.read_bytes() == before
    with closing(open_sqlite(tmp_path / "copy.db", ours=False)) as opened:
        assert opened.execute("SELECT n FROM t").fetchall() == [(7,), (8,)]


def test_files_without_a_write_beside_them_are_left_to_the_caller(
    database: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("a,b\n")
    (tmp_path / "a.csv-journal").write_text("not of SQLite")
    assert not copy_sqlite(database, tmp_path / "copy.db")
    assert not copy_sqlite(tmp_path / "a.csv", tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


def test_a_copy_of_an_interrupted_write_is_refused(database: Path, tmp_path: Path) -> None:
    leave_hot_journal(database)
    with pytest.raises(EnvironmentFault, match="interrupted"):
        copy_sqlite(database, tmp_path / "copy.db")


def test_reading_a_foreign_database_creates_no_file_beside_it(database: Path) -> None:
    with closing(sqlite3.connect(database)) as opened:
        opened.execute("PRAGMA journal_mode = wal")
    with closing(open_sqlite(database, ours=False)) as opened:
        assert opened.execute("SELECT n FROM t").fetchall() == [(7,)]
    assert [file.name for file in database.parent.iterdir()] == [database.name]
