"""Atomic writes: files are written beside their target and renamed over it."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a temporary path for a file or folder, which replaces `path` on success.

    On any exception, Ctrl-C included, the temporary one is removed and `path` is unchanged.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        yield aside
        _replace(aside, path)
    finally:
        _remove(aside)


def write_json(path: Path, content: Any) -> None:
    """Write sorted, indented JSON with a final newline: equal content gives equal bytes."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    with writing(path) as aside:
        aside.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_digest(place: Path) -> str:
    """Return the SHA-256 of a file, or of the names and contents of a folder's files."""
    if not place.is_dir():
        return file_digest(place)
    files = sorted(file for file in place.rglob("*") if file.is_file())
    parts = [f"{file.relative_to(place)}:{file_digest(file)}" for file in files]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _replace(aside: Path, path: Path) -> None:
    if path.is_dir() or (aside.is_dir() and path.exists()):  # a rename cannot replace these
        old = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.old")
        path.replace(old)
        try:
            aside.replace(path)
        except BaseException:
            old.replace(path)
            raise
        _remove(old)
    else:
        aside.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
