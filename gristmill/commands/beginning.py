"""Checks and clean-up of `gristmill new`: nothing is overwritten, and nothing is left behind."""

from __future__ import annotations

import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gristmill.pipelines.base import ConfigError, EnvironmentFault, content_digest, locked
from gristmill.pipelines.config import Project

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")


def require_free(project: Project, name: str) -> None:
    """Raise ConfigError unless the name is valid for an experiment and free."""
    if not NAME.fullmatch(name):
        near = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")
        raise ConfigError(
            f"an experiment cannot be called {name!r}",
            expected="a letter from a to z, then letters, digits, _ or -, at most 63 characters; "
            "it names\nfiles, stages, a model and pages of three tools (columns and values can be "
            "in any script)",
            found=name,
            next=f"gristmill new {near} …" if NAME.fullmatch(near) else "gristmill new churn …",
        )
    same = [other for other in project.experiment_names() if other.lower() == name.lower()]
    if same:
        raise ConfigError(
            f"there is an experiment '{same[0]}' already, and `new` never overwrites",
            expected="an unused name",
            found=f"experiments/{same[0]}.yaml",
            next=f"gristmill new {name}_2 …   for another experiment\n"
            f"gristmill data refresh {same[0]} --data FILE   for new rows of the same data",
        )


def same_bytes(one: Path, other: Path) -> bool:
    """Return whether two files, or all files of two folders, have the same content."""
    return content_digest(one) == content_digest(other)


@contextmanager
def alone(project: Project) -> Iterator[Path]:
    """Yield a temporary folder to prepare everything in; only one `new` runs at a time.

    The lock ends with its process, so leftovers of a killed process can be removed.
    """
    build = project.root / "build"
    lock = build / ".new.lock"
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)

    def refuse() -> None:
        raise EnvironmentFault(
            "another `gristmill new` is running in this project", next="wait for it and try again"
        )

    try:
        with locked(lock, refuse):
            for left in build.glob(".new-*"):
                shutil.rmtree(left, ignore_errors=True)
            try:
                with tempfile.TemporaryDirectory(dir=build, prefix=".new-") as aside:
                    yield Path(aside)
            finally:
                lock.unlink()  # safe: filelock refuses a lock whose file was removed
    finally:
        signal.signal(signal.SIGTERM, previous)


def put_back(file: Path, content: bytes | None) -> None:
    """Restore a file's earlier content; None: the file did not exist."""
    if content is None:
        file.unlink(missing_ok=True)
    elif not file.exists() or file.read_bytes() != content:
        file.write_bytes(content)
