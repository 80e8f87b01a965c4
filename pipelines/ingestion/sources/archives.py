"""Archives, unpacked with care: nothing leaves the folder, nothing grows past the limit."""

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
"""How many times its own size an archive may unpack to; text packs 10 to 50 times."""

SMALL = 100 * 10**6
"""Bytes that any archive may unpack to."""

BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error, lzma.LZMAError),
    *(NotImplementedError, UnicodeError),
)

Member = tuple[str, IO[bytes]]


def is_archive(file: Path) -> bool:
    """Whether a file is a zip or a tar, packed or not, by its bytes."""
    return zipfile.is_zipfile(file) or tarfile.is_tarfile(file)


def holds_several(file: Path) -> bool:
    """Whether a file is an archive of files that only make sense together: a tar, a zip of many.

    A zip of one file is that file, compressed; hidden files do not count.
    """
    if not zipfile.is_zipfile(file):
        return tarfile.is_tarfile(file)
    with zipfile.ZipFile(file) as zipped:
        names = [info.filename for info in zipped.infolist() if not info.is_dir()]
    return sum(_inside(name) is not None for name in names) > 1


def unpack(archive: Path, folder: Path, meter: DownloadMeter) -> None:
    """Writes an archive's files to a new folder; a single folder around all of them is taken off.

    Hidden files are left out.

    Raises:
        InputError: the archive is broken or locked, a path leaves the folder, there are links, or
            it unpacks to more than may be.
    """
    most = min(meter.limit, max(SMALL, MOST_EXPANSION * archive.stat().st_size))
    members = _zip if zipfile.is_zipfile(archive) else _tar
    folder.mkdir()
    written = 0
    try:
        for name, content in members(archive):
            with content:
                inside = _inside(name)
                if inside is not None:
                    written += _write(content, folder / inside, most - written)
    except (*BROKEN, OSError) as error:
        if is_full(error):
            raise
        raise InputError(
            "the archive cannot be unpacked",
            expected="a whole zip or tar",
            found=f"{type(error).__name__}: {words_of(error, 160)}",
            next="fetch it again, or unpack it by hand and name the folder as data.source",
        ) from error
    _take_off(folder)


def _zip(archive: Path) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for info in file.infolist():
            if info.flag_bits & 1:
                _refuse("an archive without a password", f"{info.filename} is encrypted")
            if stat.S_ISLNK(info.external_attr >> 16):
                _refuse("files and folders", f"a link: {info.filename}")
            if not info.is_dir():
                yield info.filename, file.open(info)


def _tar(archive: Path) -> Iterator[Member]:
    with tarfile.open(archive, "r:*") as file:
        for member in file:
            content = file.extractfile(member) if member.isreg() else None
            if content is not None:
                yield member.name, content
            elif not member.isdir():
                _refuse("files and folders", f"a link or a device: {member.name}")


def _inside(name: str) -> PurePosixPath | None:
    """The path below the folder; None for a hidden file."""
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
                    f"at most {MOST_EXPANSION} times its own size, and what the limit allows",
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
        "the archive is not taken",
        expected=expected,
        found=found,
        next="unpack it by hand, look at it, and name the folder as data.source",
    )
