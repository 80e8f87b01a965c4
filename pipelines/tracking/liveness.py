"""Whether the process of a run still lives, and what becomes of the run where it does not."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from gristmill.pipelines.base import EnvironmentFault, began, is_running
from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking.connection import client, store_errors
from gristmill.pipelines.tracking.run_store import search_runs
from gristmill.pipelines.tracking.stored import StoredRun

HOST, PID, BEGUN = "gristmill.host", "gristmill.pid", "gristmill.begun"

BEAT = "gristmill.beat"
"""Of a run: when its process last said that it lives, in seconds since 1970."""

EVERY = 60.0
"""Seconds between two heartbeats."""

SILENT = 15 * 60.0
"""Seconds without a heartbeat after which a run of another host counts as dead: more than a server
that is started again, or a laptop's short sleep, takes."""

SILENT_WITHOUT = 24 * 3600.0
"""The same, counted from its begin, for a run of a release that had no heartbeat."""


def process_tags(pid: int | None = None) -> dict[str, str]:
    """Tags that identify this process, or another one here: host, pid, start time."""
    pid = pid or os.getpid()
    return {HOST: socket.gethostname(), PID: str(pid), BEGUN: began(pid)}


def process_lives(host: str, pid: str, begun: str) -> bool:
    """Whether the process with these tags runs; on another host that cannot be known: yes."""
    return host != socket.gethostname() or is_running(pid, begun)


@contextmanager
def heartbeat(project: Project, run_id: str, every: float = EVERY) -> Iterator[None]:
    """Writes now and then into a run that its process lives, for those on other hosts."""
    over = threading.Event()
    connection = client(project)

    def beat() -> None:
        while not over.wait(every):
            try:
                with store_errors("write a heartbeat"):
                    connection.set_tag(run_id, BEAT, f"{time.time():.0f}")
            except (
                EnvironmentFault
            ):  # a server that is away for a while; the next one may get there
                continue

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5)


def mend_dead_runs(project: Project) -> int:
    """Marks runs as KILLED that say RUNNING while their process is gone; returns how many.

    A process of another host is gone when its run's heartbeat is older than `SILENT`.
    """
    running = search_runs(project, "attributes.status = 'RUNNING'", deleted=False, most=None)
    by_id = {run.run_id: run for run in running}
    dead = [run for run in running if PID in run.tags and not _lives(run, by_id)]
    connection = client(project)
    with store_errors("mark runs whose process is gone"):
        for run in dead:
            connection.set_terminated(run.run_id, "KILLED")
    return len(dead)


def _lives(run: StoredRun, running: Mapping[str, StoredRun]) -> bool:
    if not process_lives(run.tags.get(HOST, ""), run.tags[PID], run.tags.get(BEGUN, "0")):
        return False
    if run.tags.get(HOST, "") == socket.gethostname():
        return True
    run = running.get(run.parent, run)  # a trial has no heartbeat but that of its run
    if BEAT in run.tags:
        return time.time() - float(run.tags[BEAT]) < SILENT
    return time.time() - run.began < SILENT_WITHOUT
