"""Child processes of a command, such as MLflow's server, and their ports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from gristmill.pipelines.base import ConfigError, EnvironmentFault, started
from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import is_local, tracking_uri

HOST = "127.0.0.1"


def listen(port: int = 0) -> socket.socket:
    """Return a socket that listens at a port of this machine; 0: any free port.

    A server that gets the socket from the process that starts it cannot lose the port, and with it
    the password that the next request sends, to another user of the machine.

    Raises:
        OSError: the port is in use.
    """
    # asyncio sets TCP_NODELAY only with IPPROTO_TCP; without it answers take 40 ms longer
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def port_fault(port: int) -> str:
    """Return the system's error for listening at a port; empty if the port is free."""
    try:
        listen(port).close()
    except OSError as error:
        return str(error)
    return ""


def require_free(port: int, what: str, option: str) -> None:
    """Raise ConfigError if a port is in use, with the option for the next one.

    Args:
        port: port on 127.0.0.1.
        what: name of the server in the message.
        option: option of `gristmill up` that sets the port.
    """
    if fault := port_fault(port):
        raise ConfigError(
            f"port {port} for {what} is in use",
            expected="a free port",
            found=fault,
            next=f"gristmill up {option} {port + 1}",
        )


GRACE = 3.0
"""Seconds for a process to end before it is killed."""

STARTUP = 60.0

Process = subprocess.Popen[bytes]


@contextmanager
def mlflow_server(project: Project, port: int) -> Iterator[tuple[str, Process | None]]:
    """Serve the local store with MLflow and yield address and process.

    With a configured server it yields that address and None.
    """
    if not is_local(project):
        yield tracking_uri(project), None
        return
    url = f"http://{HOST}:{port}"
    log = project.root / "build" / "mlflow.log"
    with ExitStack() as stack:
        with listen(port) as listener:
            command = ["-m", "gristmill.flows.servers.mlflow_process", str(listener.fileno())]
            process = stack.enter_context(process_of(project, command, log, listener))
        _await_answer(f"{url}/health", process, log)
        yield url, process


@contextmanager
def process_of(
    project: Project, command: list[str], log: Path, *sockets: socket.socket
) -> Iterator[Process]:
    """Run this Python in a process that ends with the block, as do its children.

    Args:
        project: the project; its root is the working folder.
        command: arguments of Python.
        log: file for the output.
        sockets: what the process inherits, by the same numbers.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # four processes for an unused feature
        "DO_NOT_TRACK": "1",
        "PYTHONSAFEPATH": "1",
    }
    command = [sys.executable, *command]
    inherited = [one.fileno() for one in sockets]
    with (
        log.open("w") as file,
        started(command, project.root, environment, file, GRACE, inherited) as process,
    ):
        yield process


def _await_answer(url: str, process: Process, log: Path) -> None:
    """Wait until an MLflow server answers, or raise EnvironmentFault."""
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
    """Block until a process ends, which is an error, or until Ctrl-C."""
    while all(process is None or process.poll() is None for process in processes):
        time.sleep(0.5)
    raise EnvironmentFault("a server ended by itself", next=f"look at build/{logs}")


def last_line(log: Path) -> str:
    """Return the last line of a log, at most 300 characters, or "nothing"."""
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return lines[-1][:300] if lines else "nothing"
