"""Safe unpacking of archives: nothing is written outside the folder or beyond the limit."""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NoReturn

from gristmill.pipelines.base import InputError
from gristmill.pipelines.ingestion.sources.meter import DownloadMeter, is_full, shown_size, words_of

CHUNK = 1 << 20

MOST_EXPANSION = 200
"""Maximum ratio of unpacked to packed size; text is compressed 10 to 50 times."""

SMALL = 100 * 10**6
"""Unpacked bytes that are always allowed, however small the archive is."""

BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError),
    *(NotImplementedError, UnicodeError),
)

Member = tuple[str, IO[bytes] | None]
"""The name and the content of a file; a folder has none."""


def is_archive(file: Path) -> bool:
    """Return whether a file is a zip or a tar, compressed or not, by its bytes."""
    return zipfile.is_zipfile(file) or tarfile.is_tarfile(file)


def holds_several(file: Path) -> bool:
    """Return whether a file is a tar, or a zip of more than one file.

    A zip of one file counts as that file, compressed; hidden files are ignored.
    """
    if not zipfile.is_zipfile(file):
        return tarfile.is_tarfile(file)
    with zipfile.ZipFile(file) as zipped:
        names = [info.filename for info in zipped.infolist() if not info.is_dir()]
    return sum(_inside(name) is not None for name in names) > 1


def unpack(archive: Path, folder: Path, meter: DownloadMeter) -> None:
    """Unpack an archive to a new folder, without hidden files.

    If all files are in a single top-level folder, that folder is removed from their paths.

    Args:
        archive: a zip or tar file.
        folder: the folder to create.
        meter: its limit applies to the unpacked bytes.

    Raises:
        InputError: the archive is damaged or encrypted, contains links or paths out of the folder,
            or unpacks to more than the limit.
    """
    most = min(meter.limit, max(SMALL, MOST_EXPANSION * archive.stat().st_size))
    members = _zip if zipfile.is_zipfile(archive) else _tar
    folder.mkdir()
    written = 0
    try:
        for name, content in members(archive):
            if content is None:
                if PurePosixPath(name).parts and (inside := _inside(name)) is not None:
                    (folder / inside).mkdir(parents=True, exist_ok=True)
                continue
            with content:
                inside = _inside(name)
                if inside is not None:
                    written += _write(content, folder / inside, most - written)
    except (*BROKEN, OSError) as error:
        if is_full(error):
            raise
        raise InputError(
            "the archive cannot be unpacked",
            expected="a complete zip or tar",
            found=f"{type(error).__name__}: {words_of(error, 160)}",
            next="fetch it again, or unpack it by hand and set data.source to the folder",
        ) from error
    _take_off(folder)


def _zip(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            if info.flag_bits & 1:
                _refuse("an archive without a password", f"{info.filename} is encrypted")
            if stat.S_ISLNK(info.external_attr >> 16):
                _refuse("files and folders", f"a link: {info.filename}")
            yield info.filename, None if info.is_dir() else file.open(info)


def _tar(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive, "r:*") as file:
        for member in file:
            if not member.isreg() and not member.isdir():
                _refuse("files and folders", f"a link or a device: {member.name}")
            yield member.name, file.extractfile(member)


def _inside(name: str) -> PurePosixPath | None:
    """Return the path below the folder; None for a hidden file."""
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        _refuse("paths inside the folder", f"{name!r}")
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return None if hidden else path


def _write(content: IO[bytes], place: Path, most: int) -> int:
    place.parent.mkdir(parents=True, exist_ok=True)
    size = 0
    with place.open("xb") as file:
        while chunk := content.read(CHUNK):
            size += len(chunk)
            if size > most:
                _refuse(
                    f"at most {MOST_EXPANSION} times its own size, and at most the size limit",
                    f"more than that, at {place.name} after {shown_size(size)}",
                )
            file.write(chunk)
    return size


def _take_off(folder: Path) -> None:
    inside = list(folder.iterdir())
    if not inside:
        _refuse("files", "none")
    if len(inside) == 1 and inside[0].is_dir():
        aside = folder.with_name(f"{folder.name}.inner")
        inside[0].rename(aside)
        folder.rmdir()
        aside.rename(folder)


def _refuse(expected: str, found: str) -> NoReturn:
    raise InputError(
        "archive refused",
        expected=expected,
        found=found,
        next="unpack it by hand, inspect it, and set data.source to the folder",
    )
