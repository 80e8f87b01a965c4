"""Lock files between processes, held until the end of the block or of the process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(
    file: Path, on_wait: Callable[[], object] = lambda: None, about: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Hold a lock during the block, waiting while another process has it.

    Args:
        file: The lock file; it is created if missing, and not removed.
        on_wait: Called once before waiting; an exception that it raises ends the attempt.
        about: Description of this process, which `lock_holder` returns to other processes.
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
    """Return the description written by the process that holds a lock; None if nobody does."""
    from filelock import FileLock, Timeout

    if not file.is_file():
        return None
    try:
        with FileLock(file).acquire(timeout=0):
            return None
    except Timeout:
        return dict(json.loads(file.read_text(encoding="utf-8") or "{}"))
