"""Where a run came from: commit, changes that are not committed, versions. Never secrets."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.config import Project, redact

KEPT = (
    "experiments",
    "pipelines",
    "flows",
    "dvc.yaml",
    "dvc.lock",
    "data.dvc",
    "params.yaml",
    "pyproject.toml",
)
"""What a diff may hold: code and declarations, never other files that happen to lie there."""

MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class GitState:
    """The commit that a run started from, and what differs from it."""

    commit: str
    dirty: bool
    diff: str


def git_state(project: Project) -> GitState:
    """The state of the working tree; an empty commit where there is none yet."""
    commit = _git(project, "rev-parse", "--verify", "-q", "HEAD").strip()
    if not commit:
        return GitState("", True, "")
    dirty = bool(_git(project, "status", "--porcelain").strip())
    if not dirty:
        return GitState(commit, False, "")
    there = [name for name in KEPT if (project.root / name).exists()]
    parts = [_git(project, "diff", "HEAD", "--", *there)]
    untracked = _git(project, "ls-files", "--others", "--exclude-standard", "--", "experiments")
    for name in untracked.splitlines():
        if name.endswith((".yaml", ".py", ".json")):
            parts.append(_git(project, "diff", "--no-index", "--", "/dev/null", name))
    return GitState(commit, True, redact("".join(parts))[:MOST_BYTES])


def _git(project: Project, *words: str) -> str:
    command: Sequence[str] = ("git", "-c", "core.quotepath=off", "-C", str(project.root), *words)
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout.decode(errors="replace")
