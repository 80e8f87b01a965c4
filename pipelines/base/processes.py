"""Processes: whether they run, and how they end together with this one."""

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

    That is its parent in `multiprocessing`, or else the process at the other end of standard input.

    Args:
        end: Called then, to end this process.
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
    inherited: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process in a new session, and end the whole session with the block.

    Args:
        command: The program and its arguments.
        folder: Its working directory.
        environment: All of its environment variables.
        output: Receives its standard output and standard error. Its standard input is a pipe, see
            `end_with_parent`.
        grace: Seconds between SIGTERM and SIGKILL; 0 for SIGKILL at once.
        inherited: Open files that the process keeps, by their numbers.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        start_new_session=True,
        pass_fds=inherited,
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
    """Return when a process started, in seconds since 1970 as text; empty if it does not run."""
    import psutil

    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else f"{process.create_time():.2f}"
    except psutil.NoSuchProcess:
        return ""


def is_running(pid: int | str, begun: str) -> bool:
    """Check that a process runs and that it began at `begun`, so that its number was not reused."""
    try:
        return abs(float(began(int(pid))) - float(begun)) < 1
    except ValueError:
        return False
