"""A count of the bytes from a source, with a limit, reported to a progress callback."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ByteSize, TypeAdapter, ValidationError

from gristmill.pipelines.base import ConfigError, InputError
from gristmill.pipelines.config import Project

LIMIT = "GRISTMILL_DOWNLOAD_LIMIT"
"""Environment variable: maximum size of a source, packed or unpacked, such as 500MB."""

DEFAULT_LIMIT = "20GB"
SIZE = TypeAdapter(ByteSize)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a full disk."""

MEND = "fix data.source in the experiment file"

Progress = Callable[[int, int | None], object]
"""Called with the bytes so far and the expected total, None if it is unknown."""


def size_limit() -> int:
    """Return the maximum bytes of a source.

    Raises:
        ConfigError: the environment variable has another form.
    """
    text = os.environ.get(LIMIT) or DEFAULT_LIMIT
    try:
        return int(SIZE.validate_python(text))
    except ValidationError as error:
        raise ConfigError(
            f"{LIMIT} cannot be read",
            expected=f"bytes, or a number with KB, MB, GB or TB: {DEFAULT_LIMIT}",
            found=text[:40],
        ) from error


@dataclass
class DownloadMeter:
    """A counter of received bytes.

    Attributes:
        limit: maximum number of bytes.
        progress: called after each change.
        done: bytes so far.
        total: expected bytes; None if the source does not say.
    """

    limit: int = field(default_factory=size_limit)
    progress: Progress | None = None
    done: int = 0
    total: int | None = None

    def begin(self, done: int, total: int | None) -> None:
        """Start, or start again, with `done` bytes already there.

        Raises:
            InputError: the announced size exceeds the limit.
        """
        self.done, self.total = done, total
        self._check(max(done, total or 0))

    def add(self, count: int) -> None:
        """Count further bytes.

        Raises:
            InputError: the limit is exceeded.
        """
        self.done += count
        self._check(self.done)

    def _check(self, size: int) -> None:
        if size > self.limit:
            raise InputError(
                "the source exceeds the size limit",
                expected=f"{shown_size(self.limit)} at most",
                found=f"{shown_size(size)} or more",
                next=f"{LIMIT}=100GB gristmill … raises the limit",
            )
        if self.progress is not None:
            self.progress(self.done, self.total)


@dataclass(frozen=True)
class Wanted:
    """A request to fetch a source.

    Attributes:
        source: as in the experiment file; it can contain secrets, so it is never shown.
        target: the file or folder to write; its suffix selects the format.
        query: SQL, for a database.
    """

    project: Project
    source: str
    target: Path
    query: str | None
    meter: DownloadMeter

    @property
    def name(self) -> str:
        """The part after the colon of `kind:NAME`."""
        return self.source.partition(":")[2]

    @property
    def parquet(self) -> bool:
        """Whether a table is to be written as Parquet, not as CSV."""
        return self.target.suffix == ".parquet"


def shown_size(size: float) -> str:
    """Return a number of bytes in a readable unit."""
    return ByteSize(size).human_readable(decimal=True, separator=" ").replace(" B", " bytes")


def is_full(error: Exception) -> bool:
    """Return whether a write failed because the disk is full."""
    return isinstance(error, OSError) and error.errno in FULL


def words_of(error: object, most: int = 200) -> str:
    """Return the message of an error in one line."""
    return " ".join(str(error).split())[:most]


def no_source(what: str, expected: str, found: str, next: str = MEND) -> ConfigError:
    """Return the error for an unusable source in the experiment file.

    Args:
        what, expected, found, next: as in `GristmillError`.
    """
    return ConfigError(what, expected=expected, found=found, next=next)
