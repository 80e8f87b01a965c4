"""A project with the small experiment, and commands that go on beside a test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aftermath import TINY, Command, write_tiny
from versioned import two_versions, versioned

from pipelines.config import Project
from tests.conftest import git, gristmill_in

__all__ = ["two_versions", "versioned"]


@pytest.fixture
def command(request: pytest.FixtureRequest) -> Iterator[Callable[..., Command]]:
    """Starts commands that go on beside the test, and ends what a failed test leaves."""
    started: list[Command] = []

    def start(project: Project, *words: str, env: dict[str, str] | None = None) -> Command:
        started.append(Command(project, *words, env=env))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.fixture(scope="session")
def tiny_once(run_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which `digits` and the small experiment have a champion; never changed."""
    target = tmp_path_factory.mktemp("tiny") / "project"
    shutil.copytree(run_once.root, target, symlinks=True)
    project = Project(target)
    project.experiment_file("tiny").write_text(TINY, encoding="utf-8")
    write_tiny(project)
    gristmill_in(target)("run", "tiny", check=True)
    git(target, "add", "-A")
    git(target, "commit", "-qm", "tiny")
    return project


@pytest.fixture
def tiny(tiny_once: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A moved copy of a project with champions of `digits` and `tiny`."""
    target = tmp_path / "내 project"
    shutil.copytree(tiny_once.root, target, symlinks=True)
    monkeypatch.chdir(target)
    return Project(target)
