"""Files written by the code before the folders moved can still be used in every command.

The old code itself, restored from the git history, creates the project.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gristmill.pipelines.config import Project
from tests.conftest import BIN, ROOT, Run, clean_environment, clone, git, gristmill_in

pytestmark = pytest.mark.slow

DATA = "data/digits/digits.csv"


def last_commit_before() -> str:
    """Return the last commit whose command line was `flows/cli.py`."""
    moved = git(ROOT, "log", "-1", "--format=%H", "--diff-filter=D", "--", "flows/cli.py").strip()
    assert moved, "the history of git does not reach back to flows/cli.py: git fetch --unshallow"
    return git(ROOT, "rev-parse", f"{moved}^").strip()


def old_code_in(folder: Path, scripts: Path) -> Run:
    """Return a function that runs the old code's command line, also for DVC's stages."""
    scripts.mkdir()
    script = scripts / "gristmill"
    command = shlex.join([sys.executable, "-m", "flows.cli"])
    script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    script.chmod(0o755)
    path = os.pathsep.join([str(scripts), str(BIN), os.environ["PATH"]])

    def run(*words: str, check: bool = False, **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["gristmill", *words],
            cwd=folder,
            env=clean_environment() | {"PATH": path, "PYTHONPATH": str(folder)},
            check=check,
            capture_output=True,
            text=True,
            timeout=300,
            stdin=subprocess.DEVNULL,
        )

    return run


@pytest.fixture(scope="module")
def made_before(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Create two champions and score a file with the old code, then update the code."""
    folder = tmp_path_factory.mktemp("before")
    home = folder / "project"
    git(folder, "clone", "-q", str(ROOT), str(home))
    git(home, "checkout", "-q", "-B", "main", last_commit_before())
    old = old_code_in(home, folder / "scripts")
    old("data", "restore", check=True)
    old("run", "digits", check=True)
    old("run", "digits", "-P", "units=32", check=True)
    old("score", "digits", DATA, "-o", "before.csv", check=True)
    update(home)
    return Project(home)


def update(home: Path) -> None:
    """Update the code to the current one, as `git pull` does."""
    now = clone(home.parent / "now").root
    for name in git(home, "ls-files", "-z").split("\0"):
        if name:
            (home / name).unlink()
    for name in filter(None, git(now, "ls-files", "-z").split("\0")):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(now / name, home / name, follow_symlinks=False)
    git(home, "add", "-A")
    git(home, "commit", "-qm", "update")


@pytest.fixture
def before(
    made_before: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Project, Run]:
    """Return a copy of the project and a function that runs the command line in it."""
    target = tmp_path / "내 project"
    shutil.copytree(made_before.root, target, symlinks=True)
    monkeypatch.chdir(target)
    return Project(target), gristmill_in(target)


def champion(gristmill: Run) -> str:
    """Return the number of the champion version."""
    shown = gristmill("models", "digits", check=True).stdout
    (line,) = [line for line in shown.splitlines() if "champion" in line]
    return line.split()[0]


def test_an_old_champion_is_listed_and_scores_as_before(before: tuple[Project, Run]) -> None:
    project, gristmill = before
    assert champion(gristmill) == "1"
    gristmill("score", "digits", DATA, "-o", "now.csv", check=True)
    assert (project.root / "now.csv").read_bytes() == (project.root / "before.csv").read_bytes()
    assert "version 1" in gristmill("models", "digits", "--version", "1", check=True).stdout


def test_an_old_champion_is_reproduced_bit_for_bit(before: tuple[Project, Run]) -> None:
    _, gristmill = before
    said = gristmill("reproduce", "digits@champion", check=True).stdout
    assert "bit for bit" in said


def test_an_old_project_runs_and_its_champion_can_be_compared_promoted_and_rolled_back(
    before: tuple[Project, Run],
) -> None:
    project, gristmill = before
    assert "matches the pin" in gristmill("data", "status", check=True).stdout
    cuts = json.loads(project.cuts_file("digits").read_text())
    done = gristmill("run", "digits")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(project.cuts_file("digits").read_text()) == cuts
    assert "nothing to do" in gristmill("run", "digits", check=True).stdout
    compared = gristmill("compare", "digits@1", "digits@2", check=True).stdout
    assert "accuracy" in compared
    number = champion(gristmill)
    other = "2" if number == "1" else "1"
    gristmill("promote", "digits", "--version", other, "--reason", "a try", check=True)
    assert champion(gristmill) == other
    gristmill("rollback", "digits", "--reason", "back", check=True)
    assert champion(gristmill) == number
    history = gristmill("models", "digits", "--history", check=True).stdout
    assert "a try" in history
    assert "back" in history


def test_old_data_versions_are_listed_with_the_models_trained_on_them(
    before: tuple[Project, Run],
) -> None:
    _, gristmill = before
    said = gristmill("data", "log", "digits", check=True).stdout
    assert "digits 1" in said
    assert "digits" in gristmill("data", "who-used", "HEAD~1", check=True).stdout
