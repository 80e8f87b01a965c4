"""The bytes of a file, out of whatever compression is around it."""

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
"""How many times its own size a compressed file may become; tables of text stay below 100."""

HARMLESS = 256 << 20
"""Bytes that any compressed file may become, however small it is."""

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
"""What the first bytes of a file that is no text tell."""

FAULTS = (
    *(pa.ArrowInvalid, OSError, EOFError, lzma.LZMAError, zlib.error),
    *(zipfile.BadZipFile, RuntimeError, NotImplementedError),
)
"""What the libraries raise for broken files; RuntimeError is zipfile's for a password."""


class Readable(Protocol):
    """What has bytes to give."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


def unwrapped_name(raw: Path) -> str:
    """The name of the file inside the compression, or its own where there is none.

    Raises:
        InputError: a zip archive that is broken or does not hold exactly one file.
    """
    if raw.suffix.lower() == ".zip":
        return PurePosixPath(_only_member(raw)).name
    return raw.stem if raw.suffix.lower() in WRAPS else raw.name


@contextmanager
def opened(raw: Path) -> Iterator[Readable]:
    """The file's own bytes, uncompressed, as a stream whose faults are readable errors.

    Raises:
        InputError: it is broken, or grows beyond `EXPANSION` times its size.
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
    """A stream that stops at the limit and speaks of its file when it breaks."""

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
                "if it is meant to be so, unpack it yourself and give the plain file",
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
        raise unreadable(raw, "a file inside the archive's own folder", repr(names[0]))
    return names[0]


def _translated(raw: Path, error: BaseException) -> InputError | ConfigError:
    return forbidden(raw) if isinstance(error, PermissionError) else broken(raw, error)
