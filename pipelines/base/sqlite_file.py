"""Read-only access to SQLite databases, also after a process was killed while writing."""

from __future__ import annotations

import shlex
import sqlite3
from pathlib import Path

from gristmill.pipelines.base.errors import EnvironmentFault

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


def _opened(file: Path, mode: str) -> sqlite3.Connection:
    """Connect and read the file's header, which in mode `rw` rolls back an interrupted write."""
    connection = sqlite3.connect(f"{file.as_uri()}?mode={mode}", uri=True, timeout=PATIENCE)
    try:
        connection.execute("PRAGMA schema_version")
    except BaseException:
        connection.close()
        raise
    return connection
