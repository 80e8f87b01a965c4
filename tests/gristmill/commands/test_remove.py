"""`gristmill remove`: what it takes out, what it keeps, what it refuses, and that git undoes it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from gristmill.commands import doctor
from gristmill.commands.remove import remove
from gristmill.flows import LOCK
from gristmill.pipelines.base import locked
from gristmill.pipelines.base.errors import ConfigError, EnvironmentFault, InputError
from gristmill.pipelines.base.yaml_file import read_yaml
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.versions.pins import DataState, data_state
from gristmill.pipelines.ingestion.versions.snapshot import restore
from gristmill.pipelines.registry.registered_models import register, versions
from gristmill.pipelines.tracking import Tracker
from tests.conftest import git

SHARED = ("params.yaml", "dvc.lock", "data.dvc")


def stages(project: Project) -> set[str]:
    return {name.partition("@")[2] for name in read_yaml(project.root / "dvc.lock")["stages"]}


def test_everything_of_an_experiment_is_removed_and_git_brings_it_back(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {name: (project.root / name).read_bytes() for name in SHARED}
    remove("digits")
    assert project.experiment_names() == ["diabetes"]
    assert not list(project.root.glob("experiments/digits*"))
    assert not (project.root / "data" / "digits").exists()
    assert not project.build("digits").exists()
    assert [*project.registered()] == ["diabetes"]
    assert stages(project) == {"diabetes"}
    assert data_state(project, "digits") is DataState.ABSENT
    assert data_state(project, "diabetes") is DataState.PINNED
    assert "# One entry an experiment" in (project.root / "params.yaml").read_text()
    assert project.leftovers() == []

    said = capsys.readouterr().out
    (undo,) = (line for line in said.splitlines() if line.startswith("undo: git "))
    git(project.root, *undo.removeprefix("undo: git ").split(" && ")[0].split())
    restore(project, "digits")
    assert {name: (project.root / name).read_bytes() for name in SHARED} == before
    assert data_state(project, "digits") is DataState.PINNED


def test_data_that_another_experiment_uses_are_kept(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    text = project.experiment_file("digits").read_text()
    project.experiment_file("other").write_text(text)
    remove("digits")
    assert data_state(project, "digits") is DataState.PINNED
    assert "kept data/digits, which other uses" in capsys.readouterr().out


@pytest.mark.parametrize("file", ["experiments/digits.yaml", "experiments/digits.split.json"])
def test_files_that_are_in_no_commit_are_not_removed(project: Project, file: str) -> None:
    with (project.root / file).open("a") as opened:
        opened.write("\n")
    with pytest.raises(ConfigError, match=rf"(?s){file} differs from HEAD.*git add {file}"):
        remove("digits")
    assert project.experiment_file("digits").exists()
    assert data_state(project, "digits") is DataState.PINNED


def test_an_experiment_that_was_never_committed_is_not_removed(project: Project) -> None:
    project.experiment_file("fresh").write_text(project.experiment_file("digits").read_text())
    with pytest.raises(ConfigError, match=r"experiments/fresh.yaml differs from HEAD"):
        remove("fresh")


def test_edited_data_and_a_pin_that_is_in_no_commit_are_not_removed(project: Project) -> None:
    file = next((project.root / "data" / "digits").iterdir())
    kept = file.read_bytes()
    file.unlink()
    file.write_bytes(kept + b"\n")
    with pytest.raises(InputError, match="edited by hand"):
        remove("digits")
    file.write_bytes(kept)
    pin = project.root / "data.dvc"
    pin.write_text(pin.read_text().replace("md5: 348939", "md5: 348930"))
    with pytest.raises(ConfigError, match=r"data\.dvc differs from HEAD"):
        remove("digits")


def test_an_experiment_whose_split_is_shared_or_that_runs_is_not_removed(project: Project) -> None:
    text = project.experiment_file("digits").read_text()
    shared = project.experiment_file("other")
    shared.write_text(text.replace("split: {", "split: {as: digits} # {"))
    with pytest.raises(ConfigError, match=r"(?s)other shares the split of digits.*as: digits"):
        remove("digits")
    shared.unlink()
    project.build("digits").mkdir(parents=True, exist_ok=True)
    child = os.fork()
    if not child:  # a lock is of a process
        with locked(project.build("digits") / LOCK, lambda: None):
            (project.root / "held").touch()
            while not (project.root / "enough").exists():
                pass
        os._exit(0)
    while not (project.root / "held").exists():
        pass
    try:
        with pytest.raises(EnvironmentFault, match="a run of digits is active"):
            remove("digits")
    finally:
        (project.root / "enough").touch()
        os.waitpid(child, 0)
    assert project.experiment_file("digits").exists()


@pytest.mark.parametrize("moment", ["unlink", "forget_stages", "unpin", "rmtree"])
def test_the_same_command_completes_a_removal_that_was_killed(
    project: Project, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gristmill.commands import remove as module

    owner = {"unlink": Path, "rmtree": shutil}.get(moment, module.ingestion)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, moment, killed)
        with pytest.raises(KeyboardInterrupt):
            remove("digits")
    if moment != "unlink":
        (line,) = (text for good, text in doctor._experiments(project) if not good)
        assert "digits is removed in part: gristmill remove digits" in line
    remove("digits")
    assert project.leftovers() == []
    assert stages(project) == {"diabetes"}
    assert data_state(project, "digits") is DataState.ABSENT
    with pytest.raises(ConfigError, match="there is no experiment 'digits'"):
        remove("digits")


def test_registered_models_are_deleted_only_when_asked(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with Tracker(project, "digits") as tracker:
        register(project, "digits", "somewhere", tracker.run_id, {})
    remove("digits")
    assert "kept 1 registered version: gristmill remove digits --models" in capsys.readouterr().out
    assert len(versions(project, "digits")) == 1
    remove("digits", models=True)
    assert "removed 1 registered version of digits" in capsys.readouterr().out
    assert versions(project, "digits") == []
