"""A database: what a query selects, read in chunks and never changed."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gristmill.pipelines.base import (
    ConfigError,
    EnvironmentFault,
    InputError,
    nearest,
    open_sqlite,
    redact,
)
from gristmill.pipelines.config import DATABASES, holds_password
from gristmill.pipelines.ingestion.sources.meter import Wanted
from gristmill.pipelines.ingestion.sources.row_writer import Columns, write_rows

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

PASSWORD = "GRISTMILL_SQL_PASSWORD"
"""Environment variable: the password of a database; without it the driver's own ways count."""

ROWS = 20_000
"""Rows that are held at a time."""


def select(wanted: Wanted, aside: Path) -> tuple[str, ...]:
    """Writes the rows of a query as CSV or Parquet; the connection can only read.

    Raises:
        ConfigError: the address, the query or a driver is wrong or missing; a password is in it.
        InputError: the query gives no rows.
        EnvironmentFault: the database cannot be reached, or a write to it was interrupted.
    """
    from sqlalchemy.exc import DBAPIError, NoSuchModuleError

    try:
        engine = _engine(wanted)
        try:
            rows = _stream(engine, wanted, aside)
        finally:
            engine.dispose()
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        _no_driver(wanted.source, error)
    except DBAPIError as error:
        _failed(wanted, error)
    if not rows:
        raise InputError(
            "the query gives no rows",
            expected="rows to learn from",
            found="none",
            next="mend data.query in the experiment file",
        )
    return () if is_ordered(str(wanted.query)) else (UNORDERED,)


UNORDERED = (
    "the query has no ORDER BY: a database may give its rows in another order each time, "
    "which looks like new data"
)


def is_ordered(query: str) -> bool:
    """Whether a query's own result, not only an inner one's, has an ORDER BY."""
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
        raise ConfigError(
            "a database's address may hold no password",
            expected=f"an address without one, and the password in {PASSWORD}",
            found=redact(wanted.source),
        )
    if wanted.query is None:
        raise ConfigError(
            "a database needs a query",
            expected="data.query, such as SELECT * FROM customers ORDER BY id",
            found="none",
        )
    try:
        url = make_url(wanted.source)
    except (ArgumentError, ValueError) as error:
        raise ConfigError(
            "the database's address cannot be read",
            expected="postgresql+psycopg://user@host/name or sqlite:///file.db",
            found=redact(wanted.source),
            next="mend data.source in the experiment file",
        ) from error
    if url.get_backend_name() == "sqlite":
        return create_engine("sqlite://", creator=lambda: _sqlite(wanted, url), poolclass=NullPool)
    password = os.environ.get(PASSWORD)
    return create_engine(
        url.set(password=password) if password else url, poolclass=NullPool, hide_parameters=True
    )


def _sqlite(wanted: Wanted, url: URL) -> sqlite3.Connection:
    file = wanted.project.root / Path(url.database or "").expanduser()
    if not file.is_file():  # sqlite would make an empty one
        raise ConfigError(
            "the database is not there",
            expected="an SQLite file: sqlite:///a.db in the project, sqlite:////srv/a.db anywhere",
            found=f"nothing at {file}" if not file.exists() else f"a folder at {file}",
            next="mend data.source in the experiment file",
        )
    return open_sqlite(file.resolve(), ours=False)


def _stream(engine: Engine, wanted: Wanted, aside: Path) -> int:
    options: dict[str, Any] = {"stream_results": True, "no_parameters": True}
    if engine.dialect.name == "postgresql":
        options["postgresql_readonly"] = True
    with (
        engine.connect().execution_options(**options) as connection,
        closing(connection.exec_driver_sql(_one(str(wanted.query)))) as result,
    ):
        if not result.returns_rows:
            raise ConfigError(
                "the query selects nothing",
                expected="SELECT …",
                found=_shown(str(wanted.query)),
                next="mend data.query in the experiment file",
            )
        names = list(result.keys())
        return write_rows(names, _chunks(result), aside, wanted.parquet, wanted.meter.add)


def _one(query: str) -> str:
    return query.strip().rstrip(";").rstrip()


def _chunks(result: Any) -> Iterator[Columns]:
    for rows in result.yield_per(ROWS).partitions(ROWS):
        yield list(zip(*rows, strict=True))


def _no_driver(source: str, error: Exception) -> NoReturn:
    scheme = source.partition("://")[0]
    missing = getattr(error, "name", None)
    near = nearest(scheme.partition("+")[0], DATABASES)
    raise ConfigError(
        f"{scheme}:// cannot be read here",
        expected="a database whose driver is installed: " + ", ".join(DATABASES[:2]) + ", …",
        found=f"no {missing}" if missing else f"SQLAlchemy knows no {scheme}",
        next=f"pip install {missing}" if missing else f"did you mean {near}://…?" if near else "",
    ) from error


def _failed(wanted: Wanted, error: Any) -> NoReturn:
    """The driver's words, without the password, whatever the driver says."""
    from sqlalchemy.exc import OperationalError

    words = redact(" ".join(str(error.orig).split()))[:300]
    password = os.environ.get(PASSWORD)
    if password:
        words = words.replace(password, "***")
    lost = isinstance(error, OperationalError) and error.statement is None
    if lost or error.connection_invalidated:
        raise EnvironmentFault(
            "the database could not be reached",
            expected=f"an answer from {redact(wanted.source)}",
            found=words,
            next=f"try again; {PASSWORD} holds the password, where it needs one",
        ) from None
    raise ConfigError(
        "the database refused the query",
        expected=f"rows from {redact(wanted.source)}",
        found=words,
        next="mend data.query in the experiment file",
    ) from None


def _shown(query: str) -> str:
    text = " ".join(query.split())
    return text if len(text) <= 100 else text[:97] + "…"
