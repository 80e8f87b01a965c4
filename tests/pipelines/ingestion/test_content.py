"""Files and folders as wholes: compared, swapped, held inside `data/`."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.config import InputError, Project
from pipelines.ingestion.content import check_links, same_content, swapped

FILES = {"cat/1.png": "one", "dog/2.png": "two"}


def make(folder: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (FILES, True),
        (FILES | {"dog/2.png": "owt"}, False),
        (FILES | {"dog/3.png": "two"}, False),
        ({"cat/1.png": "one"}, False),
    ],
)
def test_folders_are_the_same_when_names_and_bytes_are(
    tmp_path: Path, other: dict[str, str], same: bool
) -> None:
    one, two = make(tmp_path / "a", FILES), make(tmp_path / "b", other)
    assert same_content(one, two) is same
    assert same_content(two, one) is same
    assert not same_content(one, tmp_path / "absent")
    assert not same_content(one, two / "cat" / "1.png")


@pytest.mark.parametrize("old", ["a folder", "a file", "nothing"])
def test_what_was_there_comes_back_after_an_error(tmp_path: Path, old: str) -> None:
    target = tmp_path / "data" / "set"
    if old == "a folder":
        make(target, FILES)
    elif old == "a file":
        make(target.parent, {"set": "old"})
    before = {p: p.read_text() for p in tmp_path.rglob("*") if p.is_file()}
    new = make(tmp_path / "new", {"x": "y"})

    def interrupted() -> None:
        with swapped(new, target, tmp_path / "before"):
            assert (target / "x").read_text() == "y"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert {p: p.read_text() for p in tmp_path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("what", ["set", "set/a.csv", "set/deep/a.csv"])
def test_a_link_out_of_the_data_folder_is_refused(tmp_path: Path, what: str) -> None:
    outside = make(tmp_path / "outside", {"a.csv": "x"})
    link = tmp_path / "data" / what
    link.parent.mkdir(parents=True)
    link.symlink_to(outside if what == "set" else outside / "a.csv")
    with pytest.raises(InputError, match=rf"(?s)leads out of the data folder.*data/{what} → .*rm"):
        check_links(Project(tmp_path), "set", lambda: tmp_path / "cache")


def test_links_inside_data_and_to_the_cache_of_dvc_may_be(tmp_path: Path) -> None:
    cache = make(tmp_path / "cache", {"files/md5/00/11": "x"})
    data = make(tmp_path / "data", {"set/a.csv": "x"})
    (data / "set" / "b.csv").symlink_to("a.csv")
    (data / "set" / "c.csv").symlink_to(cache / "files/md5/00/11")
    check_links(Project(tmp_path), "set", lambda: cache)
    check_links(Project(tmp_path), "absent", lambda: cache)


def test_data_may_stand_on_another_disk(tmp_path: Path) -> None:
    make(tmp_path / "disk", {"set/a.csv": "x"})
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "data").symlink_to(tmp_path / "disk")
    check_links(Project(tmp_path / "project"), "set", lambda: tmp_path / "cache")
