"""How many bytes a source has brought, held against the limit and told to whoever shows it."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gristmill.pipelines.base import ConfigError, InputError
from gristmill.pipelines.config import Project

LIMIT = "GRISTMILL_DOWNLOAD_LIMIT"
"""Environment variable: the most that one source may bring, packed or unpacked, such as 500MB."""

DEFAULT_LIMIT = "20GB"

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a disk that has no room."""

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}

Progress = Callable[[int, int | None], object]
"""Is called with the bytes that are there and, where it is known, how many there will be."""


def size_limit() -> int:
    """The most bytes that a source may bring.

    Raises:
        ConfigError: the environment variable has another form.
    """
    text = os.environ.get(LIMIT) or DEFAULT_LIMIT
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?B?)", text.strip().upper())
    unit = found[2] if found and found[2] in ("", "B") else f"{found[2][0]}B" if found else ""
    if found is None:
        raise ConfigError(
            f"{LIMIT} cannot be read",
            expected=f"bytes, or a number with {', '.join(filter(None, UNITS))}: {DEFAULT_LIMIT}",
            found=text[:40],
        )
    return int(float(found[1]) * UNITS["" if unit == "B" else unit])


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
    for unit in ("bytes", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
