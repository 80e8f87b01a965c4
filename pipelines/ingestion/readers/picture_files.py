"""The picture files of a folder, and a word about everything else in it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from unicodedata import normalize

from gristmill.pipelines.ingestion.readers.wrapped import LEFT_BY_SYSTEMS

SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp"),
    *(".tif", ".tiff", ".pgm", ".ppm", ".pbm", ".pnm"),
)
"""Suffixes of pictures."""

SHOWN = 5
"""Maximum number of endings and of classes in a note."""


def is_picture(file: Path) -> bool:
    """Return whether a file is a picture by its name; hidden files are not."""
    return file.suffix.lower() in SUFFIXES and not _hidden(file.name)


def has_pictures(folder: Path) -> bool:
    """Return whether there is a picture in a folder or its subfolders; the first one is enough."""
    return any(is_picture(file) for file in _files(folder))


def pictures_below(folder: Path) -> list[Path]:
    """Return all pictures in a folder and its subfolders, sorted; hidden ones are passed over.

    The order does not depend on the Unicode form of the names.
    """
    found = (file for file in _files(folder) if is_picture(file))
    return sorted(found, key=lambda file: [composed(part) for part in file.parts])


def composed(text: str) -> str:
    """Return a text in the Unicode form NFC: macOS writes names in NFD."""
    return text if text.isascii() else normalize("NFC", text)


def not_taken(folder: Path, taken: Collection[Path] = ()) -> list[str]:
    """Count the files of a folder that are no pictures, by ending, in words.

    Args:
        folder: the folder; hidden files and folders in it are passed over.
        taken: files that are used for something else, such as the labels.
    """
    others = (file for file in _files(folder) if not is_picture(file) and file not in taken)
    counts = Counter(file.suffix.lower() or "without an ending" for file in others)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    few = [f"{n:,} {ending}" for ending, n in ordered[:SHOWN]]
    if not few:
        return []
    some = _listed(few, len(counts))
    return [f"{some} {'was' if counts.total() == 1 else 'were'} not taken"]


def empty_classes(folder: Path) -> list[str]:
    """Name the subfolders without pictures, in words; of nested ones only the outermost."""
    filled = {parent for file in _files(folder) if is_picture(file) for parent in file.parents}
    empty = [
        composed(place.relative_to(folder).as_posix())
        for place, _ in _walk(folder)
        if place not in filled and place.parent in filled
    ]
    if not empty:
        return []
    some = _listed(sorted(empty)[:SHOWN], len(empty))
    return [f"class {some} is empty" if len(empty) == 1 else f"classes {some} are empty"]


def _listed(few: list[str], every: int) -> str:
    if every > len(few):
        return ", ".join(few) + f" and {every - len(few):,} more"
    return " and ".join([", ".join(few[:-1]), few[-1]] if len(few) > 1 else few)


def _files(folder: Path) -> Iterator[Path]:
    return (place / name for place, names in _walk(folder) for name in names)


def _walk(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and its subfolders with the names of their files, without hidden ones."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not _hidden(name)]
        yield Path(place), [name for name in names if not _hidden(name)]


def _hidden(name: str) -> bool:
    return name.startswith(".") or name in (*LEFT_BY_SYSTEMS, "desktop.ini")
