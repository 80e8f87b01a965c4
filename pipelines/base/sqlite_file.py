"""SQLite databases that are only read, also after a process was killed while it wrote."""

from __future__ import annotations

import shlex
import sqlite3
from pathlib import Path

from gristmill.pipelines.base.errors import EnvironmentFault

PATIENCE = 10.0
"""Seconds to wait for another process's write to end."""


def open_sqlite(file: Path, *, ours: bool = True) -> sqlite3.Connection:
    """Open an existing database read-only.

    A process that is killed in the middle of a write leaves a hot journal; until somebody with
    write access opens the database, which rolls the write back, nobody can read it
    (https://www.sqlite.org/lockingv3.html#hot_journals).

    Args:
        ours: Whether the database belongs to the project. Such a write is rolled back here then;
            a database of others is never written to.

    Raises:
        sqlite3.DatabaseError: The file is not a database, or cannot be read.
        EnvironmentFault: The database of others has a hot journal.
    """
    try:
        return _opened(file, "ro")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_READONLY_ROLLBACK:
            raise
        if not ours:
            raise EnvironmentFault(
                f"{file.name} was left in the middle of a write",
                expected="a database whose last write has ended",
                found=f"{file.name}-journal of a program that was killed; only a program that may "
                "write to the database can undo its write",
                next="open it once with its own program, or type: "
                f"sqlite3 {shlex.quote(str(file))} .tables",
            ) from error
    _opened(file, "rw").close()
    return _opened(file, "ro")


def _opened(file: Path, mode: str) -> sqlite3.Connection:
    """A connection that has read the file's header, which rolls back what `mode` allows to."""
    connection = sqlite3.connect(f"{file.as_uri()}?mode={mode}", uri=True, timeout=PATIENCE)
    try:
        connection.execute("PRAGMA schema_version")
    except BaseException:
        connection.close()
        raise
    return connection
