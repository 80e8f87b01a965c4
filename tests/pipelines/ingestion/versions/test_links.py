"""Symbolic links in pinned data must stay inside `data/`."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill.pipelines.base.errors import InputError
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.versions.links import check_links


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
