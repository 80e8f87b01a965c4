"""`gristmill runs gc`: what it removes and what it never removes."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from aftermath import rows_of

from gristmill.commands.gc import Removable, collect, find, seconds
from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.base.files import write_json
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.registry.promotion import promote
from gristmill.pipelines.registry.registered_models import register, versions
from gristmill.pipelines.tracking import (
    Tracker,
    TrialRun,
    client,
    local_database,
    remove_run,
    stored_runs,
)

RESULT: dict[str, Any] = {
    "status": "finished",
    "history": {"loss": [1.0]},
    "scores": {"loss": 1.0},
    "started": 0.0,
    "seconds": 1.0,
    "error": "",
}
DAY = 86400.0


def record(
    project: Project, keys: Sequence[str], winner: str, known: Sequence[str] = (), days: float = 0
) -> str:
    """Record a run with trained and known trials that ended some days ago; return its id."""
    folder = project.root / "aside"
    folder.mkdir(exist_ok=True)
    with Tracker(project, "tiny") as tracker:
        for key in keys:
            weights = folder / "weights.npz"
            weights.write_bytes(b"x" * 1000)
            trial = TrialRun(tracker, key, key, {}, {"key": key})
            trial.finish({**RESULT, "key": key}, [weights])
            age(project, trial.run_id, days)
        write_json(folder / "trials.json", [*keys, *known])
        tracker.log_file(folder / "trials.json", "lineage")
        tracker.log(tags={"gristmill.winner": winner})
    age(project, tracker.run_id, days)
    return tracker.run_id


def age(project: Project, run_id: str, days: float) -> None:
    with closing(sqlite3.connect(local_database(project))) as database, database:
        then = int((time.time() - days * DAY) * 1000)
        database.execute(
            "UPDATE runs SET start_time = ?, end_time = ? WHERE run_uuid = ?", (then, then, run_id)
        )


def found(project: Project, keep: int = 0, days: float = 30) -> Removable:
    return find(project, time.time() - days * DAY, keep, set())


def keys(what: Removable) -> set[str]:
    return {trial.key for trial in what.trials}


def test_old_runs_and_their_trials_are_removed_and_young_ones_stay(stored: Project) -> None:
    old = record(stored, ["a", "b"], "a", days=31)
    record(stored, ["c"], "c", days=29)
    what = found(stored)
    assert ([run.run_id for run in what.runs], keys(what)) == ([old], {"a", "b"})
    assert found(stored, days=32) == Removable()


def test_an_old_trial_that_a_young_run_reused_stays(stored: Project) -> None:
    record(stored, ["a", "b"], "a", days=31)
    record(stored, ["c"], "c", known=["b"], days=1)
    assert keys(found(stored)) == {"a"}


def test_the_newest_runs_stay_whatever_their_age(stored: Project) -> None:
    record(stored, ["a"], "a", days=50)
    record(stored, ["b"], "b", days=40)
    assert keys(found(stored, keep=1)) == {"a"}
    assert keys(found(stored, keep=2)) == set()


def test_the_run_and_the_winner_of_a_registered_version_are_always_kept(stored: Project) -> None:
    run = record(stored, ["a", "b"], "a", days=400)
    register(stored, "tiny", "somewhere", run, {"gristmill.trial": "a"})
    promote(stored, "tiny", "1", "first")
    what = found(stored)
    assert what.runs == []
    assert keys(what) == {"b"}


def test_an_active_run_keeps_all_runs_of_its_experiment(stored: Project) -> None:
    record(stored, ["a"], "a", days=50)
    with Tracker(stored, "tiny"):
        what = found(stored)
        assert (what.runs, what.trials, what.busy) == ([], [], {"tiny"})


def test_runs_created_with_mlflow_alone_are_ignored(stored: Project) -> None:
    made = client(stored).create_run("0")
    age(stored, made.info.run_id, 400)
    assert stored_runs(stored, deleted=True) == []


def test_old_trial_folders_are_removed_unless_they_are_needed(stored: Project) -> None:
    record(stored, ["c"], "c", days=1)
    folders = {key: stored.build("tiny") / "trials" / key for key in "abc"}
    for key, folder in folders.items():
        folder.mkdir(parents=True)
        (folder / "weights.npz").write_bytes(b"x")
        then = time.time() - (1 if key == "b" else 50) * DAY
        os.utime(folder / "weights.npz", (then, then))
    assert found(stored).folders == [folders["a"]]


@pytest.fixture
def in_project(stored: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(stored.root)
    return stored


def collected(capsys: pytest.CaptureFixture[str], *, dry_run: bool) -> str:
    collect("30d", 0, dry_run)
    return capsys.readouterr().out


def test_a_removed_run_is_gone_from_the_tables_and_the_disk(
    in_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    run = record(in_project, ["a", "b"], "a", days=50)
    binned = record(in_project, ["c"], "c", days=60)
    client(in_project).delete_run(binned)
    kept = record(in_project, ["d"], "d", days=1)
    client(in_project).create_registered_model("bare")
    said = collected(capsys, dry_run=True)
    assert "runs                 2" in said
    assert "trials               3  in MLflow, with their weights, 0.0 MB" in said
    assert "empty models         1" in said
    assert "nothing was removed" in said
    assert len(stored_runs(in_project, deleted=True)) == 7
    assert "removed; older than 30d" in collected(capsys, dry_run=False)
    left = {one.run_id for one in stored_runs(in_project, deleted=True)}
    assert len(left) == 2
    assert kept in left
    for table in ("runs", "tags", "metrics", "params"):
        named = rows_of(local_database(in_project), f"SELECT DISTINCT run_uuid FROM {table}")
        assert {name for (name,) in named} <= left
    folders = in_project.store / "artifacts" / "tiny"
    assert {folder.name for folder in folders.iterdir()} == left
    assert run not in left
    assert versions(in_project, "bare") == []
    assert "runs                 0" in collected(capsys, dry_run=True)


def test_an_experiment_with_an_active_run_is_skipped_and_named(
    in_project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    record(in_project, ["a"], "a", days=50)
    (in_project.build("tiny") / "trials").mkdir(parents=True)
    with (in_project.build("tiny") / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "tiny is running now" in collected(capsys, dry_run=False)
    assert len(stored_runs(in_project)) == 2
    collected(capsys, dry_run=False)
    assert stored_runs(in_project) == []


def test_artifacts_outside_the_store_are_not_touched(stored: Project, tmp_path: Path) -> None:
    run = record(stored, [], "a", days=50)
    precious = tmp_path / "precious" / "artifacts"
    precious.mkdir(parents=True)
    with closing(sqlite3.connect(local_database(stored))) as database, database:
        database.execute("UPDATE runs SET artifact_uri = ?", (precious.as_uri(),))
    (one,) = stored_runs(stored)
    assert one.run_id == run
    remove_run(stored, one)
    assert precious.is_dir()
    assert stored_runs(stored, deleted=True) == []


@pytest.mark.parametrize(("text", "expected"), [("30d", 30 * DAY), ("1.5h", 5400), ("0s", 0)])
def test_an_age_is_a_number_and_a_unit(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["30", "d", "-1d", "30 d", "1y"])
def test_any_other_age_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="a number and a unit"):
        seconds(text)
