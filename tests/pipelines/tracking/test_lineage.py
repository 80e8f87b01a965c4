"""Where a run came from, without secrets."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import make_project

from pipelines.config import Project, redact
from pipelines.tracking.lineage import MOST_BYTES, git_state


def git(project: Project, *words: str) -> str:
    settings = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    command = ["git", *settings, "-C", str(project.root), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def home(tmp_path: Path) -> Project:
    project = make_project(tmp_path / "내 project")
    (project.experiments / "a.yaml").write_text("units: 1\n")
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "first")
    return project


def test_a_clean_tree_is_its_commit(home: Project) -> None:
    state = git_state(home)
    assert state.commit == git(home, "rev-parse", "HEAD").strip()
    assert (state.dirty, state.diff) == (False, "")


def test_a_change_is_in_the_diff_staged_or_not(home: Project) -> None:
    (home.experiments / "a.yaml").write_text("units: 2\n")
    (home.root / "dvc.yaml").write_text("stages: {a: 1}\n")
    git(home, "add", "dvc.yaml")
    state = git_state(home)
    assert state.dirty
    assert "-units: 1\n+units: 2" in state.diff
    assert "+stages: {a: 1}" in state.diff


def test_new_experiments_and_modules_are_in_the_diff_and_no_other_new_file(home: Project) -> None:
    for name in ("experiments/실험.yaml", "experiments/my_models.py", "experiments/b.split.json"):
        (home.root / name).write_text(f"in: {name}\n")
    for name in ("notes.txt", "experiments/notes.txt", "customers.csv", "experiments/rows.csv"):
        (home.root / name).write_text("private\n")
    state = git_state(home)
    assert state.dirty
    for name in ("experiments/실험.yaml", "experiments/my_models.py", "experiments/b.split.json"):
        assert f"+in: {name}" in state.diff
    assert "private" not in state.diff


def test_a_changed_file_that_is_no_part_of_a_run_is_not_in_the_diff(home: Project) -> None:
    (home.root / "customers.csv").write_text("first\n")
    git(home, "add", "-A")
    git(home, "commit", "-qm", "second")
    (home.root / "customers.csv").write_text("private\n")
    state = git_state(home)
    assert (state.dirty, state.diff) == (True, "")


def test_ignored_experiments_stay_out_of_the_diff(home: Project) -> None:
    (home.root / ".gitignore").write_text("secret.yaml\n")
    (home.experiments / "secret.yaml").write_text("private\n")
    assert "private" not in git_state(home).diff


def test_a_diff_has_no_secrets_and_an_end(home: Project) -> None:
    source = "source: https://me:hunter2@example.com/x.csv\n"
    (home.experiments / "a.yaml").write_text(source + "x: 1\n" * 400_000)
    state = git_state(home)
    assert "https://me:***@example.com/x.csv" in state.diff
    assert "hunter2" not in state.diff
    assert len(state.diff) == MOST_BYTES


def test_a_repository_without_a_commit_has_none(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    git(project, "init", "-q")
    state = git_state(project)
    assert (state.commit, state.dirty) == ("", True)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://me:pw@db:5432/x", "postgresql://me:***@db:5432/x"),
        ("https://user:p%40ss@host/a.csv?x=1", "https://user:***@host/a.csv?x=***"),
        ("https://host:8080/a", "https://host:8080/a"),
        ("token: abc123", "token: ***"),
        ('  "api_key": "abc123",', '  "api_key": "***",'),
        ("PASSWORD=abc123 next", "PASSWORD=*** next"),
        ("aws_secret_access_key = abc123", "aws_secret_access_key = ***"),
        ("https://example.com/a.csv?token=abc123&x=1", "https://example.com/a.csv?token=***&x=***"),
        ("s3://bucket/key", "s3://bucket/key"),
        ("units: 3", "units: 3"),
    ],
)
def test_secrets_are_hidden_and_nothing_else(text: str, expected: str) -> None:
    assert redact(text) == expected


words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9)


@given(words, words, words)
def test_no_password_of_an_address_is_left(user: str, password: str, host: str) -> None:
    secret = f"{password}ß7"
    shown = redact(f"see sftp://{user}:{secret}@{host}/x and on")
    assert secret not in shown
    assert shown == f"see sftp://{user}:***@{host}/x and on"
