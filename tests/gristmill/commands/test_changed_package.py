"""No command executes or trusts a package that was changed after it was registered."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from aftermath import edit

from gristmill.pipelines.config.project import Project
from tests.conftest import Run, gristmill_in

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def changed(tiny_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with two versions of `tiny`, of which the champion has changed weights."""
    target = tmp_path_factory.mktemp("changed") / "project"
    shutil.copytree(tiny_once.root, target, symlinks=True)
    project = Project(target)
    gristmill = gristmill_in(target)
    (model,) = (project.store / "artifacts" / "tiny" / "models").iterdir()
    edit(project.experiment_file("tiny"), "units: 4", "units: 5")
    gristmill("run", "tiny", check=True)
    gristmill("promote", "tiny", "--version", "2", "--reason", "to roll back from", check=False)
    gristmill("promote", "tiny", "--version", "1", check=True)
    edit(project.experiment_file("tiny"), "units: 5", "units: 4")
    (digits,) = (project.store / "artifacts" / "digits" / "models").iterdir()
    weights = Path("artifacts", "artifacts", "package", "model.keras")
    shutil.copyfile(digits / weights, model / weights)
    return project


RAW = "data/tiny/tiny.csv"


@pytest.mark.parametrize(
    "words",
    [
        ("score", "tiny", RAW, "-o", "scored.csv", "--version", "1"),
        ("check", "tiny@1", RAW),
        ("serve", "tiny@1"),
        ("compare", "tiny@2", "tiny@1"),
        ("run", "tiny"),
        ("promote", "tiny", "--version", "1", "--reason", "x"),
    ],
    ids=lambda words: words[0],
)
def test_a_command_names_the_changed_file_and_does_nothing(
    changed: Project, words: Sequence[str]
) -> None:
    if words[0] == "promote":
        gristmill_in(changed.root)("promote", "tiny", "--version", "2", "--reason", "x", check=True)
    done = gristmill_in(changed.root)(*words)
    assert done.returncode == 4, done.stdout + done.stderr
    assert "the package of tiny version 1 was changed after it was registered" in done.stderr
    assert "found     artifacts/package/model.keras changed" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (changed.root / "scored.csv").exists()


def test_doctor_names_the_changed_package(changed: Project) -> None:
    done = gristmill_in(changed.root)("doctor")
    assert done.returncode == 4
    assert "the package of tiny version 1 was changed after it was registered" in done.stdout


def test_a_rollback_to_it_is_refused(changed: Project) -> None:
    gristmill: Run = gristmill_in(changed.root)
    gristmill("promote", "tiny", "--version", "2", "--reason", "x", check=True)
    done = gristmill("rollback", "tiny")
    assert done.returncode == 4
    assert "model.keras changed" in done.stderr
