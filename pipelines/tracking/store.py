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

RESTORE = "restore mlruns/mlflow.db from a backup; or, to begin again without its history"
ANEW = "mv mlruns/artifacts mlruns/artifacts.old"


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
    """Open the local database read-only in one transaction; yield None if there is none yet.

    Raises:
        EnvironmentFault: the file is not a database, cannot be read, or has lost its content.
    """
    file = local_database(project)
    if not file.is_file() or file.stat().st_size == 0:
        _require_no_history(project, "an empty file" if file.is_file() else "no such file")
        yield None
        return
    try:
        with closing(open_sqlite(file)) as database:
            database.execute("BEGIN")
            made = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'")
            has_tables = made.fetchone() is not None
            own = "SELECT 1 FROM experiments WHERE name != 'Default' UNION SELECT 1 FROM runs"
            if not has_tables or database.execute(own).fetchone() is None:
                _require_no_history(project, "a database without runs")
            yield database if has_tables else None
    except sqlite3.DatabaseError as error:
        damaged = not isinstance(error, sqlite3.OperationalError)
        raise EnvironmentFault(
            "MLflow's store cannot be read",
            expected=f"a database {project.relative(file)}",
            found=str(error),
            next=f"{RESTORE}:\nmv mlruns/mlflow.db mlruns/mlflow.db.old; {ANEW}"
            if damaged
            else "gristmill doctor",
        ) from error


def _require_no_history(project: Project, found: str) -> None:
    """Raise EnvironmentFault if the database has no content, but artifacts of runs are there.

    Without this check a run would promote a model because "there is no champion yet".
    """
    folders = sorted((project.root / ARTIFACTS).glob("*"))
    kept = [folder.name for folder in folders if any(p.is_file() for p in folder.rglob("*"))]
    if kept:
        file = project.relative(local_database(project))
        raise EnvironmentFault(
            f"MLflow's database is gone, but artifacts of {', '.join(kept[:5])} are there",
            expected=f"{file}, with the history of these runs and their champions",
            found=found,
            next=f"{RESTORE}:\n{ANEW}",
        )


def check_content(project: Project) -> None:
    """Raise EnvironmentFault if the local database is damaged; this reads all of it."""
    with reading(project) as database:
        faults = database.execute("PRAGMA quick_check(1)").fetchone() if database else ("ok",)
        if faults != ("ok",):
            raise sqlite3.DatabaseError(*faults)


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
