"""Pins in the old format, one hash for all of `data/`: always read, never written."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from versioned import (
    ROWS,
    add_data_set,
    add_folder,
    commit,
    edit_digits,
    everything,
    forget_bytes,
    pin_as_whole,
    raw,
    remove,
    take,
    with_remote,
    write,
)

from gristmill.commands.who_used import who_used
from gristmill.pipelines.base.errors import ConfigError, InputError
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.versions.cache import Kept
from gristmill.pipelines.ingestion.versions.data_log import data_log, find
from gristmill.pipelines.ingestion.versions.merge_driver import register_driver
from gristmill.pipelines.ingestion.versions.moves import go_to
from gristmill.pipelines.ingestion.versions.pin_file import entries_in, read_pin
from gristmill.pipelines.ingestion.versions.pins import (
    DataState,
    data_digest,
    data_state,
    pin_data,
    pinned_digest,
)
from gristmill.pipelines.ingestion.versions.snapshot import restore, snapshot
from tests.conftest import BIN, git


@pytest.fixture
def whole(project: Project) -> Project:
    """A clone whose `data.dvc` has the old format."""
    pin_as_whole(project)
    return project


CACHES = pytest.mark.parametrize("cache", ["with a cache", "without a cache"])


@CACHES
def test_a_data_set_is_as_pinned_edited_or_missing(whole: Project, cache: str) -> None:
    before = (whole.root / "data.dvc").read_bytes()
    if cache == "without a cache":
        forget_bytes(whole)
    assert data_state(whole, "digits") is DataState.PINNED
    if cache == "without a cache":
        forget_bytes(whole)  # data_state has cached the data on disk
    edit_digits(whole)
    assert data_state(whole, "digits") is DataState.EDITED
    remove(whole, "digits")
    assert data_state(whole, "digits") is DataState.MISSING
    assert restore(whole, "digits").startswith(
        ("restored by DVC", "fetched from sklearn:digits, e")
    )
    assert data_state(whole, "digits") is DataState.PINNED
    assert (whole.root / "data.dvc").read_bytes() == before


def test_pinning_one_data_set_writes_an_entry_for_each(whole: Project) -> None:
    digests = {name: data_digest(whole, name) for name in ("digits", "diabetes")}
    remove(whole, "diabetes")
    add_folder(whole, "churn")
    digests["churn"] = pin_data(whole, "churn")
    entries = entries_in((whole.root / "data.dvc").read_text())
    assert list(entries) == ["data/churn", "data/diabetes", "data/digits"]
    assert read_pin(whole).sets == digests
    assert restore(whole, "diabetes") == "restored by DVC"
    text = (whole.root / "data.dvc").read_text()
    subprocess.run([BIN / "dvc", "commit", "-q", "-f", "data.dvc"], cwd=whole.root, check=True)
    assert (whole.root / "data.dvc").read_text() == text


def test_the_list_of_files_is_read_from_the_remote(whole: Project, tmp_path: Path) -> None:
    shutil.copytree(whole.root / ".dvc" / "cache", tmp_path / "remote")
    with_remote(whole, tmp_path / "remote")
    forget_bytes(whole)
    (whole.root / "dvc.lock").unlink()
    remove(whole, "digits")
    assert restore(whole, "digits") == "restored by DVC"


def test_an_additional_data_set_is_new_if_only_the_hash_is_known(whole: Project) -> None:
    forget_bytes(whole)
    add_folder(whole, "churn")
    assert data_state(whole, "churn") is DataState.NEW
    assert data_state(whole, "digits") is DataState.PINNED
    pin_data(whole, "churn")
    assert sorted(read_pin(whole).sets) == ["churn", "diabetes", "digits"]


def test_nothing_is_pinned_if_the_other_data_sets_are_unknown(whole: Project) -> None:
    forget_bytes(whole)
    remove(whole, "digits")
    add_folder(whole, "churn")
    before = everything(whole)
    with pytest.raises(ConfigError, match=r"(?s)must be restored before.*gristmill data restore"):
        pin_data(whole, "churn")
    assert everything(whole) == before
    assert restore(whole, "digits") == "fetched from sklearn:digits, equal to the pin"
    pin_data(whole, "churn")


def as_whole(project: Project, words: str) -> str:
    pin_as_whole(project)
    return commit(project, words)


def test_versions_in_both_formats_are_listed_found_and_checked_out(
    versioned: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    second, first = (v.digest for v in data_log(versioned, "tiny").versions)
    add_data_set(versioned, "other", ROWS[:30])
    take(versioned, "tiny", write(versioned.root.parent / "third.csv", ROWS[:20]))
    old = as_whole(versioned, "all under one hash")
    third = data_digest(versioned, "tiny")
    take(versioned, "tiny", write(versioned.root.parent / "fourth.csv", ROWS[:10]))
    commit(versioned, "an entry for each again")
    for file in (versioned.root / ".dvc" / "cache").rglob(f"{third[2:]}"):
        file.unlink()  # pins in the old format had no list per data set
    log = data_log(versioned, "tiny")
    assert [v.digest for v in log.versions][1:] == [third, second, first]
    assert [v.commit for v in log.versions][1] == old
    assert (log.unknown, {v.kept for v in log.versions}) == (0, {Kept.CACHE})
    assert find(versioned, "tiny", old) == find(versioned, "tiny", third[:8]) == third
    go_to(versioned, "tiny", third)
    assert len(raw(versioned).read_text().splitlines()) == 21
    assert pinned_digest(versioned, "tiny") == third
    whole = git(versioned.root, "show", f"{old}:data.dvc").split("md5: ")[1].split()[0]
    monkeypatch.chdir(versioned.root)
    for asked in (old, whole[:8]):
        who_used(asked)
        assert "no run and no model used the data of" in capsys.readouterr().out


def test_a_pin_with_unknown_content_is_counted_and_named(versioned: Project) -> None:
    as_whole(versioned, "all under one hash")
    old = git(versioned.root, "rev-parse", "HEAD").strip()
    take(versioned, "tiny", write(versioned.root.parent / "third.csv", ROWS[:20]))
    commit(versioned, "third")
    forget_bytes(versioned)
    log = data_log(versioned, "tiny")
    assert (len(log.versions), log.unknown) == (3, 1)
    with pytest.raises(InputError, match=rf"(?s)pinned by {old} are unknown here.*dvc push data"):
        find(versioned, "tiny", old)


@pytest.mark.parametrize("sides", ["both old", "ours old", "theirs old"])
def test_branches_with_pins_in_the_old_format_merge(versioned: Project, sides: str) -> None:
    as_whole(versioned, "all under one hash")
    for branch, name in (("theirs", "left"), ("ours", "right")):
        git(versioned.root, "checkout", "-q", "main")
        snapshot(versioned, "tiny")
        git(versioned.root, "checkout", "-qb", branch)
        add_data_set(versioned, name, ROWS[:50])
        if sides in ("both old", f"{branch} old"):
            pin_as_whole(versioned)
        commit(versioned, f"{branch}: {name}")
    register_driver(versioned, BIN / "gristmill")
    git(versioned.root, "merge", "-q", "--no-edit", "theirs")
    entries = entries_in((versioned.root / "data.dvc").read_text())
    assert list(entries) == ["data/left", "data/right", "data/tiny"]
    for name in ("tiny", "left", "right"):
        snapshot(versioned, name)
        assert data_state(versioned, name) is DataState.PINNED


def test_without_the_lists_of_files_the_conflict_of_git_remains_with_a_solution(
    versioned: Project,
) -> None:
    as_whole(versioned, "all under one hash")
    git(versioned.root, "checkout", "-qb", "theirs")
    add_data_set(versioned, "left", ROWS[:50])
    commit(versioned, "theirs")
    git(versioned.root, "checkout", "-q", "main")
    add_data_set(versioned, "right", ROWS[:40])
    commit(versioned, "ours")
    for file in (versioned.root / ".dvc" / "cache").rglob("*.dir"):
        file.unlink()
    register_driver(versioned, BIN / "gristmill")
    done = subprocess.run(
        ["git", "merge", "-q", "--no-edit", "theirs"],
        cwd=versioned.root,
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "a list of files is not in DVC's cache" in said
    assert "git merge --abort, dvc fetch --all-branches" in said
    text = (versioned.root / "data.dvc").read_text()
    assert "<<<<<<< ours" in text
    with pytest.raises(InputError, match=r"(?s)merge conflict.*doctor --fix && git checkout -"):
        data_state(versioned, "tiny")
