"""A SQLite database as a process leaves it when it is killed during a write."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

WRITE = """
import os, sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA cache_size = 2")  # pages are written before the transaction ends
database.execute("BEGIN IMMEDIATE")
database.execute(
    "CREATE TABLE half_written AS WITH RECURSIVE n(i) AS "
    "(SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i, hex(randomblob(40)) FROM n"
)
os.kill(os.getpid(), 9)
"""


def journal(database: Path) -> Path:
    """Return the file in which SQLite keeps the pages that a write replaces."""
    return database.with_name(f"{database.name}-journal")


def leave_hot_journal(database: Path) -> None:
    """Kill a process that writes to an existing database before its transaction ends."""
    done = subprocess.run([sys.executable, "-c", WRITE, str(database)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert journal(database).stat().st_size


def tables(database: Path) -> set[str]:
    """Return the names of a database's tables; opening it rolls back unfinished transactions."""
    with closing(sqlite3.connect(database)) as opened:
        return {name for (name,) in opened.execute("SELECT name FROM sqlite_schema")}
