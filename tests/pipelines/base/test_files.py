"""Atomic writing of files and folders."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from gristmill.pipelines.base.files import file_digest, read_json, write_json, writing


def everything(folder: Path) -> dict[str, str | None]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def write_half(path: Path, error: type[BaseException]) -> None:
    path.write_text("half")
    raise error("half")


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.txt"
    path.write_text("old")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "place"
    path.mkdir()
    (path / "old.txt").write_text("old")
    return path


def test_the_new_file_replaces_the_old_one_at_the_end(file: Path) -> None:
    with writing(file) as aside:
        aside.write_text("new")
        assert file.read_text() == "old"
    assert everything(file.parent) == {"a.txt": "new"}


def test_a_missing_parent_folder_is_created(tmp_path: Path) -> None:
    with writing(tmp_path / "b" / "c" / "d.txt") as aside:
        aside.write_text("x")
    assert everything(tmp_path) == {"b": None, "b/c": None, "b/c/d.txt": "x"}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_after_an_error_the_old_file_is_kept_and_no_temporary_file_remains(
    file: Path, error: type[BaseException]
) -> None:
    with pytest.raises(error, match="half"), writing(file) as aside:
        write_half(aside, error)
    assert everything(file.parent) == {"a.txt": "old"}


def test_a_new_folder_replaces_the_old_one(folder: Path) -> None:
    with writing(folder) as aside:
        aside.mkdir()
        (aside / "new.txt").write_text("new")
    assert everything(folder.parent) == {"place": None, "place/new.txt": "new"}


def test_after_an_error_the_old_folder_is_kept_and_no_temporary_file_remains(folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt, match="half"), writing(folder) as aside:
        write_half(make(aside) / "new.txt", KeyboardInterrupt)
    assert everything(folder.parent) == {"place": None, "place/old.txt": "old"}


def test_the_old_folder_is_kept_if_nothing_was_written(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="place"), writing(folder):
        pass
    assert everything(folder.parent) == {"place": None, "place/old.txt": "old"}


def test_equal_json_gives_equal_bytes(tmp_path: Path) -> None:
    write_json(tmp_path / "a", {"b": 1, "가": [2.5]})
    write_json(tmp_path / "b", {"가": [2.5], "b": 1})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert "가" in (tmp_path / "a").read_text(encoding="utf-8")
    assert read_json(tmp_path / "a") == {"b": 1, "가": [2.5]}


def test_nan_in_json_is_refused_and_the_old_file_is_kept(file: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(file, {"a": float("nan")})
    assert everything(file.parent) == {"a.txt": "old"}


def test_the_digest_is_the_sha256_of_the_bytes(file: Path) -> None:
    assert file_digest(file) == hashlib.sha256(b"old").hexdigest()
