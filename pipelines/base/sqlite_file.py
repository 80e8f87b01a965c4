"""Read-only access to SQLite databases and copies of them, also after a writer was killed."""

from __future__ import annotations

import shlex
import sqlite3
from contextlib import closing
from pathlib import Path

from gristmill.pipelines.base.errors import EnvironmentFault

MAGIC = b"SQLite format 3\0"
"""First bytes of a database (https://www.sqlite.org/fileformat.html)."""

PATIENCE = 10.0
"""Seconds to wait for another process's write to end."""


def open_sqlite(file: Path, *, ours: bool = True) -> sqlite3.Connection:
    """Open an existing database read-only.

    A process that is killed in the middle of a write leaves a hot journal. Nobody can read the
    database until a process with write access opens it, which rolls the write back
    (https://www.sqlite.org/lockingv3.html#hot_journals).

    Args:
        file: The database file.
        ours: Whether the database belongs to the project. If so, an interrupted write is rolled
            back here; a foreign database is never written to.

    Raises:
        sqlite3.DatabaseError: The file is not a database, or cannot be read.
        EnvironmentFault: A foreign database has a hot journal.
    """
    if not ours and _is_wal(file) and not _unwritten(file):
        return _opened(file, "ro&immutable=1")  # otherwise SQLite would create files beside it
    try:
        return _opened(file, "ro")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise
        if not ours:
            raise EnvironmentFault(
                f"the last write to {file.name} was interrupted",
                expected="a database without an unfinished write",
                found=f"{file.name}-journal, left by a program that was killed; only a program "
                "with write access can roll the write back",
                next="open it once with its own program, or type: "
                f"sqlite3 {shlex.quote(str(file))} .tables",
            ) from error
    _opened(file, "rw").close()
    return _opened(file, "ro")


def copy_sqlite(file: Path, target: Path) -> bool:
    """Copy a foreign database together with the writes that are still in a file beside it.

    Returns:
        False if nothing was copied, because it is no database or its own bytes are complete.

    Raises:
        sqlite3.DatabaseError: The file is not a database, or cannot be read.
        EnvironmentFault: The last write to it was interrupted.
    """
    if not (_unwritten(file) and _header(file).startswith(MAGIC)):
        return False
    with (
        closing(open_sqlite(file.resolve(), ours=False)) as source,
        closing(sqlite3.connect(target)) as copied,
    ):
        source.backup(copied)
        copied.execute("PRAGMA journal_mode = DELETE")
    return True


def _unwritten(file: Path) -> bool:
    """Return whether SQLite keeps a write to the database in a file beside it."""
    aside = (file.with_name(f"{file.name}{end}") for end in ("-wal", "-journal"))
    return any(one.is_file() and one.stat().st_size for one in aside)


def _is_wal(file: Path) -> bool:
    """Return whether the database's header asks for a write-ahead log."""
    return _header(file)[18:20] == b"\2\2"


def _header(file: Path) -> bytes:
    if not file.is_file():
        return b""
    with file.open("rb") as opened:
        return opened.read(100)


def _opened(file: Path, mode: str) -> sqlite3.Connection:
    """Connect and read the file's header, which in mode `rw` rolls back an interrupted write."""
    connection = sqlite3.connect(f"{file.as_uri()}?mode={mode}", uri=True, timeout=PATIENCE)
    try:
        connection.execute("PRAGMA schema_version")
    except BaseException:
        connection.close()
        raise
    return connection
