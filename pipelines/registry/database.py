"""The registry's tables where MLflow's store is SQLite or PostgreSQL, in transactions.

MLflow's client sets an alias and a tag in two calls, of which one may fail or be overtaken. Here
both are one transaction, in which the model's row is held: by `BEGIN IMMEDIATE` in SQLite, by
`SELECT … FOR UPDATE` in PostgreSQL. Nothing here imports mlflow, which takes two seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gristmill.pipelines.base import EnvironmentFault
from gristmill.pipelines.config import Project
from gristmill.pipelines.registry.version import Model, Version
from gristmill.pipelines.tracking import (
    check_store,
    is_local,
    local_database,
    relocate,
    tracking_uri,
    whole,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

DIALECTS = ("sqlite", "postgresql")
WORKSPACE = "default"
"""MLflow's name for the one workspace of a store that has no others."""

PATIENCE = 60
"""Seconds to wait for others who write to a SQLite file."""


def is_database(project: Project) -> bool:
    """Whether the registry's tables can be opened, rather than a server asked."""
    return tracking_uri(project).partition(":")[0].partition("+")[0] in DIALECTS


@contextmanager
def transaction(
    project: Project, doing: str, *, write: bool = False
) -> Iterator[Connection | None]:
    """A transaction, undone by an error; None where the store has no tables yet.

    Args:
        doing: what for, in words, should it fail.
        write: whether other writers are kept out from its beginning.

    Raises:
        EnvironmentFault: the store cannot be reached, read or written.
    """
    check_store(project)
    if is_local(project):
        if not local_database(project).is_file():
            yield None
            return
        relocate(project)
    from sqlalchemy import inspect
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with whole(), _engine(tracking_uri(project), write).begin() as connection:
            known = inspect(connection).has_table("registered_models")
            yield connection if known else None
    except SQLAlchemyError as error:
        raise EnvironmentFault(
            f"MLflow could not {doing}",
            found=str(error).strip().split("\n")[0][:300],
            next="gristmill doctor",
        ) from error


def _engine(uri: str, write: bool) -> Engine:
    from sqlalchemy import NullPool, create_engine, event

    if not uri.startswith("sqlite"):
        return create_engine(uri, poolclass=NullPool)
    engine = create_engine(uri, poolclass=NullPool, connect_args={"timeout": PATIENCE})

    @event.listens_for(engine, "connect")
    def _no_own_begin(connection: Any, _record: Any) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def names(connection: Connection) -> list[str]:
    """The registered models, in alphabetical order; MLflow keeps prompts in the same table."""
    query = (
        "SELECT m.name FROM registered_models m WHERE m.workspace = :workspace AND NOT EXISTS "
        "(SELECT 1 FROM registered_model_tags t WHERE t.workspace = m.workspace AND "
        "t.name = m.name AND t.key = 'mlflow.prompt.is_prompt' AND t.value = 'true')"
    )
    return sorted(name for (name,) in _asked(connection, query))


def read(connection: Connection, name: str, *, hold: bool = False) -> Model | None:
    """A model with its versions; None when there is no such model.

    Args:
        hold: whether nobody else may move its aliases here until the transaction ends.
    """
    row = " FOR UPDATE" if hold and connection.dialect.name == "postgresql" else ""
    model = "WHERE workspace = :workspace AND name = :name"
    if not _asked(connection, f"SELECT name FROM registered_models {model}{row}", name=name):
        return None
    aliases: dict[int, list[str]] = {}
    listed = _asked(
        connection, f"SELECT version, alias FROM registered_model_aliases {model}", name=name
    )
    for number, alias in listed:
        aliases.setdefault(number, []).append(alias)
    tags: dict[int, dict[str, str]] = {}
    listed = _asked(
        connection, f"SELECT version, key, value FROM model_version_tags {model}", name=name
    )
    for number, key, value in listed:
        tags.setdefault(number, {})[key] = value
    rows = _asked(
        connection,
        f"SELECT version, run_id, creation_time, source FROM model_versions {model} "
        "AND current_stage != 'Deleted_Internal' ORDER BY version DESC",
        name=name,
    )
    versions = tuple(
        Version(
            name,
            str(number),
            run_id or "",
            created / 1000,
            tuple(sorted(aliases.get(number, ()))),
            tags.get(number, {}),
            source or "",
        )
        for number, run_id, created, source in rows
    )
    of_model = f"SELECT key, value FROM registered_model_tags {model}"
    return Model(name, versions, dict(map(tuple, _asked(connection, of_model, name=name))))


def write(
    connection: Connection,
    model: Model,
    aliases: Mapping[str, str | None],
    entries: Mapping[str, str],
    version: str,
    tags: Mapping[str, str | None],
) -> None:
    """Sets aliases and a version's tags (None takes one away), and adds entries to the history."""
    for alias, number in aliases.items():
        key = {"name": model.name, "alias": alias}
        _set(connection, "registered_model_aliases", key, "version", number and int(number))
    for name, value in entries.items():
        key = {"name": model.name, "key": name}
        _set(connection, "registered_model_tags", key, "value", value, new=True)
    for name, text in tags.items():
        of_version = {"name": model.name, "version": int(version), "key": name}
        _set(connection, "model_version_tags", of_version, "value", text)


def _asked(connection: Connection, query: str, **values: object) -> list[Any]:
    from sqlalchemy import text

    return list(connection.execute(text(query), {"workspace": WORKSPACE, **values}))


def _set(
    connection: Connection,
    table: str,
    key: Mapping[str, object],
    column: str,
    value: object,
    *,
    new: bool = False,
) -> None:
    """Sets a value by its whole primary key, or removes the row where the value is None.

    Args:
        new: whether a row that is there already is an error.
    """
    from sqlalchemy import text

    row = {"workspace": WORKSPACE, **key}
    if value is None:
        where = " AND ".join(f"{name} = :{name}" for name in row)
        connection.execute(text(f"DELETE FROM {table} WHERE {where}"), row)
        return
    names = ", ".join((*row, column))
    places = ", ".join(f":{name}" for name in (*row, column))
    twice = "" if new else f" ON CONFLICT ({', '.join(row)}) DO UPDATE SET {column} = :{column}"
    query = f"INSERT INTO {table} ({names}) VALUES ({places}){twice}"
    connection.execute(text(query), {**row, column: value})
