"""The ledger: is this trial known, has this run been done? Local answers need no mlflow."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking.store import is_local, reading
from gristmill.pipelines.tracking.tags import (
    ANSWERS,
    DATA,
    DATA_TAG,
    DECISION,
    EXPERIMENT,
    MODEL,
    PARENT,
    READS,
    REASONS,
    RECIPE,
    ROLES,
    RUN_KEY,
    SEARCH,
    TEST,
    TEST_SET,
    TRIAL_KEY,
    TRIAL_PARTS,
    TRIAL_RESULT,
    VERSION,
    WINNER,
    Run,
)

ASKED_AT_ONCE = 8
"""Questions to a server of MLflow that are under way at the same time."""


@dataclass(frozen=True)
class KnownTrial:
    """A finished trial in the store; `result` is a TrialResult without its history."""

    run_id: str
    artifacts: str
    result: Mapping[str, Any]


@dataclass(frozen=True)
class KnownRun:
    """A run that went through to its decision."""

    run_id: str
    decision: str
    reasons: str
    model: str
    version: str
    winner: str


def known_trials(project: Project, keys: Sequence[str]) -> dict[str, list[KnownTrial]]:
    """Finished trials by key, newest first."""
    found: dict[str, list[KnownTrial]] = {}
    if is_local(project):  # one question for all: their number may be great
        query = (
            "SELECT k.value, r.run_uuid, r.artifact_uri, t.value FROM tags k JOIN runs r "
            "USING (run_uuid) JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = ? "
            "WHERE k.key = ? AND k.value IN (SELECT value FROM json_each(?)) "
            "AND r.status = 'FINISHED' AND r.lifecycle_stage = 'active' ORDER BY r.end_time DESC"
        )
        listed = _asked(project, query, TRIAL_RESULT, TRIAL_KEY, json.dumps(list(keys)))
        for key, run_id, artifacts, result in listed:
            trial = KnownTrial(run_id, artifacts, json.loads(result))
            found.setdefault(key, []).append(trial)
        return found
    distinct = list(dict.fromkeys(keys))
    with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:  # MLflow's filters know no "one of these"
        answers = list(pool.map(lambda key: _runs(project, TRIAL_KEY, key), distinct))
    for key, runs in zip(distinct, answers, strict=True):
        for run_id, artifacts, tags in runs:
            if TRIAL_RESULT in tags:
                trial = KnownTrial(run_id, artifacts, json.loads(tags[TRIAL_RESULT]))
                found.setdefault(key, []).append(trial)
    return found


def known_run(project: Project, key: str) -> KnownRun | None:
    """The newest finished run of this key whose registered version is still there."""
    for run_id, _, tags in _runs(project, RUN_KEY, key):
        run = KnownRun(
            run_id,
            tags.get(DECISION, ""),
            tags.get(REASONS, ""),
            tags.get(MODEL, ""),
            tags.get(VERSION, ""),
            tags.get(WINNER, ""),
        )
        if run.decision and _version_exists(project, run.model, run.version):
            return run
    return None


@dataclass(frozen=True)
class PastTrial:
    """A finished trial, as something to compare with.

    Attributes:
        run_id, parent: of it and of the run that it belongs to.
        parts: what its key was made of.
        recipe: its resolved settings; None where they were not kept.
    """

    run_id: str
    parent: str
    parts: Mapping[str, str]
    recipe: Mapping[str, Any] | None


def past_trials(project: Project, experiment: str, most: int = 200) -> list[PastTrial]:
    """The experiment's finished trials, the newest first, each key once."""
    found: dict[str, PastTrial] = {}
    for run_id, _, tags in _runs(project, EXPERIMENT, experiment, most):
        if TRIAL_PARTS in tags:
            recipe = json.loads(tags[RECIPE]) if RECIPE in tags else None
            parts = dict(json.loads(tags[TRIAL_PARTS]))
            past = PastTrial(run_id, tags.get(PARENT, ""), parts, recipe)
            found.setdefault(tags.get(TRIAL_KEY, run_id), past)
    return list(found.values())


def run_tags(project: Project, run_id: str) -> Mapping[str, str]:
    """The tags of a run; none when it is not there."""
    if not is_local(project):
        from gristmill.pipelines.tracking.run_records import tags_of

        return tags_of(project, run_id)
    return dict(_asked(project, "SELECT key, value FROM tags WHERE run_uuid = ?", run_id))


def rows_read(project: Project, run_id: str) -> int:
    """How many rows a run of the local store read, of all roles; 0 where that is not known."""
    query = (
        "SELECT sum(json_extract(d.dataset_profile, '$.num_rows')) FROM datasets d "
        "JOIN inputs i ON i.source_id = d.dataset_uuid WHERE i.destination_id = ?"
    )
    return int(next((rows for (rows,) in _asked(project, query, run_id) if rows), 0))


@dataclass(frozen=True)
class Tried:
    """A finished trial and the parameters that it was trained with, as texts."""

    parameters: Mapping[str, str]
    trial: KnownTrial


def tried(project: Project, experiment: str, before: float) -> list[Tried]:
    """The finished trials of an experiment that ended before a time, in seconds since 1970."""
    if not is_local(project):
        from gristmill.pipelines.tracking.run_records import find_trials

        rows = find_trials(project, experiment, before)
    else:
        end = before * 1000 if math.isfinite(before) else 2**62
        asked = (TRIAL_RESULT, EXPERIMENT, experiment, str(int(end)))
        rows = [
            (run_id, artifacts, dict(_asked(project, PARAMETERS, run_id)), result)
            for run_id, artifacts, result in _asked(project, ENDED_TRIALS, *asked)
        ]
    return [
        Tried(parameters, KnownTrial(run_id, artifacts, json.loads(result)))
        for run_id, artifacts, parameters, result in rows
    ]


PARAMETERS = "SELECT key, value FROM params WHERE run_uuid = ?"
ENDED_TRIALS = (
    "SELECT r.run_uuid, r.artifact_uri, t.value FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid "
    "AND t.key = ? JOIN tags e ON e.run_uuid = r.run_uuid AND e.key = ? AND e.value = ? "
    "WHERE r.status = 'FINISHED' AND r.lifecycle_stage = 'active' "
    "AND r.end_time <= CAST(? AS INTEGER)"
)


def search_began(project: Project, key: str) -> float:
    """When the first run of a search began, in seconds since 1970; infinite while there is none."""
    if not is_local(project):
        from gristmill.pipelines.tracking.run_records import first_start

        return first_start(project, SEARCH, key)
    query = (
        "SELECT min(r.start_time) FROM runs r JOIN tags t ON t.run_uuid = r.run_uuid "
        "WHERE t.key = ? AND t.value = ? AND r.lifecycle_stage = 'active'"
    )
    began = [start for (start,) in _asked(project, query, SEARCH, key) if start is not None]
    return began[0] / 1000 if began else math.inf


def any_running(project: Project) -> bool:
    """Whether a run in the local store says that it goes on."""
    return bool(_asked(project, "SELECT 1 FROM runs WHERE status = 'RUNNING' LIMIT 1"))


@dataclass(frozen=True)
class TrainedModel:
    """A registered version, the data that it was trained on, by DVC's hash, and its run."""

    model: str
    version: str
    aliases: tuple[str, ...]
    data: str
    run_id: str


def trained_models(project: Project) -> list[TrainedModel]:
    """The registered versions of the local store that say which data they were trained on."""
    query = (
        "SELECT v.name, v.version, t.value, v.run_id, (SELECT group_concat(alias, ',') FROM "
        "registered_model_aliases a WHERE a.name = v.name AND a.version = v.version) "
        "FROM model_versions v JOIN model_version_tags t ON t.name = v.name "
        "AND t.version = v.version WHERE t.key = ? AND v.current_stage != 'Deleted_Internal' "
        "ORDER BY v.name, v.version"
    )
    return [
        TrainedModel(
            model, str(version), tuple(sorted(filter(None, (aliases or "").split(",")))), data, run
        )
        for model, version, data, run, aliases in _asked(project, query, DATA)
    ]


@dataclass(frozen=True)
class EvaluatedRun:
    """A run whose winner has answered the test rows.

    Attributes:
        experiment: of which it is a run.
        metrics: names of the test metrics.
        version: that it made or came to again; empty where it came to none.
    """

    run_id: str
    experiment: str
    metrics: tuple[str, ...]
    version: str


def evaluated_runs(project: Project) -> list[EvaluatedRun]:
    """The runs of any store that came to test metrics, the newest first."""
    found: list[tuple[str, str, Collection[str], str]]
    if is_local(project):
        query = (
            "SELECT r.run_uuid, e.value, group_concat(m.key, ','), v.value FROM runs r "
            "JOIN tags e ON e.run_uuid = r.run_uuid AND e.key = ? "
            "JOIN latest_metrics m ON m.run_uuid = r.run_uuid AND instr(m.key, ?) = 1 "
            "LEFT JOIN tags v ON v.run_uuid = r.run_uuid AND v.key = ? "
            "WHERE r.lifecycle_stage = 'active' GROUP BY r.run_uuid ORDER BY r.start_time DESC"
        )
        listed = _asked(project, query, EXPERIMENT, TEST, VERSION)
        found = [(run, name, keys.split(","), version) for run, name, keys, version in listed]
    else:
        from gristmill.pipelines.tracking.stored import stored_runs

        found = [
            (run.run_id, run.experiment, run.metrics.keys(), run.tags.get(VERSION, ""))
            for run in stored_runs(project, "run")
        ]
    return [
        EvaluatedRun(
            run_id, experiment, tuple(key.removeprefix(TEST) for key in keys), version or ""
        )
        for run_id, experiment, keys, version in found
        if any(key.startswith(TEST) for key in keys)
    ]


@dataclass(frozen=True)
class UsedData:
    """A run and the version of a data set that it read.

    Attributes:
        folder, digest: of the data set, below `data/`, and DVC's hash of it.
        began: seconds since 1970.
        decision: over the version that it made; empty where it came to none.
    """

    run_id: str
    experiment: str
    folder: str
    digest: str
    began: float
    status: str
    decision: str


def used_data(project: Project) -> list[UsedData]:
    """The runs of any store that say which data they read, the newest first."""
    if not is_local(project):
        from gristmill.pipelines.tracking.stored import stored_runs

        return [
            UsedData(
                *(run.run_id, run.experiment, key.removeprefix(DATA_TAG), digest),
                *(run.began, run.status, run.tags.get(DECISION, "")),
            )
            for run in stored_runs(project, "run")
            for key, digest in run.tags.items()
            if key.startswith(DATA_TAG)
        ]
    query = (
        "SELECT r.run_uuid, e.value, substr(d.key, ?), d.value, r.start_time, r.status, v.value "
        "FROM tags d JOIN runs r ON r.run_uuid = d.run_uuid AND r.lifecycle_stage = 'active' "
        "LEFT JOIN tags e ON e.run_uuid = r.run_uuid AND e.key = ? "
        "LEFT JOIN tags v ON v.run_uuid = r.run_uuid AND v.key = ? "
        "WHERE instr(d.key, ?) = 1 ORDER BY r.start_time DESC"
    )
    listed = _asked(project, query, str(len(DATA_TAG) + 1), EXPERIMENT, DECISION, DATA_TAG)
    return [
        UsedData(run, name or "", folder, digest, (began or 0) / 1000, status, decision or "")
        for run, name, folder, digest, began, status, decision in listed
    ]


def reads_with(project: Project, test_set: str, answers: str) -> int:
    """How many candidates a test set has had, one with these answers included.

    Args:
        test_set: digest of its rows.
        answers: digest of what the candidate answered; those that were given before count once.
    """
    found: list[tuple[str, str]]
    if is_local(project):
        query = (
            "SELECT a.value, n.value FROM tags t JOIN tags a ON a.run_uuid = t.run_uuid "
            "AND a.key = ? JOIN tags n ON n.run_uuid = t.run_uuid AND n.key = ? "
            "WHERE t.key = ? AND t.value = ?"
        )
        listed = _asked(project, query, ANSWERS, READS, TEST_SET, test_set)
        found = [(given, count) for given, count in listed]
    else:
        from gristmill.pipelines.tracking.stored import stored_runs

        runs = (run.tags for run in stored_runs(project, "run", deleted=True))
        found = [(t[ANSWERS], t[READS]) for t in runs if t.get(TEST_SET) == test_set and READS in t]
    most = max((int(count) for _, count in found), default=0)
    return most + (answers not in {given for given, _ in found})


def local_artifact(project: Project, run_id: str, name: str) -> Path | None:
    """The file of an artifact in the local store; None where it is not there or in another store.

    Run `relocate` first where the project may have been moved.
    """
    rows = _asked(project, "SELECT artifact_uri FROM runs WHERE run_uuid = ?", run_id)
    parts = [urlsplit(uri) for (uri,) in rows if is_local(project)]
    files = [Path(unquote(part.path)) / name for part in parts if part.scheme in ("", "file")]
    return next((file for file in files if file.is_file()), None)


def data_rows(project: Project, folder: str, experiments: Collection[str]) -> dict[str, int]:
    """Rows of a data set's versions, as runs of these experiments in the local store saw them."""
    query = (
        "SELECT d.digest, i.destination_id, count(DISTINCT d.name), "
        "sum(json_extract(d.dataset_profile, '$.num_rows')) FROM datasets d "
        "JOIN inputs i ON i.source_id = d.dataset_uuid JOIN tags t ON t.run_uuid = "
        f"i.destination_id AND t.key = ? WHERE t.value IN ({','.join('?' * len(experiments))}) "
        "AND d.name IN (?, ?, ?) GROUP BY d.digest, i.destination_id"
    )
    names = [f"{folder} {role}" for role in ROLES]
    listed = _asked(project, query, EXPERIMENT, *experiments, *names)
    return {digest: int(rows) for digest, _, roles, rows in listed if roles == len(ROLES)}


def _asked(project: Project, query: str, *values: str) -> list[tuple[Any, ...]]:
    with reading(project) as database:
        if database is None:
            return []
        try:
            return database.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # a store whose tables are still to be made
                return []
            raise


def _runs(project: Project, tag: str, value: str, most: int = 50) -> list[Run]:
    """Finished runs with a tag, newest first: id, artifact address, tags."""
    if not is_local(project):
        from gristmill.pipelines.tracking.run_records import find_runs

        return find_runs(project, tag, value, most)
    with reading(project) as database:
        if database is None:
            return []
        try:
            rows = database.execute(
                "SELECT r.run_uuid, r.artifact_uri FROM tags t JOIN runs r USING (run_uuid) "
                "WHERE t.key = ? AND t.value = ? AND r.status = 'FINISHED' "
                "AND r.lifecycle_stage = 'active' ORDER BY r.end_time DESC LIMIT ?",
                (tag, value, most),
            ).fetchall()
            return [
                (
                    run,
                    place,
                    dict(
                        database.execute("SELECT key, value FROM tags WHERE run_uuid = ?", (run,))
                    ),
                )
                for run, place in rows
            ]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # a store whose tables are still to be made
                return []
            raise


def _version_exists(project: Project, model: str, version: str) -> bool:
    if not is_local(project):
        return True
    with reading(project) as database:
        if database is None:
            return False
        query = (
            "SELECT 1 FROM model_versions WHERE name = ? AND version = ? "
            "AND current_stage != 'Deleted_Internal'"
        )
        return database.execute(query, (model, version or -1)).fetchone() is not None
