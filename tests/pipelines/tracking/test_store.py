"""The local store: whether it can be used, and what happens when the project moves."""

from __future__ import annotations

import shutil
import socket
import sqlite3
import subprocess
from pathlib import Path

import pytest
from hot_journal import journal, leave_hot_journal
from tiny import make_project

from gristmill.pipelines.base.errors import EnvironmentFault
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.tracking import (
    Tracker,
    client,
    connection,
    fetch_artifact,
    local_models,
    remove_run,
    stored_runs,
)
from gristmill.pipelines.tracking.store import (
    ANEW,
    check_content,
    check_store,
    is_local,
    known_revisions,
    local_database,
    relocate,
    schema_revision,
    tracking_uri,
)


def sql(project: Project, query: str, *values: str) -> list[tuple[str, ...]]:
    database = sqlite3.connect(local_database(project))
    with database:
        rows = database.execute(query, values).fetchall()
    database.close()
    return rows


def test_the_store_is_in_the_project_unless_the_environment_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path)
    assert is_local(project)
    assert tracking_uri(project) == f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert tracking_uri(project) == "http://127.0.0.1:5000"
    assert not is_local(project)


def test_a_project_without_a_store_is_accepted_and_gets_its_folder(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    check_store(project)
    assert project.store.is_dir()
    assert schema_revision(project) is None
    local_database(project).touch()  # empty: tables not created yet
    check_store(project)
    assert schema_revision(project) is None


def test_a_store_of_the_installed_version_is_accepted(stored: Project) -> None:
    check_store(stored)
    assert schema_revision(stored) in known_revisions()


def test_a_store_whose_writer_was_killed_can_be_used(stored: Project) -> None:
    leave_hot_journal(local_database(stored))
    check_store(stored)
    assert schema_revision(stored) in known_revisions()
    assert not journal(local_database(stored)).exists()


@pytest.mark.parametrize("name", ["mlruns", "mlruns/mlflow.db"])
def test_a_read_only_store_is_reported(stored: Project, name: str) -> None:
    place = stored.root / name
    mode = place.stat().st_mode
    place.chmod(0o555)
    with pytest.raises(EnvironmentFault, match=rf"(?s)cannot be written.*{name} is read-only"):
        check_store(stored)
    place.chmod(mode)


def test_a_store_of_a_newer_version_is_reported(stored: Project) -> None:
    sql(stored, "UPDATE alembic_version SET version_num = 'fedcba987654'")
    with pytest.raises(EnvironmentFault, match=r"(?s)newer MLflow.*schema fedcba987654 in mlruns"):
        client(stored)


def test_a_file_that_is_no_database_is_reported(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    project.store.mkdir()
    local_database(project).write_text("no database at all, whatever its name says\n" * 50)
    with pytest.raises(EnvironmentFault, match=r"(?s)cannot be read.*not a database"):
        client(project)


@pytest.fixture
def used(stored: Project) -> Project:
    """A project whose store has a run with an artifact."""
    note = stored.root / "note.txt"
    note.write_text("kept\n")
    with Tracker(stored, "tiny") as tracker:
        tracker.log_file(note)
    return stored


@pytest.mark.parametrize("left", ["no such file", "an empty file", "a database without runs"])
def test_a_store_that_has_lost_its_history_is_refused_until_its_artifacts_are_moved_aside(
    used: Project, store_once: Path, left: str
) -> None:
    database = local_database(used)
    database.unlink()
    if left == "an empty file":
        database.touch()
    elif left != "no such file":
        shutil.copy(store_once / database.name, database)
    for use in (check_store, client, local_models, check_content):
        with pytest.raises(
            EnvironmentFault, match=rf"(?s)artifacts of tiny are there.*found +{left}.*{ANEW}"
        ):
            use(used)
    subprocess.run(ANEW, shell=True, check=True, cwd=used.root)
    check_store(used)
    assert local_models(used) == []


def test_a_store_with_runs_of_mlflows_default_experiment_alone_is_usable(stored: Project) -> None:
    run = client(stored).create_run("0").info.run_id
    note = stored.store / "artifacts" / "0" / run / "artifacts" / "note.txt"  # as a server puts it
    note.parent.mkdir(parents=True)
    note.write_text("by hand")
    check_store(stored)
    assert local_models(stored) == []


def test_a_store_is_usable_after_all_its_runs_were_removed(used: Project) -> None:
    (run,) = stored_runs(used)
    remove_run(used, run)
    check_store(used)


@pytest.mark.parametrize("damage", ["cut off", "overwritten"])
def test_a_damaged_store_is_refused_with_how_to_go_on(used: Project, damage: str) -> None:
    database = local_database(used)
    size = database.stat().st_size
    with database.open("r+b") as file:
        if damage == "cut off":
            file.truncate(size // 2)
        else:
            file.seek(size // 4)
            file.write(b"x" * (size // 2))
    with pytest.raises(EnvironmentFault, match=r"(?s)cannot be read.*backup.*mlflow\.db\.old"):
        check_content(used)


def test_an_unreachable_server_is_reported(
    stored: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but not listening
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with pytest.raises(EnvironmentFault, match=rf"(?s)does not answer.*a server at {address}"):
            client(stored)


def test_a_server_that_accepts_and_never_answers_is_reported(
    stored: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PATIENCE", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with pytest.raises(EnvironmentFault, match=rf"(?s)a server at {address}.*no answer within"):
            client(stored)


def test_a_password_in_a_server_address_is_not_shown(
    stored: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hunter2@nowhere.invalid:5000")
    with pytest.raises(EnvironmentFault, match="does not answer") as caught:
        client(stored)
    assert "hunter2" not in str(caught.value)


def test_artifacts_are_found_after_the_project_was_moved(
    stored: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = stored.root / "note.txt"
    note.write_text("kept\n")
    for name in ("tiny", "tiny too"):
        with Tracker(stored, name) as tracker:
            tracker.log_file(note)
            run_id = tracker.run_id
    sql(
        stored,
        "INSERT INTO experiments (name, artifact_location, lifecycle_stage) VALUES (?, ?, ?)",
        "elsewhere",
        "s3://bucket/mlruns/artifacts/elsewhere/x",
        "active",
    )
    moved = Project(stored.root.with_name("another place"))
    shutil.move(stored.root, moved.root)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    kept = fetch_artifact(moved, run_id, "note.txt", moved.root / "fetched")
    assert kept.read_text() == "kept\n"
    assert not stored.root.exists()
    places = dict(sql(moved, "SELECT name, artifact_location FROM experiments"))
    here = (moved.root / "mlruns/artifacts").as_uri()
    assert places["tiny"] == f"{here}/tiny"
    assert places["tiny too"] == f"{here}/tiny too"
    assert places["elsewhere"] == "s3://bucket/mlruns/artifacts/elsewhere/x"
    before = local_database(moved).read_bytes()
    relocate(moved)
    assert local_database(moved).read_bytes() == before
