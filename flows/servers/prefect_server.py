"""The project's Prefect server: joined or started, and ended by its last user."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gristmill.flows.servers.flow_runs import PATIENCE, answers, knows, mend_dead_flow_runs
from gristmill.flows.servers.password import credentials, password_file
from gristmill.flows.servers.processes import HOST, last_line, listen
from gristmill.pipelines import base
from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import BEGUN, PID, process_lives, process_tags
from gristmill.pipelines.tracking import HOST as MACHINE

STARTUP = 120.0
"""Seconds to wait for a new server; with a fresh database it needs about ten."""

AGAIN = 3
"""How often a process starts a server again that ended by itself."""

LINGER = 1.0
"""Seconds without users after which the project's server ends."""

GRACE = 0.3
"""Seconds for a server to end by itself; its database is always consistent."""

MLFLOW_PORT = 5000


def settings(project: Project) -> dict[str, str]:
    """Return Prefect's environment: home in the project, no telemetry, no console log."""
    home = project.prefect_home
    mine = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_ENABLED": "false",
        "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_LOGGING_TO_API_BATCH_INTERVAL": "0.3",  # the end of a run waits for the last batch
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        "PREFECT_CLIENT_MAX_RETRIES": "4",  # 15 s, in which a killed server is started again
        "PREFECT_LOGGING_INTERNAL_LEVEL": "CRITICAL",  # events that a dead server cannot receive
        "DO_NOT_TRACK": "1",
    }
    return {name: os.environ.get(name, value) for name, value in mine.items()}


class Server:
    """The Prefect server that this process uses.

    It is the one at `PREFECT_API_URL`, else the project's own: that of `gristmill up` or of another
    run if there is one, else a new one. Each process that uses it leaves a file with its process
    tags; a server without live users ends by itself. The file of a killed process stays, and the
    next command cleans up after it. If the project's server is killed, a process that uses it
    starts it again at the same address.

    Attributes:
        is_ours: whether it is the project's own.
        url: address of its API.
    """

    def __init__(self, project: Project) -> None:
        self._project = project
        self._home = project.prefect_home
        self._user = file_of_user(project)
        self._process: subprocess.Popen[bytes] | None = None
        self._about: dict[str, Any] = {}
        self._left = threading.Event()
        self.is_ours = "PREFECT_API_URL" not in os.environ
        self.url = os.environ.get("PREFECT_API_URL", "")

    def start(self, port: int = 0, *, ui: bool = False, mlflow: int | None = None) -> None:
        """Join a server or start one, without waiting. Prefect must not be imported yet.

        Args:
            port: port of a new server; 0: any free one.
            ui: whether a new server has the UI.
            mlflow: port of MLflow's server beside it, to be recorded with a new server.

        Raises:
            EnvironmentFault: `PREFECT_API_URL` names a server that does not answer.
        """
        os.environ.update(settings(self._project))
        if not self.is_ours:
            self.wait()
            return
        os.environ["PREFECT_API_AUTH_STRING"] = credentials(self._project)
        with base.locked(self._home / "server.lock"):
            base.write_json(self._user, process_tags())
            running = running_server(self._project)
            if running is None:
                with listen(port) as listener:
                    running = self._spawn(listener, ui, mlflow)
        self._about = running
        self.url = f"http://{HOST}:{running['port']}/api"
        os.environ["PREFECT_API_URL"] = self.url

    def wait(self) -> None:
        """Wait until the server answers.

        Raises:
            EnvironmentFault: it does not answer, or refuses the password.
        """
        end = time.monotonic() + (STARTUP if self.is_ours else PATIENCE)
        while True:
            if answers(self.url):
                self._require_access()
                if self.is_ours:
                    threading.Thread(target=self._keep_running, daemon=True).start()
                return
            gone = self._process is not None and self._process.poll() is not None
            if gone or time.monotonic() > end:
                break
            time.sleep(0.05)
        if self.is_ours:
            raise base.EnvironmentFault(
                "the Prefect server did not start",
                expected=f"an answer at {self.url}",
                found=last_line(self._home / "server.log"),
                next="gristmill doctor; the whole log is .prefect/server.log",
            )
        raise base.EnvironmentFault(
            "the Prefect server does not answer",
            expected=f"a server at {base.redact(self.url)} (PREFECT_API_URL)",
            found="no answer",
            next="start it, or unset PREFECT_API_URL to use the project's own",
        )

    def _require_access(self) -> None:
        if knows(self.url):
            return
        if self.is_ours:
            file = self._project.relative(password_file(self._project))
            raise base.EnvironmentFault(
                "the project's Prefect server refuses the password",
                expected=f"the password in {file}, with which the server was started",
                found=f"another one: {file} has changed since",
                next="end `gristmill up`, or the run that started it, and try again",
            )
        given = os.environ.get("PREFECT_API_AUTH_STRING")
        raise base.EnvironmentFault(
            "the Prefect server refuses the password",
            expected="PREFECT_API_AUTH_STRING, with user:password as the server knows them",
            found=f"{base.redact(self.url)} (PREFECT_API_URL) does not accept it"
            if given
            else "no PREFECT_API_AUTH_STRING",
            next='export it (eval "$(gristmill up --env)" for a server of `gristmill up`),\n'
            "or unset PREFECT_API_URL to use the project's own",
        )

    def _keep_running(self) -> None:
        """Start the project's server again if it ends before this process leaves it."""
        about = self._about
        for _ in range(AGAIN):
            while running_server(self._project) is not None:
                if self._left.wait(0.25):
                    return
            with base.locked(self._home / "server.lock"):
                if not self._left.is_set() and running_server(self._project) is None:
                    with suppress(OSError), listen(about["port"]) as listener:
                        self._spawn(listener, about["ui"], about["mlflow"])

    @property
    def alone(self) -> bool:
        """Whether it is the project's own server and no other process uses it."""
        return self.is_ours and users(self._home) == [self._user]

    def mend(self) -> None:
        """Mark flow runs of dead processes as crashed."""
        gone = left_by_the_dead(self._project) if self.is_ours else []
        mend_dead_flow_runs(self.url, alone=self.alone)
        for file in gone:
            file.unlink(missing_ok=True)

    def leave(self, *, ended: bool = True) -> None:
        """Stop using the server; the last process to leave ends it.

        Args:
            ended: whether the flow run has ended; if not, the next command marks it as crashed.
        """
        if not self.is_ours:
            return
        self._left.set()
        for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING"):
            os.environ.pop(name, None)
        with base.locked(self._home / "server.lock"):
            if ended:
                self._user.unlink(missing_ok=True)
            running = running_server(self._project)
            if running is None or [user for user in users(self._home) if user != self._user]:
                return
            with suppress(ProcessLookupError):
                os.kill(running["pid"], signal.SIGTERM)
            (self._home / "server.json").unlink(missing_ok=True)
        if self._process is not None:
            try:
                self._process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _spawn(self, listener: socket.socket, ui: bool, mlflow: int | None) -> dict[str, Any]:
        port = listener.getsockname()[1]
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONSAFEPATH"] = "1"  # import this code, not files in the project's folder
        environment.pop("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", None)  # its log is a file
        environment["PREFECT_SERVER_UI_ENABLED"] = str(ui).lower()
        environment["PREFECT_UI_API_URL"] = "/api"  # of the name by which the browser knows it
        environment["PREFECT_API_URL"] = f"http://{HOST}:{port}/api"
        environment["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = f"http://{HOST}:{port}"
        environment["PREFECT_SERVER_API_AUTH_STRING"] = environment["PREFECT_API_AUTH_STRING"]
        with (self._home / "server.log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(self._home), str(listener.fileno())],
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self._project.root,
                start_new_session=True,  # Ctrl-C must not reach the server
            )
        pid = self._process.pid
        about = {"pid": pid, "port": port, "ui": ui, "mlflow": mlflow, **process_tags(pid)}
        base.write_json(self._home / "server.json", about)
        return about


@contextmanager
def serving(project: Project) -> Iterator[Server]:
    """Yield a running server for this process."""
    server = Server(project)
    try:
        server.start()
        server.wait()
        yield server
    finally:
        server.leave()


def mend_killed(project: Project) -> None:
    """Clean up after killed processes; start a server only if there are any."""
    if "PREFECT_API_URL" not in os.environ and left_by_the_dead(project):
        with serving(project) as server:
            server.mend()


def running_server(project: Project) -> dict[str, Any] | None:
    """Return pid, port and UI of the project's own server, or None if it does not run."""
    about = _read(project.prefect_home / "server.json")
    return about if lives(about) else None


def mlflow_ui(project: Project) -> str:
    """Return the address of MLflow's UI in `gristmill up`, or the default one."""
    running = running_server(project) or {}
    return f"http://{HOST}:{running.get('mlflow') or MLFLOW_PORT}"


def file_of_user(project: Project) -> Path:
    """Return the file of this process, whose folder is created."""
    file = project.prefect_home / "users" / str(os.getpid())
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def users(home: Path) -> list[Path]:
    """Return the files of live processes of this machine that use the server."""
    return [file for file in (home / "users").glob("*") if lives(_read(file))]


def left_by_the_dead(project: Project) -> list[Path]:
    """Return the files of killed processes of this machine."""
    read = {file: _read(file) for file in (project.prefect_home / "users").glob("*")}
    here = socket.gethostname()
    return [
        file
        for file, about in read.items()
        if about.get(MACHINE, here) == here and not lives(about)
    ]


def _read(file: Path) -> dict[str, Any]:
    """Read the record of a process; {} without one, as in older releases."""
    try:
        about = base.read_json(file)
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return about if isinstance(about, dict) else {}


def lives(about: Mapping[str, Any]) -> bool:
    """Return whether the record is of a live process of this machine."""
    host = about.get(MACHINE, "")
    return host == socket.gethostname() and process_lives(host, about[PID], about[BEGUN])


@contextmanager
def under_way(project: Project) -> Iterator[None]:
    """Record in a file that this process has a flow run; the file stays after a kill."""
    file = file_of_user(project)
    base.write_json(file, process_tags())
    try:
        yield
    except Exception:  # the flow run is recorded as failed; after Ctrl-C perhaps not
        file.unlink(missing_ok=True)
        raise
    file.unlink(missing_ok=True)


def _serve(home: Path, listener: socket.socket) -> None:
    """Serve until there are no users, in the server's process."""
    with base.uncollected():  # 0.8 s of 3.7 s of processor time
        from prefect.server.api.server import create_app

        from gristmill.flows.servers import guard

        app = create_app()
    server = guard.server(guard.Guard(app), "error")

    def watch() -> None:
        alone_since = None
        while not server.should_exit:
            time.sleep(0.25)
            if users(home):
                alone_since = None
                continue
            alone_since = alone_since or time.monotonic()
            if time.monotonic() - alone_since > LINGER:
                server.should_exit = True
        time.sleep(1)
        os._exit(0)  # some services do not end in time; the database is always consistent

    threading.Thread(target=watch, daemon=True).start()
    server.run(sockets=[listener])
    os._exit(0)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])))
