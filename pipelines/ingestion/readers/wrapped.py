"""The bytes of a file, decompressed if it is compressed."""

from __future__ import annotations

import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

import pyarrow as pa

from gristmill.pipelines.base import ConfigError, InputError
from gristmill.pipelines.ingestion.readers.faults import broken, forbidden, unreadable
from gristmill.pipelines.ingestion.readers.formats import WRAPS

EXPANSION = 500
"""Maximum ratio of decompressed to compressed size; that of text tables is below 100."""

HARMLESS = 256 << 20
"""Decompressed bytes that are always allowed, however small the compressed file is."""

LEFT_BY_SYSTEMS = ("__MACOSX", ".DS_Store", "Thumbs.db")

MAGIC = {
    b"\x1f\x8b": "gzip data: name it .gz",
    b"BZh": "bzip2 data: name it .bz2",
    b"\xfd7zXZ\0": "xz data: name it .xz",
    b"\x28\xb5\x2f\xfd": "zstd data: name it .zst",
    b"PAR1": "Parquet data: name it .parquet",
    b"PK\x03\x04": "a zip archive or an Excel file: name it .zip, or save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel file: save the sheet as CSV",
    b"\x89PNG": "binary data, a picture",
    b"\xff\xd8\xff": "binary data, a picture",
    b"%PDF": "binary data, a PDF document",
    b"SQLite format 3\0": "binary data, an SQLite database",
}
"""Descriptions of files that are not text, by their first bytes."""

FAULTS = (
    *(pa.ArrowInvalid, OSError, EOFError, lzma.LZMAError, zlib.error),
    *(zipfile.BadZipFile, RuntimeError, NotImplementedError),
)
"""Exceptions that libraries raise for damaged files; zipfile raises RuntimeError for a password."""


class Readable(Protocol):
    """A stream of bytes."""

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end."""


def unwrapped_name(raw: Path) -> str:
    """Return the name of the file inside the compression, or its own if it is not compressed.

    Raises:
        InputError: a zip archive is damaged or does not contain exactly one file.
    """
    if raw.suffix.lower() == ".zip":
        return PurePosixPath(_only_member(raw)).name
    return raw.stem if raw.suffix.lower() in WRAPS else raw.name


@contextmanager
def opened(raw: Path) -> Iterator[Readable]:
    """Open a file as a stream of its decompressed bytes.

    Raises:
        InputError: it is damaged, or decompresses to more than `EXPANSION` times its size.
        ConfigError: the user has no permission to read it.
    """
    wrap = WRAPS.get(raw.suffix.lower())
    try:
        stream = _stream(raw, wrap)
    except FAULTS as error:
        raise _translated(raw, error) from error
    try:
        yield _Guarded(raw, stream, wrap is not None)
    finally:
        stream.close()


def _stream(raw: Path, wrap: str | None) -> Any:
    if wrap is None:
        return raw.open("rb", buffering=0)
    if wrap == "xz":
        return lzma.open(raw)
    if wrap == "zip":
        return zipfile.ZipFile(raw).open(_only_member(raw))
    return pa.input_stream(str(raw), compression=wrap)


class _Guarded:
    """A stream that stops at the size limit and whose errors name the file."""

    def __init__(self, raw: Path, stream: Any, limited: bool) -> None:
        self._raw, self._stream, self._given = raw, stream, 0
        self._limit = max(HARMLESS, EXPANSION * raw.stat().st_size) if limited else None

    def read(self, size: int, /) -> bytes:
        try:
            data: bytes = self._stream.read(size)
        except FAULTS as error:
            raise _translated(self._raw, error) from error
        self._given += len(data)
        if self._limit is not None and self._given > self._limit:
            raise unreadable(
                self._raw,
                f"at most {EXPANSION} times its size when unpacked",
                f"more than {self._limit >> 20:,} MiB from {self._raw.stat().st_size:,} bytes",
                "if that is intended, unpack it yourself and use the plain file",
            )
        return data


def _only_member(raw: Path) -> str:
    try:
        with zipfile.ZipFile(raw) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except FAULTS as error:
        raise _translated(raw, error) from error
    names = [n for n in names if not set(PurePosixPath(n).parts) & set(LEFT_BY_SYSTEMS)]
    if len(names) != 1:
        shown = f"{len(names)}: " + ", ".join(names[:5]) if names else "none"
        raise unreadable(raw, "a zip archive with exactly one file", shown)
    place = PurePosixPath(names[0].replace("\\", "/"))
    if place.is_absolute() or ".." in place.parts or ":" in place.parts[0]:
        raise unreadable(raw, "a path inside the archive", repr(names[0]))
    return names[0]


def _translated(raw: Path, error: BaseException) -> InputError | ConfigError:
    return forbidden(raw) if isinstance(error, PermissionError) else broken(raw, error)
