"""How many bytes a source has brought, held against the limit and told to whoever shows it."""

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
"""Environment variable: the most that one source may bring, packed or unpacked, such as 500MB."""

DEFAULT_LIMIT = "20GB"
SIZE = TypeAdapter(ByteSize)

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk that has no room."""

MEND = "mend data.source in the experiment file"

Progress = Callable[[int, int | None], object]
"""Is called with the bytes that are there and, where it is known, how many there will be."""


def size_limit() -> int:
    """The most bytes that a source may bring.

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
    """Counts what arrives.

    Attributes:
        limit: the most bytes that may arrive.
        done: bytes that are there.
        total: bytes that there will be, where the source says so.
    """

    limit: int = field(default_factory=size_limit)
    progress: Progress | None = None
    done: int = 0
    total: int | None = None

    def begin(self, done: int, total: int | None) -> None:
        """A (new) start with `done` bytes already there.

        Raises:
            InputError: more is announced than may come.
        """
        self.done, self.total = done, total
        self._check(max(done, total or 0))

    def add(self, count: int) -> None:
        """`count` bytes more.

        Raises:
            InputError: that is more than may come.
        """
        self.done += count
        self._check(self.done)

    def _check(self, size: int) -> None:
        if size > self.limit:
            raise InputError(
                "the source brings more than may come",
                expected=f"{shown_size(self.limit)} at most",
                found=f"{shown_size(size)} or more",
                next=f"{LIMIT}=100GB gristmill … raises the limit",
            )
        if self.progress is not None:
            self.progress(self.done, self.total)


@dataclass(frozen=True)
class Wanted:
    """What is to be fetched.

    Attributes:
        source: as it stands in the experiment file; may hold secrets, so it is never shown.
        target: the file or folder that will be written; its suffix says in what form.
        query: SQL, for a database.
    """

    project: Project
    source: str
    target: Path
    query: str | None
    meter: DownloadMeter

    @property
    def name(self) -> str:
        """What stands behind the colon of `kind:NAME`."""
        return self.source.partition(":")[2]

    @property
    def parquet(self) -> bool:
        """Whether a table is to be written as Parquet, not as CSV."""
        return self.target.suffix == ".parquet"


def shown_size(size: float) -> str:
    """Bytes in a unit that is easy to read."""
    return ByteSize(size).human_readable(decimal=True, separator=" ").replace(" B", " bytes")


def is_full(error: Exception) -> bool:
    """Whether a write failed because a disk has no room."""
    return isinstance(error, OSError) and error.errno in FULL


def words_of(error: object, most: int = 200) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())[:most]


def no_source(what: str, expected: str, found: str, next: str = MEND) -> ConfigError:
    """The experiment file names a source that is none."""
    return ConfigError(what, expected=expected, found=found, next=next)
