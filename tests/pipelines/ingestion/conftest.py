"""A project of one small data set, with two versions under git and DVC."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from aside import DOCUMENT, ROWS, commit, take, write

from pipelines.config import Project
from tests.conftest import clean_environment, clone, git


@pytest.fixture(scope="session")
def two_versions(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """`tiny` with 60 rows, tagged `first`, then with 58; copied, never changed."""
    project = clone(tmp_path_factory.mktemp("versions") / "project")
    for name in project.experiment_names():
        project.experiment_file(name).unlink()
    for name in ("dvc.lock", "data.dvc", *map(str, project.experiments.glob("*.split.json"))):
        (project.root / name).unlink()
    project.params_file.write_text("experiments:\n  tiny: {data: tiny}\n")
    project.register("tiny", "tiny")
    git(project.root, "config", "user.name", "test")
    git(project.root, "config", "user.email", "test@example.com")
    project.experiment_file("tiny").write_text(DOCUMENT)
    take(project, "tiny", write(project.root.parent / "first.csv", ROWS))
    commit(project, "first")
    git(project.root, "tag", "first")
    take(project, "tiny", write(project.root.parent / "second.csv", ROWS[:-2]))
    commit(project, "second")
    return project


@pytest.fixture
def versioned(two_versions: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of it of one's own, in a folder with a space and Hangul in its name."""
    target = tmp_path / "내 project"
    shutil.copytree(two_versions.root, target, symlinks=True)
    monkeypatch.setenv("PATH", clean_environment()["PATH"])
    return Project(target)
