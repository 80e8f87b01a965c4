"""The location of MLflow's store, and checks of it, without importing mlflow."""

from __future__ import annotations

import importlib.util
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from gristmill.pipelines.base import EnvironmentFault, open_sqlite
from gristmill.pipelines.config import Project

ARTIFACTS = "mlruns/artifacts"


def tracking_uri(project: Project) -> str:
    """Return `MLFLOW_TRACKING_URI` if it is set, else the URI of the project's own database."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{local_database(project)}"


def local_database(project: Project) -> Path:
    return project.store / "mlflow.db"


def is_local(project: Project) -> bool:
    """Return whether the store is the project's own database."""
    return tracking_uri(project) == f"sqlite:///{local_database(project)}"


def check_store(project: Project) -> None:
    """Raise EnvironmentFault if the local store is not writable or is of a newer MLflow."""
    if not is_local(project):
        return
    place = project.store
    place.mkdir(parents=True, exist_ok=True)
    for path in (place, local_database(project)):
        if path.exists() and not _writable(path):
            raise EnvironmentFault(
                "MLflow's store cannot be written",
                expected=f"a writable folder {project.relative(place)}/",
                found=f"{project.relative(path)} is read-only",
                next=f"chmod -R u+w {project.relative(place)}",
            )
    revision = schema_revision(project)
    if revision is not None and revision not in known_revisions():
        raise EnvironmentFault(
            "MLflow's store was written by a newer MLflow than the installed one",
            expected="a database schema that the installed version knows",
            found=f"schema {revision} in {project.relative(local_database(project))}",
            next="install the newer version (git pull, then make setup), or move mlruns/ aside",
        )


def schema_revision(project: Project) -> str | None:
    """Return the revision of the local store's schema; None if there is no store yet."""
    with reading(project) as database:
        found = database.execute("SELECT version_num FROM alembic_version") if database else ()
        return next((str(revision) for (revision,) in found), None)


def known_revisions() -> frozenset[str]:
    """Return the schema revisions for which the installed MLflow has migrations."""
    spec = importlib.util.find_spec("mlflow")
    if spec is None or spec.origin is None:
        return frozenset()
    folder = Path(spec.origin).parent / "store" / "db_migrations" / "versions"
    return frozenset(file.name.partition("_")[0] for file in folder.glob("*_*.py"))


@contextmanager
def reading(project: Project) -> Iterator[sqlite3.Connection | None]:
    """Open the local database read-only in one transaction; yield None if it has no tables yet.

    Raises:
        EnvironmentFault: the file is not a database, or cannot be read.
    """
    file = local_database(project)
    if not file.is_file() or file.stat().st_size == 0:
        yield None
        return
    try:
        with closing(open_sqlite(file)) as database:
            database.execute("BEGIN")
            made = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")
            yield database if made.fetchone() else None
    except sqlite3.DatabaseError as error:
        raise EnvironmentFault(
            "MLflow's store cannot be read",
            expected=f"a database {project.relative(file)}",
            found=str(error),
            next="move mlruns/mlflow.db aside; the next run creates a new one"
            if not isinstance(error, sqlite3.OperationalError)
            else "gristmill doctor",
        ) from error


def relocate(project: Project) -> None:
    """Update the absolute artifact paths in the local store after the project was moved."""
    with reading(project) as database:
        if database is None:
            return
        rows = database.execute("SELECT name, artifact_location FROM experiments").fetchall()
    here = (project.root / ARTIFACTS).as_uri()
    old = {
        location.removesuffix(f"/{name}")
        for name, location in rows
        if location and location.endswith(f"/{ARTIFACTS}/{name}") and location != f"{here}/{name}"
    }
    columns = (
        ("experiments", "artifact_location"),
        ("runs", "artifact_uri"),
        ("logged_models", "artifact_location"),
        ("model_versions", "source"),
        ("model_versions", "storage_location"),
    )
    for place in old:
        with closing(sqlite3.connect(local_database(project), timeout=10)) as database, database:
            for table, column in columns:
                database.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE substr({column}, 1, ?) = ?",
                    (here, len(place) + 1, len(place) + 1, f"{place}/"),
                )


def _writable(path: Path) -> bool:
    if not os.access(path, os.W_OK):
        return False
    mode = path.stat().st_mode
    return bool(mode & 0o200)  # root could write anyway, but respect the file mode
