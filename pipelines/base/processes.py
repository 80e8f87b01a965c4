"""Processes: which live, which end with this one, and with which this one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import IO


def end_with_parent(end: Callable[[], object] = lambda: os._exit(9)) -> None:
    """Watch, in a thread, for the end of the process that started this one.

    That is its parent by `multiprocessing`, else whoever holds the other end of standard input.

    Args:
        end: What ends this process.
    """
    parent = parent_process()

    def watch() -> None:
        if parent is not None:
            connection.wait([parent.sentinel])
        else:
            sys.stdin.buffer.read()
        end()

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def started(
    command: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    output: IO[str] | IO[bytes],
    grace: float = 0.0,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in a new session; it ends, with all that it started, with the block.

    Args:
        command: The program and its arguments.
        folder: To start it in.
        environment: All of its variables.
        output: For what it prints; its standard input is a pipe, see `end_with_parent`.
        grace: Seconds between SIGTERM and SIGKILL; none: SIGKILL at once.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError, subprocess.TimeoutExpired):
            if grace and process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(grace)
        with suppress(ProcessLookupError):  # what is left of the session
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def began(pid: int) -> str:
    """Return when a process was started; an empty text where it does not run."""
    import psutil

    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return ""


def is_running(pid: int | str, begun: str) -> bool:
    """Whether a process runs and is the one that began then, not a later one of its number."""
    try:
        return abs(float(began(int(pid))) - float(begun)) < 1
    except ValueError:
        return False
