"""`gristmill reproduce`: the same weights, or the first difference."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from aftermath import Command, edit, left_aside, processes_of, read_tree, rows_of, until

from gristmill.pipelines.config.project import Project
from gristmill.pipelines.tracking.store import local_database
from tests.conftest import Run, git

Start = Callable[..., Command]
pytestmark = pytest.mark.slow


def tag(project: Project, key: str, value: str) -> None:
    """Change a tag of all runs."""
    with closing(sqlite3.connect(local_database(project))) as database, database:
        changed = database.execute("UPDATE tags SET value = ? WHERE key = ?", (value, key))
        assert changed.rowcount


def package(project: Project, model: str) -> Path:
    """Return the `.keras` file of a model's first version."""
    query = "SELECT storage_location FROM model_versions WHERE name = ? AND version = 1"
    ((place,),) = rows_of(local_database(project), query, model)
    folder = place.partition("/mlruns/")[2]
    return project.store / folder / "artifacts" / "package" / "model.keras"


def written(project: Project) -> dict[str, object]:
    """Return everything that a command could leave behind."""
    database = local_database(project)
    tables = ("runs", "tags", "metrics", "model_versions", "registered_model_aliases")
    return {
        "tree": read_tree(project),
        "git": git(project.root, "status", "--porcelain", "--ignored"),
        "trees": git(project.root, "worktree", "list").count("\n"),
        "store": [rows_of(database, f"SELECT count(*) FROM {table}") for table in tables],
        "flows": rows_of(project.prefect_home / "prefect.db", "SELECT count(*) FROM flow_run"),
        "aside": left_aside(project),
        "temporary": list(Path(tempfile.gettempdir()).glob(f"gristmill-reproduce-{os.getpid()}-*")),
    }


def test_the_same_weights_are_trained_and_nothing_is_left(tiny: Project, gristmill: Run) -> None:
    before = written(tiny)
    edit(tiny.experiment_file("tiny"), "units: 4", "units: 5")  # not the trained configuration
    done = gristmill("reproduce", "tiny@champion", check=True)
    assert "tiny version 1: bit for bit the same" in done.stdout
    assert "the commit and the run's uncommitted changes" in done.stdout
    edit(tiny.experiment_file("tiny"), "units: 5", "units: 4")
    assert written(tiny) == before
    assert processes_of(tiny) == []


def plant_code(project: Project) -> None:
    query = "SELECT DISTINCT value FROM tags WHERE key = 'mlflow.source.git.commit'"
    ((commit,),) = rows_of(local_database(project), query)
    git(project.root, "checkout", "-q", "--detach", commit)
    loop = project.root / "pipelines" / "training" / "loop.py"
    edit(loop, "default_rng([seed, epoch])", "default_rng([seed, epoch, 1])")
    git(project.root, "commit", "-qam", "planted")
    tag(project, "mlflow.source.git.commit", git(project.root, "rev-parse", "HEAD").strip())
    git(project.root, "checkout", "-q", "main")


def plant_data(project: Project) -> None:
    raw = project.root / "data" / "tiny" / "tiny.csv"
    digest = hashlib.md5(raw.read_bytes()).hexdigest()
    kept = project.root / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
    kept.chmod(0o644)
    kept.write_bytes(raw.read_bytes().replace(b"yes", b"no", 12))


def plant_file(project: Project) -> None:
    shutil.copyfile(package(project, "digits"), package(project, "tiny"))


def plant_package(project: Project) -> None:
    tag(project, "version.keras", "3.14.0")
    plant_file(project)


def plant_machine(project: Project) -> None:
    tag(project, "gristmill.instructions", "x86_64 mmx")
    plant_file(project)


@pytest.mark.parametrize(
    ("plant", "words"),
    [
        (plant_code, "first difference  code: pipelines/training/loop.py changed"),
        (plant_data, "first difference  data: the bytes of tiny.csv in DVC's cache are not"),
        (plant_package, "first difference  package: keras 3.14.0 → 3."),
        (plant_machine, "first difference  machine: instructions without mmx"),
        (plant_file, "first difference  files: artifacts/package/model.keras changed"),
    ],
)
def test_the_first_difference_is_named(
    tiny: Project, gristmill: Run, plant: Callable[[Project], None], words: str
) -> None:
    plant(tiny)
    done = gristmill("reproduce", "tiny")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "values differ" in done.stdout
    assert words in done.stdout


def test_a_changed_file_without_weights_is_named(tiny: Project, gristmill: Run) -> None:
    edit(
        package(tiny, "tiny").with_name("transform.py"),
        "import numpy as np",
        "import numpy as np  # changed",
    )
    done = gristmill("reproduce", "tiny")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "bit for bit the same" in done.stdout
    assert "although files: artifacts/package/transform.py changed" in done.stdout


def test_missing_data_are_named(tiny: Project, gristmill: Run) -> None:
    raw = (tiny.root / "data" / "tiny" / "tiny.csv").read_bytes()
    digest = hashlib.md5(raw).hexdigest()
    kept = tiny.root / ".dvc" / "cache" / "files" / "md5" / digest[:2] / digest[2:]
    kept.unlink()
    done = gristmill("reproduce", "tiny")
    assert (done.returncode, "are missing" in done.stderr) == (1, True)
    tag(tiny, "mlflow.source.git.commit", "0" * 40)
    done = gristmill("reproduce", "tiny")
    assert done.returncode == 1
    assert "commit 000000000000 is not in this repository" in done.stderr
    assert git(tiny.root, "worktree", "list").count("\n") == 1


def test_ctrl_c_leaves_nothing(tiny: Project, command: Start) -> None:
    run = command(tiny, "reproduce", "tiny")
    run.wait_for("✓ data")
    until(lambda: any("retrain" in words for words in processes_of(tiny)), "training", 20)
    assert run.interrupt() == 130, run.said
    assert "interrupted; nothing was written" in run.said
    assert "Traceback" not in run.said
    until(lambda: not processes_of(tiny), "the end of its processes", 10)
    assert git(tiny.root, "worktree", "list").count("\n") == 1
    assert git(tiny.root, "status", "--porcelain") == ""


def test_after_a_kill_no_process_continues_and_the_next_command_clears_the_leftovers(
    tiny: Project, command: Start, gristmill: Run
) -> None:
    run = command(tiny, "reproduce", "tiny")
    run.wait_for("✓ data")
    until(lambda: any("retrain" in words for words in processes_of(tiny)), "training", 20)
    run.process.kill()
    run.process.wait()
    until(lambda: not processes_of(tiny), "the end of its processes", 10)
    assert git(tiny.root, "worktree", "list").count("\n") == 2
    gristmill("reproduce", "tiny", check=True)
    assert git(tiny.root, "worktree", "list").count("\n") == 1
