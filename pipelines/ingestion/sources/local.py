"""Files and folders of this machine."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from gristmill.pipelines.base import ConfigError, InputError, copy_sqlite, nearest
from gristmill.pipelines.ingestion.sources.meter import MEND, Wanted, no_source

MEND_PATH = f"{MEND}, or the path after --data"
PREFIXES = ("sklearn", "openml", "keras", "https", "file")


def copy(wanted: Wanted, aside: Path) -> None:
    """Copy a file, or a folder without hidden files; links out of the folder are refused."""
    origin = _place(wanted)
    try:
        if origin.is_dir():
            _copy_folder(origin, aside, wanted.target)
        elif origin.is_file():
            if not copy_sqlite(origin, aside):
                _copy_file(origin, aside)
        else:
            raise _not_there(origin, wanted.source)
    except sqlite3.DatabaseError as error:
        raise InputError(
            "the source cannot be read as a database",
            expected=f"an SQLite file {origin.name}, with the writes in the file beside it",
            found=str(error),
            next=f"sqlite3 {shlex.quote(str(origin))} 'PRAGMA integrity_check'",
        ) from error
    except PermissionError as error:
        raise InputError(
            "the source is not readable",
            expected="permission to read it",
            found=f"no permission for {error.filename or origin}",
            next=f"chmod u+rX {error.filename or origin}",
        ) from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise _no_path(wanted.source) from error


def _place(wanted: Wanted) -> Path:
    text = wanted.source
    if text.lower().startswith("file://"):
        text = unquote(urlsplit(text).path)
    elif text.lower().startswith("file:"):
        text = text[len("file:") :]
    if "\0" in text or len(os.fsencode(text)) > os.pathconf("/", "PC_PATH_MAX"):
        raise _no_path(text)
    return wanted.project.root / Path(text).expanduser()


def _no_path(text: str) -> ConfigError:
    return no_source("the source is not a valid path", "a path", repr(text[:60]), MEND_PATH)


def _not_there(origin: Path, source: str) -> ConfigError:
    prefix, colon, rest = source.partition(":")
    near = nearest(prefix, PREFIXES) if colon else ""
    found = f"something else at {origin}" if os.path.lexists(origin) else f"nothing at {origin}"
    next = f"did you mean {near}:{rest}?" if near and near != prefix else MEND_PATH
    return no_source("the source file is missing", "a file or a folder", found, next)


def _copy_file(origin: Path, aside: Path) -> None:
    before = origin.stat()
    shutil.copyfile(origin, aside)
    after = origin.stat()
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InputError(
            "the source changed while it was copied",
            expected=f"{origin} to stay unchanged",
            found=f"{before.st_size:,} bytes, then {after.st_size:,}",
            next="try again when nothing writes to it",
        )


def _copy_folder(origin: Path, aside: Path, target: Path) -> None:
    if origin.resolve() in target.resolve().parents:
        beside = "a source outside the project's data"
        raise no_source("a folder cannot be copied into itself", beside, str(origin), MEND_PATH)
    entries = list(_entries(origin))
    if all(entry.is_dir() for entry in entries):
        raise InputError("the source folder is empty", expected="files", found=f"none in {origin}")
    for entry in entries:
        place = aside / entry.relative_to(origin)
        if entry.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            _copy_file(entry, place)


def _entries(origin: Path) -> Iterator[Path]:
    """Yield a folder, its files and its subfolders, sorted, without hidden ones.

    Raises:
        InputError: there is anything else in it.
    """
    inside = origin.resolve()
    for folder, folders, names in os.walk(origin, onerror=_stop):
        yield Path(folder)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if (Path(folder) / name).is_symlink():
                _refuse(Path(folder) / name, "a link to a folder")
        for name in sorted(name for name in names if not name.startswith(".")):
            file = Path(folder) / name
            if file.is_symlink() and not file.resolve().is_relative_to(inside):
                _refuse(file, "a link out of the folder")
            if not file.is_file():
                _refuse(file, "a broken link" if file.is_symlink() else "a pipe or a device")
            yield file


def _stop(error: OSError) -> None:
    raise error


def _refuse(place: Path, what: str) -> NoReturn:
    raise InputError(
        "the source folder contains something that cannot be copied",
        expected="files and folders, and no link out of it",
        found=f"{what}: {place}",
        next="replace the link by the file itself, or remove it",
    )
