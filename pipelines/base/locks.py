"""Locks between processes: files, held until the end of the block or of the process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(
    file: Path, on_wait: Callable[[], object] = lambda: None, about: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Hold a lock, waiting for the process that has it.

    Args:
        file: The lock; it is made, and stays.
        on_wait: Called once before the wait; what it raises ends the attempt.
        about: What `lock_holder` returns to others in the meantime.
    """
    from filelock import FileLock, Timeout

    file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(file, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait()
        lock.acquire()
    try:
        if about is not None:
            file.write_text(json.dumps(about), encoding="utf-8")
        yield
    finally:
        lock.release()


def lock_holder(file: Path) -> dict[str, str] | None:
    """Return what the process that holds a lock says of itself; None while nobody holds it."""
    from filelock import FileLock, Timeout

    if not file.is_file():
        return None
    try:
        with FileLock(file).acquire(timeout=0):
            return None
    except Timeout:
        return dict(json.loads(file.read_text(encoding="utf-8") or "{}"))
