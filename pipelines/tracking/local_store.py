"""Read MLflow's tables in the project's own SQLite file without importing mlflow.

Importing MLflow takes two seconds. A run with nothing to do, `models`, `data log`, `data who-used`
and `compare` read from here; all writing is done through MLflow's client.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking.store import reading
from gristmill.pipelines.tracking.stored import DataInput, StoredModel, StoredRun, StoredVersion

AMONG = "(SELECT value FROM json_each(?))"

OF_RUNS = {
    "tags": f"SELECT run_uuid, key, value FROM tags WHERE run_uuid IN {AMONG}",
    "params": f"SELECT run_uuid, key, value FROM params WHERE run_uuid IN {AMONG}",
    "metrics": "SELECT run_uuid, key, CASE WHEN is_nan THEN 'nan' ELSE value END "
    f"FROM latest_metrics WHERE run_uuid IN {AMONG}",
}
INPUTS = (
    "SELECT i.destination_id, d.name, d.digest, d.dataset_source, d.dataset_profile "
    "FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id "
    f"WHERE i.destination_id IN {AMONG} ORDER BY d.name"
)
MODELS = (
    "SELECT m.name FROM registered_models m WHERE ? IN ('', m.name) AND NOT EXISTS "
    "(SELECT 1 FROM registered_model_tags t WHERE t.name = m.name AND "
    "t.key = 'mlflow.prompt.is_prompt' AND t.value = 'true') ORDER BY m.name"
)
"""Names of registered models; MLflow stores prompts in the same table."""


def local_runs(
    project: Project,
    tags: Mapping[str, Collection[str]],
    *,
    status: str = "",
    deleted: bool = False,
    most: int | None = None,
    run_id: str = "",
) -> list[StoredRun]:
    """Return runs of the project's own store; see `find_runs`.

    Args:
        project: the project.
        tags: accepted values by tag; with no values the tag must exist.
        status: MLflow's status, for example `FINISHED`; any by default.
        deleted: whether to include deleted runs.
        most: largest number of runs; all by default.
        run_id: MLflow's id of a run, to return only that one.
    """
    where, values = ["? IN ('', run_uuid)"], [run_id]
    for tag, texts in tags.items():
        any_of = f" AND value IN {AMONG}" if texts else ""
        where.append(f"run_uuid IN (SELECT run_uuid FROM tags WHERE key = ?{any_of})")
        values += [tag, *([json.dumps(list(texts))] if texts else [])]
    if status:
        where.append("status = ?")
        values.append(status)
    if not deleted:
        where.append("lifecycle_stage = 'active'")
    order = "end_time" if status == "FINISHED" else "start_time"
    query = (
        "SELECT run_uuid, status, lifecycle_stage != 'active', coalesce(start_time, 0) / 1000.0, "
        "coalesce(end_time, 0) / 1000.0, artifact_uri FROM runs "
        f"WHERE {' AND '.join(where)} ORDER BY {order} DESC, run_uuid LIMIT ?"
    )
    with reading(project) as database:
        if database is None:
            return []
        rows = database.execute(query, (*values, -1 if most is None else most)).fetchall()
        ids = json.dumps([row[0] for row in rows])
        about = {k: _nested(database.execute(query, (ids,))) for k, query in OF_RUNS.items()}
        inputs: dict[str, list[DataInput]] = {}
        for found, *data in database.execute(INPUTS, (ids,)):
            if (one := DataInput.read(*data)) is not None:
                inputs.setdefault(found, []).append(one)
    return [
        StoredRun(
            *(run_id, status, bool(deleted), began, ended, artifacts),
            tags=about["tags"].get(run_id, {}),
            params=about["params"].get(run_id, {}),
            metrics={k: float(value) for k, value in about["metrics"].get(run_id, {}).items()},
            inputs=tuple(inputs.get(run_id, ())),
        )
        for run_id, status, deleted, began, ended, artifacts in rows
    ]


def local_models(project: Project, name: str = "") -> list[StoredModel]:
    """Return the registered models of the project's own store by name, or only the named one."""
    with reading(project) as database:
        if database is None:
            return []
        names = [found for (found,) in database.execute(MODELS, (name,)).fetchall()]
        return [_model(database, found) for found in names]


def local_package(project: Project, version: StoredVersion) -> str:
    """Return the artifact address of a version's package in the project's own store, or ""."""
    query = "SELECT storage_location FROM model_versions WHERE name = ? AND version = ?"
    with reading(project) as database:
        asked = (version.model, version.number)
        found = database.execute(query, asked).fetchone() if database else None
    return (found and found[0]) or ""


def _model(database: sqlite3.Connection, name: str) -> StoredModel:
    def listed(query: str) -> list[tuple[Any, ...]]:
        return database.execute(f"SELECT {query} WHERE name = ?", (name,)).fetchall()

    aliases = _nested(listed("version, alias, alias FROM registered_model_aliases"))
    tags = _nested(listed("version, key, value FROM model_version_tags"))
    rows = listed("version, run_id, creation_time, source, current_stage FROM model_versions")
    versions = (
        StoredVersion(
            name,
            str(number),
            run_id or "",
            created / 1000,
            tuple(sorted(aliases.get(number, ()))),
            tags.get(number, {}),
            source or "",
        )
        for number, run_id, created, source, stage in sorted(rows, reverse=True)
        if stage != "Deleted_Internal"
    )
    return StoredModel(name, dict(listed("key, value FROM registered_model_tags")), tuple(versions))


def _nested(rows: Iterable[tuple[Any, ...]]) -> dict[Any, dict[str, Any]]:
    """Convert rows of (owner, key, value) to a dictionary for each owner."""
    found: dict[Any, dict[str, Any]] = {}
    for owner, key, value in rows:
        found.setdefault(owner, {})[key] = value
    return found
