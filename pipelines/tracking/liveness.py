"""Detect runs whose process has died, and mark them as killed."""

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
"""Tag of a run: time of its last heartbeat, in seconds since 1970."""

EVERY = 60.0
"""Seconds between two heartbeats."""

SILENT = 15 * 60.0
"""Seconds without a heartbeat after which a run on another host counts as dead; longer than the
restart of a server or a short sleep of a laptop."""

SILENT_WITHOUT = 24 * 3600.0
"""Seconds from its start after which a run without any heartbeat, of an old release, is dead."""


def process_tags(pid: int | None = None) -> dict[str, str]:
    """Return tags that identify a process on this host, by default this one: host, pid, start."""
    pid = pid or os.getpid()
    return {HOST: socket.gethostname(), PID: str(pid), BEGUN: began(pid)}


def process_lives(host: str, pid: str, begun: str) -> bool:
    """Return whether the process with these tags runs; True for other hosts, as it is unknown.

    Args:
        host: name of the host.
        pid: process id.
        begun: start time, as in `process_tags`.
    """
    return host != socket.gethostname() or is_running(pid, begun)


@contextmanager
def heartbeat(project: Project, run_id: str, every: float = EVERY) -> Iterator[None]:
    """Write heartbeats into a run while the context is open, for processes on other hosts.

    Args:
        project: the project.
        run_id: MLflow's id of the run.
        every: seconds between two heartbeats.
    """
    over = threading.Event()
    connection = client(project)

    def beat() -> None:
        while not over.wait(every):
            try:
                with store_errors("write a heartbeat"):
                    connection.set_tag(run_id, BEAT, f"{time.time():.0f}")
            except (
                EnvironmentFault
            ):  # the server may be away for a while; try again with the next heartbeat
                continue

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(timeout=5)


def mend_dead_runs(project: Project) -> int:
    """Mark runs as KILLED that are RUNNING without a live process; return their number.

    A process on another host counts as dead if its run's heartbeat is older than `SILENT` seconds.
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
    run = running.get(run.parent, run)  # a trial has no heartbeat, only its parent run has
    if BEAT in run.tags:
        return time.time() - float(run.tags[BEAT]) < SILENT
    return time.time() - run.began < SILENT_WITHOUT
