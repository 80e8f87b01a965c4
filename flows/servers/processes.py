"""Processes beside a command, MLflow's server among them, and the ports they listen at."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gristmill.pipelines.base import ConfigError, EnvironmentFault, started
from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import is_local, tracking_uri

HOST = "127.0.0.1"


def port_fault(port: int) -> str:
    """Why nothing can listen at a port, in the system's words; empty where it is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            return str(error)
    return ""


def require_free(port: int, what: str, option: str) -> None:
    """Raises ConfigError where a port is taken, with what to type for the next one."""
    if fault := port_fault(port):
        raise ConfigError(
            f"port {port} for {what} is taken",
            expected="a free port",
            found=fault,
            next=f"gristmill up {option} {port + 1}",
        )


def free_port() -> int:
    """Any port that nobody uses."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


GRACE = 3.0
"""Seconds that a process may take to end before it is killed."""

STARTUP = 60.0

Process = subprocess.Popen[bytes]


@contextmanager
def mlflow_server(project: Project, port: int) -> Iterator[tuple[str, Process | None]]:
    """MLflow's server over the local store, or the address of the one that is there."""
    if not is_local(project):
        yield tracking_uri(project), None
        return
    url = f"http://{HOST}:{port}"
    command = ["-m", "mlflow", "server", "--backend-store-uri", tracking_uri(project)]
    command += ["--artifacts-destination", (project.store / "artifacts").as_uri()]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    log = project.root / "build" / "mlflow.log"
    with process_of(project, command, log) as process:
        _await_answer(f"{url}/health", process, log)
        yield url, process


@contextmanager
def process_of(project: Project, command: list[str], log: Path) -> Iterator[Process]:
    """A process of this Python's, which ends with the block, and all that it started."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # four processes for what is not used here
        "DO_NOT_TRACK": "1",
        "PYTHONSAFEPATH": "1",
    }
    command = [sys.executable, *command]
    with log.open("w") as file, started(command, project.root, environment, file, GRACE) as process:
        yield process


def _await_answer(url: str, process: Process, log: Path) -> None:
    """Returns when an MLflow server answers; raises EnvironmentFault where it does not."""
    end = time.monotonic() + STARTUP
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise EnvironmentFault(
        "the MLflow server did not start",
        expected=f"an answer at {url}",
        found=last_line(log),
        next=f"the whole log is {log}",
    )


def watch_over(processes: Sequence[Process | None], logs: str) -> None:
    """Returns never, but by an error when a process ends or by Ctrl-C."""
    while all(process is None or process.poll() is None for process in processes):
        time.sleep(0.5)
    raise EnvironmentFault("a server ended by itself", next=f"look at build/{logs}")


def last_line(log: Path) -> str:
    """How a log ends."""
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1][:300] if lines else "nothing"
