"""What DVC would pin is held inside `data/`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from gristmill.pipelines.base import InputError
from gristmill.pipelines.config import Project


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
