"""What git knows of the pin: `data.dvc` and `dvc.lock` at every commit that changed them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gristmill.pipelines.base import InputError
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion.versions.pin_file import PIN, Pin, pin_in

LOCK = "dvc.lock"

LEAST_PREFIX = 4
"""Digits of a hash that are enough to name a version, as git has it."""

DIGITS = re.compile(rf"[0-9a-f]{{{LEAST_PREFIX},32}}(\.dir)?")


@dataclass(frozen=True)
class PinnedAt:
    """The pin at a commit; an empty one where there was none that can be read."""

    commit: str
    when: float
    pin: Pin


def pins(project: Project, *revisions: str) -> list[PinnedAt]:
    """The commits that changed the pin, newest first: of HEAD, or of the revisions named."""
    return [
        PinnedAt(commit, when, _pin_of(text))
        for commit, when, text in _contents(project, PIN, revisions)
    ]


def locks(project: Project) -> Iterator[str]:
    """The contents of `dvc.lock` up to HEAD, newest first, the one in the work tree before them."""
    file = project.root / LOCK
    if file.exists():
        yield file.read_text(encoding="utf-8")
    for _, _, text in _contents(project, LOCK, ()):
        yield text


def _pin_of(text: str) -> Pin:
    try:
        return pin_in(text)
    except InputError:  # committed in conflict
        return Pin()


def pin_at(project: Project, revision: str) -> PinnedAt | None:
    """The pin at a git revision; None where git knows no such revision."""
    if revision.startswith("-"):
        return None
    commit = _git(project, "rev-parse", "--verify", "-q", f"{revision}^{{commit}}").strip()
    if not commit:
        return None
    when = _git(project, "show", "-s", "--format=%ct", commit).strip()
    return PinnedAt(commit, float(when), _pin_of(_git(project, "show", f"{commit}:./{PIN}")))


def is_before(project: Project, old: str, new: str) -> bool:
    """Whether a commit is among those that another one is built on; it is so of itself."""
    return _git(project, "merge-base", old, new).strip() == old


def _contents(
    project: Project, name: str, revisions: Sequence[str]
) -> list[tuple[str, float, str]]:
    """A file at each commit that changed it: commit, time and text, in two calls of git."""
    listed = _git(project, "log", "--format=%H %ct", *revisions, "--", name).split()
    commits = list(zip(listed[::2], map(float, listed[1::2]), strict=True))
    prefix = _git(project, "rev-parse", "--show-prefix").strip("\n")
    asked = "".join(f"{commit}:{prefix}{name}\n" for commit, _ in commits)
    texts = _blobs(_git_bytes(project, "cat-file", "--batch", given=asked.encode()))
    return [(commit, when, text) for (commit, when), text in zip(commits, texts, strict=True)]


def _blobs(answer: bytes) -> Iterator[str]:
    """The contents in an answer of `git cat-file --batch`; empty for what was not there."""
    place = 0
    while place < len(answer):
        end = answer.index(b"\n", place)
        size = answer[place:end].rpartition(b" ")[2]
        place = end + 1
        if size == b"missing":
            yield ""
            continue
        yield answer[place : place + int(size)].decode(errors="replace")
        place += int(size) + 1


def _git(project: Project, *words: str) -> str:
    return _git_bytes(project, *words).decode(errors="replace")


def _git_bytes(project: Project, *words: str, given: bytes = b"") -> bytes:
    command = ("git", "-c", "core.quotepath=off", "-C", str(project.root), *words)
    return subprocess.run(command, input=given, capture_output=True, check=False).stdout
