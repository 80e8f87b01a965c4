"""Files and folders of data as wholes: compared, swapped, and held inside `data/`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines.config import InputError, Project

CHUNK = 1 << 20


def same_content(one: Path, other: Path) -> bool:
    """Whether two files, or two folders with all that is in them, hold the same bytes."""
    if one.is_dir() and other.is_dir():
        names = _names(one)
        return names == _names(other) and all(same_content(one / n, other / n) for n in names)
    if not (one.is_file() and other.is_file()) or one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as left, other.open("rb") as right:
        while chunk := left.read(CHUNK):
            if chunk != right.read(CHUNK):
                return False
    return True


def _names(folder: Path) -> list[str]:
    files = (file for file in folder.rglob("*") if not file.is_dir())
    return sorted(file.relative_to(folder).as_posix() for file in files)


@contextmanager
def swapped(new: Path, target: Path, before: Path) -> Iterator[None]:
    """Has `new` in the place of `target`; after an exception what was there stands there again.

    Args:
        before: where the old file or folder waits meanwhile; stays there at the end.
    """
    there = target.exists()
    if there:
        shutil.move(target, before)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(new, target)
        yield
    except BaseException:
        _remove(target)
        if there:
            shutil.move(before, target)
        raise


def _remove(place: Path) -> None:
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def check_links(project: Project, folder: str, cache: Callable[[], Path]) -> None:
    """Raises InputError where a link in `data/<folder>` leads out of `data/`.

    Args:
        cache: DVC's cache; links there, as `cache.type symlink` makes them, are what is pinned.
    """
    data = (project.root / "data").resolve()
    for link in (path for path in _below(data / folder) if path.is_symlink()):
        end = link.resolve()
        if not end.is_relative_to(data) and not end.is_relative_to(cache().resolve()):
            shown = f"data/{link.relative_to(data)}"
            raise InputError(
                "a link leads out of the data folder",
                expected="the files themselves: DVC pins what is inside data/",
                found=f"{shown} → {end}",
                next=f"rm {shown}, and copy what it leads to; or name that as data.source",
            )


def _below(place: Path) -> Iterator[Path]:
    yield place
    for folder, folders, files in os.walk(place):
        yield from (Path(folder) / name for name in (*folders, *files))
