"""Snapshot and restore: pinned bytes are restored, new ones accepted only on request."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from gristmill.pipelines.base.errors import ConfigError, InputError
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.versions.moves import lay_out_version
from gristmill.pipelines.ingestion.versions.pins import DataState, data_digest, data_state
from gristmill.pipelines.ingestion.versions.snapshot import check_links, restore, snapshot

EXPERIMENT = """\
data: {{path: data/churn/churn.csv, {source}target: b, task: regression}}
schema: {{}}
split: {{}}
features: {{}}
model: {{layers: []}}
"""


def digits(project: Project) -> Path:
    return project.root / "data" / "digits" / "digits.csv"


def edit(project: Project) -> bytes:
    lines = digits(project).read_text().splitlines(keepends=True)
    digits(project).write_text("".join([*lines, lines[-1]]))
    return digits(project).read_bytes()


def forget_bytes(project: Project) -> None:
    shutil.rmtree(project.root / ".dvc" / "cache")


def another_source(project: Project, content: str = "a,b\n1,2\n") -> None:
    (project.root / "other.csv").write_text(content)
    file = project.experiment_file("digits")
    file.write_text(file.read_text().replace('"sklearn:digits"', "other.csv"))


def write_churn(project: Project, source: str = "") -> Path:
    project.experiment_file("churn").write_text(EXPERIMENT.format(source=source))
    return project.root / "data" / "churn" / "churn.csv"


def everything(project: Project) -> dict[str, bytes]:
    """Return the bytes of the pin and of all data files, hidden ones included."""
    files = [project.root / "data.dvc", *(project.root / "data").rglob("*")]
    return {str(file): file.read_bytes() for file in files if file.is_file()}


def test_data_as_pinned_are_left_unchanged(project: Project) -> None:
    before = everything(project)
    taken = snapshot(project, "digits")
    assert taken.how == "as pinned"
    assert taken.digest == data_digest(project, "digits")
    assert everything(project) == before


def test_missing_data_are_restored_from_the_cache(project: Project) -> None:
    before = everything(project)
    shutil.rmtree(digits(project).parent)
    another_source(project)  # not asked
    assert snapshot(project, "digits").how == "restored by DVC"
    assert everything(project) == before


@pytest.mark.parametrize("lock", ["with dvc.lock", "without dvc.lock"])
def test_on_a_clone_without_cache_missing_data_are_fetched_from_the_source(
    project: Project, lock: str
) -> None:
    before = everything(project)
    forget_bytes(project)
    shutil.rmtree(project.root / "data")
    if lock == "without dvc.lock":
        (project.root / "dvc.lock").unlink()
    assert restore(project, "digits") == "fetched from sklearn:digits, equal to the pin"
    assert data_state(project, "digits") is DataState.PINNED
    aside, pinned = project.root / "aside", data_digest(project, "digits")
    assert not lay_out_version(project, "digits", pinned, aside)
    assert (aside / "digits.csv").read_bytes() == digits(project).read_bytes()
    shutil.rmtree(aside)
    snapshot(project, "diabetes")
    assert everything(project) == before


def test_a_source_with_other_bytes_than_the_pin_is_refused(project: Project) -> None:
    forget_bytes(project)
    shutil.rmtree(digits(project).parent)
    another_source(project)
    before = everything(project)
    with pytest.raises(
        InputError, match=r"(?s)no longer has the pinned bytes.*other\.csv.*dvc pull.*refresh"
    ):
        snapshot(project, "digits")
    assert everything(project) == before


def test_missing_data_without_a_source_are_refused_with_solutions(project: Project) -> None:
    write_churn(project)
    with pytest.raises(ConfigError, match=r"(?s)missing.*names no source.*put it at data/c"):
        snapshot(project, "churn")


def test_data_edited_by_hand_are_refused_with_both_solutions(project: Project) -> None:
    edited = edit(project)
    for take in (snapshot, restore):
        with pytest.raises(
            InputError,
            match=r"(?s)edited by hand.*refresh digits --data data/digits/digits\.csv"
            r".*data restore digits",
        ):
            take(project, "digits")
    assert digits(project).read_bytes() == edited


@pytest.mark.parametrize("cache", ["with a cache", "without a cache"])
def test_an_edit_can_be_discarded(project: Project, cache: str) -> None:
    before = everything(project)
    edit(project)
    if cache == "without a cache":
        forget_bytes(project)
    restore(project, "digits", discard=True)
    assert everything(project) == before


def test_an_edit_is_kept_if_the_pinned_bytes_cannot_be_restored(project: Project) -> None:
    forget_bytes(project)
    another_source(project)
    edit(project)
    before = everything(project)
    with pytest.raises(InputError, match="no longer has the pinned bytes"):
        restore(project, "digits", discard=True)
    assert everything(project) == before


def test_new_data_on_disk_are_pinned(project: Project) -> None:
    file = write_churn(project)
    file.parent.mkdir()
    file.write_text("a,b\n1,2\n")
    assert snapshot(project, "churn").how == "new, pinned"
    assert snapshot(project, "churn").how == "as pinned"


def test_new_data_are_fetched_from_their_source_and_pinned(project: Project) -> None:
    (project.root / "here.csv").write_text("a,b\n1,2\n")
    file = write_churn(project, "source: here.csv, ")
    assert snapshot(project, "churn").how == "fetched from here.csv and pinned"
    assert file.read_text() == "a,b\n1,2\n"
    assert data_state(project, "digits") is DataState.PINNED


def test_a_folder_is_fetched_pinned_and_restored_as_a_whole(project: Project) -> None:
    for name in ("cat/1.png", "dog/2.png"):
        (project.root / "from" / name).parent.mkdir(parents=True)
        (project.root / "from" / name).write_text(name)
    place = write_churn(project, "source: from, ").with_name("pictures")
    file = project.experiment_file("churn")
    file.write_text(file.read_text().replace("churn.csv", "pictures"))
    assert snapshot(project, "churn").how == "fetched from from and pinned"
    before = everything(project)
    assert (place / "dog" / "2.png").read_text() == "dog/2.png"
    (place / "dog" / "2.png").write_text("edited")
    with pytest.raises(InputError, match=r"refresh churn --data data/churn/pictures"):
        snapshot(project, "churn")
    shutil.rmtree(place)
    assert snapshot(project, "churn").how == "restored by DVC"
    assert everything(project) == before


def test_the_result_of_an_unordered_query_is_pinned_with_a_warning(project: Project) -> None:
    with sqlite3.connect(project.root / "a.db") as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a, 2 AS b")
    connection.close()
    file = write_churn(project, 'source: "sqlite:///a.db", query: SELECT * FROM t, ')
    how = snapshot(project, "churn").how
    assert how.startswith("fetched from sqlite:///a.db and pinned; the query has no ORDER BY")
    assert file.read_text() == "a,b\n1,2\n"


def test_a_source_with_a_password_is_refused_and_the_password_not_shown(project: Project) -> None:
    write_churn(project, 'source: "https://me:hUsh@127.0.0.1/new.csv?token=hUsh", ')
    with pytest.raises(ConfigError, match="source contains a password") as caught:
        snapshot(project, "churn")
    assert "hUsh" not in str(caught.value)


def test_a_link_out_of_the_data_folder_is_refused_before_pinning(
    project: Project, tmp_path: Path
) -> None:
    (tmp_path / "outside.csv").write_text("a,b\n1,2\n")
    file = write_churn(project)
    file.parent.mkdir()
    file.symlink_to(tmp_path / "outside.csv")
    pinned = (project.root / "data.dvc").read_bytes()
    with pytest.raises(InputError, match=r"(?s)leads out of the data folder.*data/churn/churn.csv"):
        snapshot(project, "churn")
    assert (project.root / "data.dvc").read_bytes() == pinned


def test_a_clone_without_data_can_pin_a_new_data_set_and_keep_the_others(
    project: Project,
) -> None:
    forget_bytes(project)
    shutil.rmtree(project.root / "data")
    file = write_churn(project)
    file.parent.mkdir(parents=True)
    file.write_text("a,b\n1,2\n")
    assert restore(project, "churn") == "on disk, not pinned yet"
    assert snapshot(project, "churn").how == "new, pinned"
    assert data_state(project, "digits") is DataState.MISSING
    assert restore(project, "digits") == "fetched from sklearn:digits, equal to the pin"


def make(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize("what", ["set", "set/a.csv", "set/deep/a.csv"])
def test_a_link_out_of_the_data_folder_is_refused(tmp_path: Path, what: str) -> None:
    outside = make(tmp_path / "outside", {"a.csv": "x"})
    link = tmp_path / "data" / what
    link.parent.mkdir(parents=True)
    link.symlink_to(outside if what == "set" else outside / "a.csv")
    with pytest.raises(InputError, match=rf"(?s)leads out of the data folder.*data/{what} → .*rm"):
        check_links(Project(tmp_path), "set", lambda: tmp_path / "cache")


def test_links_inside_data_and_into_the_dvc_cache_are_allowed(tmp_path: Path) -> None:
    cache = make(tmp_path / "cache", {"files/md5/00/11": "x"})
    data = make(tmp_path / "data", {"set/a.csv": "x"})
    (data / "set" / "b.csv").symlink_to("a.csv")
    (data / "set" / "c.csv").symlink_to(cache / "files/md5/00/11")
    check_links(Project(tmp_path), "set", lambda: cache)
    check_links(Project(tmp_path), "absent", lambda: cache)


def test_the_data_folder_can_be_a_link_to_another_disk(tmp_path: Path) -> None:
    make(tmp_path / "disk", {"set/a.csv": "x"})
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "data").symlink_to(tmp_path / "disk")
    check_links(Project(tmp_path / "project"), "set", lambda: tmp_path / "cache")
