"""The source code of a run: its commit and uncommitted changes, without secrets."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from gristmill.pipelines.base import ConfigError, ask_git, redact, run_git
from gristmill.pipelines.config import Project

KEPT = (
    "pipelines",
    "flows",
    "gristmill",
    "dvc.yaml",
    "dvc.lock",
    "data.dvc",
    "params.yaml",
    "pyproject.toml",
)
"""Files and folders included in a diff, besides those of the experiment: code and declarations."""

MOST_BYTES = 1 << 20


SUFFIXES = (".yaml", ".py", ".json", ".dvc", ".lock", ".toml")
"""Suffixes of untracked files included in a diff."""

WHOLE, CUT, REDACTED = "whole", "cut", "redacted"

PLAIN = ("--no-color", "--no-ext-diff", "--no-textconv", "--binary", "--relative")
"""Options for a diff that `git apply` accepts, independent of the user's git settings."""

PATHS = "--literal-pathspecs"

PREFIX = "gristmill-reproduce-"


@dataclass(frozen=True)
class GitState:
    """The commit that a run started from, and the differences from it.

    Attributes:
        commit: hash; empty if there is no commit yet.
        dirty: whether anything differs.
        diff: differences in `KEPT` and the experiment's files, with paths relative to the project's
            folder.
        kept: `whole`, `cut` to `MOST_BYTES`, or `redacted` because of secrets.
        left_out: changed and new files in `experiments/` that the experiment does not use.
    """

    commit: str
    dirty: bool
    diff: str
    kept: str = WHOLE
    left_out: tuple[str, ...] = ()


def git_state(project: Project, used: Collection[str] = ()) -> GitState:
    """Return the state of the working tree.

    Args:
        project: the project.
        used: files in `experiments/` that an experiment uses; no others there are read.
    """
    commit = ask_git(project.root, "rev-parse", "--verify", "-q", "HEAD").strip()
    if not commit:
        return GitState("", True, "")
    dirty = bool(ask_git(project.root, "status", "--porcelain").strip())
    if not dirty:
        return GitState(commit, False, "")
    tracked, untracked = _changed(project, *KEPT, *used)
    parts = [_diff(project, "HEAD", "--", *tracked)] if tracked else []
    for name in untracked:
        if name.endswith(SUFFIXES):
            parts.append(_diff(project, "--no-index", "--", "/dev/null", name))
    others = {name for names in _changed(project, "experiments") for name in names}
    diff = "".join(parts)
    shown = redact(diff)
    kept = WHOLE if shown == diff else REDACTED
    kept = CUT if len(shown) > MOST_BYTES else kept
    return GitState(commit, True, shown[:MOST_BYTES], kept, tuple(sorted(others - {*used})))


def _changed(project: Project, *places: str) -> tuple[list[str], list[str]]:
    """Return the changed and the untracked files at some places."""
    changed = (PATHS, "diff", "HEAD", "--name-only", "--relative", "--", *places)
    untracked = (PATHS, "ls-files", "--others", "--exclude-standard", "--", *places)
    first, second = (ask_git(project.root, *words) for words in (changed, untracked))
    return first.splitlines(), second.splitlines()


@contextmanager
def worktree(project: Project, commit: str) -> Iterator[Path]:
    """Check out a commit in a temporary worktree; yield the project's folder in it.

    The worktree is removed at the end, and so are those left behind by killed processes.

    Raises:
        ConfigError: the repository does not have the commit.
    """
    if not ask_git(project.root, "rev-parse", "--verify", "-q", f"{commit}^{{commit}}"):
        raise ConfigError(
            f"commit {commit[:12]} is not in this repository",
            expected="the commit that the model was trained from",
            found="no such commit: perhaps another clone, a rebase, or a deleted branch",
            next="git fetch --all, if a remote has it",
        )
    _clear_left(project)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    inside = ask_git(project.root, "rev-parse", "--show-prefix").strip()
    tree = folder / "tree"
    try:
        ask_git(project.root, "worktree", "add", "-q", "--detach", str(tree), commit, check=True)
        yield tree / inside
    finally:
        _remove(project, tree)


def apply_diff(folder: Path, diff: Path) -> str:
    """Apply a stored diff in a folder of a working tree.

    Returns:
        git's message if the diff does not apply, else an empty text.
    """
    inside = ask_git(folder, "rev-parse", "--show-prefix").strip()
    top = ask_git(folder, "rev-parse", "--show-toplevel").strip()
    where = [f"--directory={inside}"] * bool(inside)
    done = run_git(Path(top), "apply", "--whitespace=nowarn", *where, str(diff.resolve()))
    return done.stderr.decode(errors="replace").strip() if done.returncode else ""


def _clear_left(project: Project) -> None:
    for line in ask_git(project.root, "worktree", "list", "--porcelain").splitlines():
        tree = Path(line.removeprefix("worktree "))
        if line.startswith("worktree ") and tree.parent.name.startswith(PREFIX):
            pid = tree.parent.name.removeprefix(PREFIX).split("-")[0]
            if pid.isdecimal() and not psutil.pid_exists(int(pid)):
                _remove(project, tree)


def _remove(project: Project, tree: Path) -> None:
    ask_git(project.root, "worktree", "remove", "--force", str(tree))
    shutil.rmtree(tree.parent, ignore_errors=True)
    ask_git(project.root, "worktree", "prune")


def _diff(project: Project, *words: str) -> str:
    plain = ("-c", "diff.noprefix=false", "-c", "diff.mnemonicPrefix=false")
    return ask_git(project.root, PATHS, *plain, "diff", *PLAIN, *words)
