"""Databases: the rows of a query, read in chunks over a read-only connection."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING, Any, NoReturn

from gristmill.pipelines.base import EnvironmentFault, InputError, nearest, open_sqlite, redact
from gristmill.pipelines.config import DATABASES, holds_password
from gristmill.pipelines.ingestion.sources.meter import Wanted, no_source, words_of
from gristmill.pipelines.ingestion.sources.row_writer import Columns, Written, write_rows

if TYPE_CHECKING:
    from sqlalchemy import URL, CursorResult, Engine
    from sqlalchemy.exc import DBAPIError

PASSWORD = "GRISTMILL_SQL_PASSWORD"
"""Environment variable: the password of a database; without it the driver looks for one."""

ROWS = 20_000
"""Rows in memory at a time."""


def select(wanted: Wanted, aside: Path) -> tuple[str, ...]:
    """Write the rows of a query as CSV or Parquet, over a read-only connection.

    Returns:
        Notes about columns of several types, and a warning if the query has no ORDER BY.

    Raises:
        ConfigError: the address, the query or a driver is wrong or missing, or the address
            contains a password.
        InputError: the query returns no rows.
        EnvironmentFault: the database cannot be reached, or a write to it was interrupted.
    """
    from sqlalchemy.exc import DBAPIError, NoSuchModuleError

    try:
        engine = _engine(wanted)
        try:
            written = _stream(engine, wanted, aside)
        finally:
            engine.dispose()
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        _no_driver(wanted.source, error)
    except DBAPIError as error:
        _failed(wanted, error)
    if not written.rows:
        raise InputError(
            "the query returns no rows", expected="rows", found="none", next=MEND_QUERY
        )
    return (*written.notes, *[UNORDERED] * (not is_ordered(str(wanted.query))))


MEND_QUERY = "fix data.query in the experiment file"
UNORDERED = (
    "the query has no ORDER BY: a database can return its rows in another order each time, "
    "which looks like new data"
)


def is_ordered(query: str) -> bool:
    """Return whether the outermost query has an ORDER BY."""
    text = re.sub(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"", " ", query, flags=re.DOTALL)
    inner = re.compile(r"\([^()]*\)")
    while inner.search(text):
        text = inner.sub(" ", text)
    return re.search(r"\border\s+by\b", text, re.IGNORECASE) is not None


def _engine(wanted: Wanted) -> Engine:
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.exc import ArgumentError
    from sqlalchemy.pool import NullPool

    if holds_password(wanted.source):
        where = f"an address without one, and the password in {PASSWORD}"
        what = "the address of a database must not contain a password"
        raise no_source(what, where, redact(wanted.source), "")
    if wanted.query is None:
        such = "data.query, such as SELECT * FROM customers ORDER BY id"
        raise no_source("a database needs a query", such, "none", "")
    try:
        url = make_url(wanted.source)
    except (ArgumentError, ValueError) as error:
        raise no_source(
            "the database's address cannot be read",
            "postgresql+psycopg://user@host/name or sqlite:///file.db",
            redact(wanted.source),
        ) from error
    if url.get_backend_name() == "sqlite":
        return create_engine("sqlite://", creator=lambda: _sqlite(wanted, url), poolclass=NullPool)
    password = os.environ.get(PASSWORD)
    return create_engine(
        url.set(password=password) if password else url, poolclass=NullPool, hide_parameters=True
    )


def _sqlite(wanted: Wanted, url: URL) -> sqlite3.Connection:
    file = wanted.project.root / Path(url.database or "").expanduser()
    if not file.is_file():  # SQLite would create an empty one
        raise no_source(
            "the database is missing",
            "an SQLite file: sqlite:///a.db in the project, sqlite:////srv/a.db anywhere",
            f"a folder at {file}" if file.exists() else f"nothing at {file}",
        )
    return open_sqlite(file.resolve(), ours=False)


def _stream(engine: Engine, wanted: Wanted, aside: Path) -> Written:
    query = str(wanted.query).strip().rstrip(";").rstrip()
    options: dict[str, Any] = {"stream_results": True, "no_parameters": True}
    if engine.dialect.name == "postgresql":
        options["postgresql_readonly"] = True
    with (
        engine.connect().execution_options(**options) as connection,
        closing(connection.exec_driver_sql(query)) as result,
    ):
        if not result.returns_rows:
            found = shorten(str(wanted.query), 98, placeholder="…")
            raise no_source("the query selects nothing", "SELECT …", found, MEND_QUERY)
        names = list(result.keys())
        return write_rows(names, _chunks(result), aside, wanted.parquet, wanted.meter.add)


def _chunks(result: CursorResult[Any]) -> Iterator[Columns]:
    for rows in result.yield_per(ROWS).partitions(ROWS):
        yield list(zip(*rows, strict=True))


def _no_driver(source: str, error: Exception) -> NoReturn:
    scheme = source.partition("://")[0]
    missing = getattr(error, "name", None)
    near = nearest(scheme.partition("+")[0], DATABASES)
    raise no_source(
        f"{scheme}:// cannot be read here",
        "a database whose driver is installed: " + ", ".join(DATABASES[:2]) + ", …",
        f"no {missing}" if missing else f"SQLAlchemy knows no {scheme}",
        f"pip install {missing}" if missing else f"did you mean {near}://…?" if near else "",
    ) from error


def _failed(wanted: Wanted, error: DBAPIError) -> NoReturn:
    """Report the driver's error without the password."""
    from sqlalchemy.exc import OperationalError

    words = redact(words_of(error.orig, 10_000))[:300]
    password = os.environ.get(PASSWORD)
    if password:
        words = words.replace(password, "***")
    lost = isinstance(error, OperationalError) and error.statement is None
    if lost or error.connection_invalidated:
        raise EnvironmentFault(
            "the database could not be reached",
            expected=f"an answer from {redact(wanted.source)}",
            found=words,
            next=f"try again; set {PASSWORD} if the database needs a password",
        ) from None
    rows = f"rows from {redact(wanted.source)}"
    raise no_source("the database refused the query", rows, words, MEND_QUERY) from None
