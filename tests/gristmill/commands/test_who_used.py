"""`gristmill data who-used` in a project with two versions of its data."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from registered import make_versions
from versioned import raw

from gristmill.commands.who_used import who_used
from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.versions.data_log import data_log
from gristmill.pipelines.registry.promotion import promote
from gristmill.pipelines.registry.registered_models import register
from gristmill.pipelines.tracking import Tracker
from tests.conftest import git


def run_of(project: Project, digest: str, *, registers: bool) -> str:
    """Record a run of `tiny` that read a version of the data; return its id."""
    with Tracker(project, "tiny") as tracker:
        tracker.log(tags={"dvc.data/tiny": digest, "gristmill.decision": "hold"})
        if registers:
            register(project, "tiny", "somewhere", tracker.run_id, {"gristmill.data": digest})
        return tracker.run_id


@pytest.fixture
def used(
    versioned: Project, store_once: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Project, str, str]:
    """Return a project, the run on its first data version (the champion), and the second's run."""
    shutil.copytree(store_once, versioned.store, dirs_exist_ok=True)
    monkeypatch.chdir(versioned.root)
    monkeypatch.setenv("COLUMNS", "160")
    second, first = (version.digest for version in data_log(versioned, "tiny").versions)
    old = run_of(versioned, first, registers=True)
    promote(versioned, "tiny", "1", "first")
    return versioned, old, run_of(versioned, second, registers=False)


def said(asked: str, capsys: pytest.CaptureFixture[str]) -> str:
    who_used(asked)
    return capsys.readouterr().out


def test_a_hash_a_commit_and_a_tag_find_the_runs_and_models_of_their_data(
    used: tuple[Project, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    project, old, new = used
    second, first = (version.digest for version in data_log(project, "tiny").versions)
    whole = git(project.root, "show", "first:data.dvc").split("md5: ")[1].split()[0]
    for asked in (
        first,
        first[:6],
        "first",
        git(project.root, "rev-parse", "first").strip(),
        whole,
    ):
        found = said(asked, capsys)
        assert old[:8] in found
        assert "tiny 1 (champion)" in found
        assert new[:8] not in found
    assert new[:8] in said(second, capsys)


def test_a_file_and_a_folder_find_the_runs_of_versions_with_the_same_bytes(
    used: tuple[Project, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project, old, new = used
    for place in (raw(project), raw(project).parent):
        found = said(str(place), capsys)
        assert new[:8] in found
        assert old[:8] not in found
    other = tmp_path / "other name.csv"
    other.write_bytes(raw(project).read_bytes())
    assert new[:8] in said(str(other), capsys)
    other.write_text("nobody's,rows\n1,2\n")
    assert "no run and no model used the data of" in said(str(other), capsys)


def test_a_reference_to_no_data_is_named(used: tuple[Project, str, str]) -> None:
    with pytest.raises(ConfigError, match=r"(?s)no data 'nowhere.csv'.*gristmill data log"):
        who_used("nowhere.csv")


def test_a_commit_with_unused_data_has_no_runs(
    used: tuple[Project, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    project, *_ = used
    make_versions(project, 1, "other")
    assert "no run and no model used the data of abcdef" in said("abcdef", capsys)
