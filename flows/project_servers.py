"""`gristmill up`: both UIs and the schedules, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gristmill.flows import schedules
from gristmill.flows.servers.prefect_server import HOST, Server, running_server
from gristmill.pipelines.base import ConfigError, EnvironmentFault, started
from gristmill.pipelines.config import Document, Project
from gristmill.pipelines.reporting import Screen
from gristmill.pipelines.tracking import is_local, tracking_uri

GRACE = 3.0
"""Seconds that a process may take to end before it is killed."""

STARTUP = 60.0


def up(prefect_port: int, mlflow_port: int) -> None:
    """Serves until Ctrl-C or a process of its own ends.

    Raises:
        ConfigError: a port is taken, or another `gristmill up` runs.
        EnvironmentFault: a server does not start.
    """
    project = Project.find()
    screen = Screen()
    scheduled = schedules.schedules(project)
    own_prefect = "PREFECT_API_URL" not in os.environ
    if own_prefect:
        require_free(prefect_port, "Prefect", "--prefect-port")
        running = running_server(project)
        if running is not None and running["ui"]:
            raise ConfigError(
                "the project is up already",
                expected="one `gristmill up` a project",
                found=f"its Prefect server at http://{HOST}:{running['port']}",
            )
        _wait_for_runs(project, screen)
    if is_local(project):
        require_free(mlflow_port, "MLflow", "--mlflow-port")
    signal.signal(signal.SIGTERM, interrupt)
    server = Server(project)
    try:
        server.start(prefect_port, ui=True, mlflow=mlflow_port)
        with _mlflow(project, mlflow_port) as mlflow:
            server.wait()
            server.mend()
            with _scheduler(project, scheduled) as scheduler:
                screen.say(f"Prefect  {server.url.removesuffix('/api')}")
                screen.say(f"MLflow   {mlflow.url}")
                for line in (
                    line for one in scheduled.items() for line in schedules.described(*one)
                ):
                    screen.say(line)
                if not scheduled:
                    screen.say("no experiment has a schedule")
                screen.say("Ctrl-C ends all of it")
                watch_over([mlflow.process, scheduler], "mlflow.log, schedules.log")
    except KeyboardInterrupt:
        screen.say("ended")
    finally:
        server.leave()


class _Mlflow:
    """MLflow's server, or the address of the one that is there."""

    def __init__(self, url: str, process: subprocess.Popen[bytes] | None) -> None:
        self.url, self.process = url, process


@contextmanager
def _mlflow(project: Project, port: int) -> Iterator[_Mlflow]:
    if not is_local(project):
        yield _Mlflow(tracking_uri(project), None)
        return
    url = f"http://{HOST}:{port}"
    command = ["-m", "mlflow", "server", "--backend-store-uri", tracking_uri(project)]
    command += ["--artifacts-destination", (project.store / "artifacts").as_uri()]
    command += ["--host", HOST, "--port", str(port), "--workers", "1"]
    log = project.root / "build" / "mlflow.log"
    with process_of(project, command, log) as process:
        await_answer(f"{url}/health", process, log)
        yield _Mlflow(url, process)


@contextmanager
def _scheduler(
    project: Project, scheduled: dict[str, Document]
) -> Iterator[subprocess.Popen[bytes] | None]:
    if not scheduled:
        yield None
        return
    log = project.root / "build" / "schedules.log"
    with process_of(project, ["-m", schedules.__name__, str(project.root)], log) as process:
        yield process


@contextmanager
def process_of(
    project: Project, command: list[str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this Python's, which ends with the block, and all that it started."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # four processes for what is not used here
        "DO_NOT_TRACK": "1",
        "PYTHONSAFEPATH": "1",
    }
    command = [sys.executable, *command]
    with (
        log.open("w") as file,
        started(command, project.root, environment, file, GRACE) as process,
    ):
        yield process


def await_answer(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Returns when an MLflow server answers; raises EnvironmentFault where it does not."""
    end = time.monotonic() + STARTUP
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    lines = log.read_text(errors="replace").strip().splitlines()
    raise EnvironmentFault(
        "the MLflow server did not start",
        expected=f"an answer at {url}",
        found=lines[-1][:300] if lines else "nothing",
        next=f"the whole log is {log}",
    )


def watch_over(processes: Sequence[subprocess.Popen[bytes] | None], logs: str) -> None:
    """Returns never, but by an error when a process ends or by Ctrl-C."""
    while all(process is None or process.poll() is None for process in processes):
        time.sleep(0.5)
    raise EnvironmentFault("a server ended by itself", next=f"look at build/{logs}")


def require_free(port: int, what: str, option: str, command: str = "up") -> None:
    """Raises ConfigError where a port is taken, with what to type for the next one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} for {what} is taken",
                expected="a free port",
                found=str(error),
                next=f"gristmill {command} {option} {port + 1}",
            ) from error


def _wait_for_runs(project: Project, screen: Screen) -> None:
    """A run's temporary server has no UI: it must have ended before ours takes over."""
    if running_server(project) is not None:
        screen.say("waiting for a run to end")
    while running_server(project) is not None:
        time.sleep(0.5)


def interrupt(*_: object) -> None:
    """A signal's handler: as Ctrl-C."""
    raise KeyboardInterrupt
