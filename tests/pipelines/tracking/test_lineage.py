"""Origin of a run: commit and diff, without secrets."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import make_project

from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.base.secrets import redact
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.tracking.lineage import (
    CUT,
    MOST_BYTES,
    WHOLE,
    apply_diff,
    git_state,
    worktree,
)

USED = ("experiments/a.yaml", "experiments/odd.py", "experiments/나.py")
"""Files that the experiment of these tests uses."""


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


def test_a_clean_tree_is_recorded_as_its_commit(home: Project) -> None:
    state = git_state(home)
    assert state.commit == git(home, "rev-parse", "HEAD").strip()
    assert (state.dirty, state.diff) == (False, "")


def test_staged_and_unstaged_changes_are_in_the_diff(home: Project) -> None:
    (home.experiments / "a.yaml").write_text("units: 2\n")
    (home.root / "dvc.yaml").write_text("stages: {a: 1}\n")
    git(home, "add", "dvc.yaml")
    state = git_state(home, USED)
    assert state.dirty
    assert "-units: 1\n+units: 2" in state.diff
    assert "+stages: {a: 1}" in state.diff


def test_only_files_that_the_experiment_uses_are_in_the_diff_and_the_others_are_named(
    home: Project,
) -> None:
    used = ("experiments/실험.yaml", "experiments/my_models.py", "experiments/b.split.json")
    for name in used:
        (home.root / name).write_text(f"in: {name}\n")
    others = ("experiments/*.py", "experiments/login.py", "experiments/notes.txt")
    for name in ("notes.txt", "customers.csv", *others):
        (home.root / name).write_text("private\n")
    (home.experiments / "a.yaml").write_text("private: 2\n")
    state = git_state(home, (*used, "experiments/absent.yaml"))
    assert state.dirty
    for name in used:
        assert f"+in: {name}" in state.diff
    assert "private" not in state.diff
    assert state.left_out == tuple(sorted([*others, "experiments/a.yaml"]))


def test_a_changed_file_that_a_run_does_not_use_is_not_in_the_diff(home: Project) -> None:
    (home.root / "customers.csv").write_text("first\n")
    git(home, "add", "-A")
    git(home, "commit", "-qm", "second")
    (home.root / "customers.csv").write_text("private\n")
    state = git_state(home)
    assert (state.dirty, state.diff) == (True, "")


def test_ignored_experiments_are_not_in_the_diff(home: Project) -> None:
    (home.root / ".gitignore").write_text("secret.yaml\n")
    (home.experiments / "secret.yaml").write_text("private\n")
    assert "private" not in git_state(home, ["experiments/secret.yaml"]).diff


def changed_project(home: Project) -> dict[str, bytes]:
    """Edit, delete and add files; return the content of the project's files afterwards."""
    (home.root / "pipelines").mkdir()
    (home.root / "pipelines" / "old.py").write_text("A = 1\n")
    (home.experiments / "odd.py").write_bytes(b"A = 1\r\nB = 2")
    git(home, "add", "-A")
    git(home, "commit", "-qm", "second")
    (home.root / "pipelines" / "old.py").unlink()
    (home.root / "pipelines" / "new.py").write_text("B = 1\n")
    (home.experiments / "odd.py").write_bytes(b"A = 1\r\nB = 3")
    (home.experiments / "a.yaml").write_text("units: 2")
    (home.experiments / "나.py").write_text("C = '값'\n")
    (home.root / "dvc.lock").write_text("schema: '2.0'\n")
    return {home.relative(file): file.read_bytes() for file in own(home.root)}


def own(root: Path) -> list[Path]:
    files = [file for file in root.rglob("*") if file.is_file()]
    return [file for file in files if file.relative_to(root).parts[0] != ".git"]


@pytest.mark.parametrize("setting", ["diff.noprefix", "diff.mnemonicPrefix", "color.diff"])
def test_commit_and_diff_restore_the_working_tree(
    home: Project, tmp_path: Path, setting: str
) -> None:
    expected = changed_project(home)
    git(home, "config", setting, "always" if "color" in setting else "true")
    state = git_state(home, USED)
    (tmp_path / "a.diff").write_bytes(state.diff.encode())
    assert state.kept == WHOLE
    with worktree(home, state.commit) as tree:
        assert apply_diff(tree, tmp_path / "a.diff") == ""
        found = {str(f.relative_to(tree)): f.read_bytes() for f in own(tree)}
    assert found == expected
    assert not tree.exists()
    assert not tree.parent.exists()
    assert git(home, "worktree", "list").count("\n") == 1


def test_the_diff_of_a_project_in_a_subfolder_applies_too(home: Project, tmp_path: Path) -> None:
    inner = make_project(home.root / "inner")
    git(home, "add", "-A")
    git(home, "commit", "-qm", "inner")
    (inner.experiments / "b.yaml").write_text("units: 1\n")
    (inner.root / "dvc.yaml").write_text("stages: {b: 1}\n")
    (tmp_path / "a.diff").write_text(git_state(inner, ["experiments/b.yaml"]).diff)
    with worktree(inner, git_state(inner).commit) as tree:
        assert apply_diff(tree, tmp_path / "a.diff") == ""
        assert (tree / "experiments" / "b.yaml").read_text() == "units: 1\n"
        assert (tree / "dvc.yaml").read_text() == "stages: {b: 1}\n"


def test_a_diff_that_does_not_apply_is_reported(home: Project, tmp_path: Path) -> None:
    (home.experiments / "a.yaml").write_text("units: 2\n")
    (tmp_path / "a.diff").write_text(git_state(home, USED).diff.replace("-units: 1", "-units: 7"))
    with worktree(home, git_state(home).commit) as tree:
        assert "patch does not apply" in apply_diff(tree, tmp_path / "a.diff")


def test_a_working_tree_is_removed_whatever_happens_in_it(home: Project) -> None:
    with pytest.raises(KeyboardInterrupt), worktree(home, git_state(home).commit) as tree:
        raise KeyboardInterrupt
    assert not tree.parent.exists()
    assert git(home, "worktree", "list").count("\n") == 1


def test_a_working_tree_left_by_a_killed_process_is_removed(home: Project, tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = tmp_path / f"gristmill-reproduce-{gone.pid}-x" / "tree"
    git(home, "worktree", "add", "-q", "--detach", str(left))
    with worktree(home, git_state(home).commit):
        assert not left.parent.exists()
    assert git(home, "worktree", "list").count("\n") == 1


def test_a_missing_commit_is_named(home: Project) -> None:
    with pytest.raises(ConfigError, match="commit 0000"), worktree(home, "0" * 40):
        pass


def test_a_diff_contains_no_secrets_and_has_a_size_limit(home: Project) -> None:
    source = "source: https://me:hunter2@example.com/x.csv\n"
    (home.experiments / "a.yaml").write_text(source + "x: 1\n" * 400_000)
    state = git_state(home, USED)
    assert "https://me:***@example.com/x.csv" in state.diff
    assert "hunter2" not in state.diff
    assert state.kept == CUT
    assert len(state.diff) == MOST_BYTES


def test_a_repository_without_commits_has_no_commit(tmp_path: Path) -> None:
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
        ('password = "two words"', 'password = "***"'),
        ("password: two words", "password: ***"),
        ("{password: two words, x: 1}", "{password: ***, x: 1}"),
        ("+  db_password: |\n+    two\n+    words\n+x: 1", "+  db_password: |\n+***\n+***\n+x: 1"),
        ("os.environ['PASSWORD'] = 'a b'", "os.environ['PASSWORD'] = '***'"),
        ("Server=h;Pwd=abc;x=1", "Server=h;Pwd=***;x=1"),
        ("Authorization: Bearer abcdefgh123", "Authorization: Bearer ***"),
        ("key = AKIAIOSFODNN7EXAMPLE", "key = ***"),
        ("ghp_0123456789abcdef0123 xoxb-12-ab-cdef", "*** ***"),
        ("see eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl", "see ***"),
        ("machine h login me password abc", "machine h login me password ***"),
        ("def ask(token: str) -> int:", "def ask(token: str) -> int:"),
        ("https://host:8080/a/b?x=me@h", "https://host:8080/a/b?x=***"),
        ("https://me:8080/a@host/b", "https://me:***@host/b"),
        (
            "+-----BEGIN RSA PRIVATE KEY-----\n+MIIE\n+abc=\n+-----END RSA PRIVATE KEY-----\n+x",
            "+-----BEGIN RSA PRIVATE KEY-----\n+***\n+***\n+-----END RSA PRIVATE KEY-----\n+x",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMIIE", "-----BEGIN PRIVATE KEY-----\n***"),
    ],
)
def test_only_secrets_are_hidden(text: str, expected: str) -> None:
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text", ["a://", "x", "password: |\n", "token: '", "eyJ", " ", "https://a?"]
)
def test_hiding_takes_no_long_time_whatever_the_text(text: str) -> None:
    began = time.perf_counter()
    redact(text * (200_000 // len(text)))
    assert time.perf_counter() - began < 5


words = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=9)


@given(words, words, words)
def test_no_password_in_an_address_remains(user: str, password: str, host: str) -> None:
    secret = f"{password}ß7"
    shown = redact(f"see sftp://{user}:{secret}@{host}/x and on")
    assert secret not in shown
    assert shown == f"see sftp://{user}:***@{host}/x and on"
