"""The servers of `gristmill up`, as strangers and as the owner's tools meet them."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
from aftermath import Command, free_ports, processes_of, rows_of, until
from tiny import make_project
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from gristmill.flows.servers.mlflow_process import settings
from gristmill.flows.servers.password import password, password_file
from gristmill.flows.servers.processes import process_of
from gristmill.pipelines.base.processes import started
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.tracking.store import tracking_uri
from tests.conftest import BIN, Run, clean_environment, gristmill_in

pytestmark = pytest.mark.slow

NOBODY = 65534
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), "")
EVIL = "http://evil.example"

CREATE = "ajax-api/2.0/mlflow/experiments/create"
UPLOAD = "api/2.0/mlflow-artifacts/artifacts/0/models/package/transform.py"
READS = ("api/2.0/mlflow/experiments/search?max_results=5", UPLOAD, "get-artifact?path=a", "")


@dataclass
class Up:
    """A running `gristmill up`."""

    project: Project
    prefect: str
    mlflow: str
    command: Command
    env: dict[str, str]

    def ask(
        self,
        url: str,
        body: Any = None,
        *,
        login: bool = False,
        method: str | None = None,
        **headers: str,
    ) -> tuple[int, bytes, dict[str, str]]:
        """Send a request; return status, content and headers of the answer."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} | headers
        request = urllib.request.Request(
            url,
            data,
            {name.replace("_", "-"): value for name, value in sent.items()},
            method=method,
        )
        if login:
            request.add_header("Authorization", self.basic)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, reply.read(), dict(reply.headers)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read(), dict(error.headers)

    @property
    def basic(self) -> str:
        text = self.env["PREFECT_API_AUTH_STRING"]
        return "Basic " + base64.b64encode(text.encode()).decode()

    def stored(self) -> list[list[Any]]:
        """Return what a stranger would like to change."""
        with closing(sqlite3.connect(self.project.prefect_home / "prefect.db")) as database:
            flows = database.execute("SELECT name FROM flow").fetchall()
            flows += database.execute("SELECT name FROM variable").fetchall()
        names = rows_of(self.project.store / "mlflow.db", "SELECT name FROM experiments")
        files = self.project.store.rglob("*")
        return [flows, names, sorted(file.name for file in files if file.suffix == ".py")]


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    """Return the running servers of a project in a folder that every user can read."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        project = make_project(Path(folder) / "project")
        prefect, mlflow = free_ports(2)
        command = Command(project, "up", f"--prefect-port={prefect}", f"--mlflow-port={mlflow}")
        try:
            command.wait_for("Ctrl-C stops everything")
            said = gristmill_in(project.root)("up", "--env", check=True).stdout
            lines = [line.removeprefix("export ").partition("=") for line in said.splitlines()]
            env = {name: value for name, _, value in lines}
            ours, theirs = f"http://127.0.0.1:{prefect}", f"http://127.0.0.1:{mlflow}"
            yield Up(project, ours, theirs, command, env)
        finally:
            command.interrupt()


def test_up_names_the_file_of_the_password_and_only_env_prints_it(up: Up) -> None:
    secret = password(up.project)
    assert "user gristmill, password in .prefect/password" in up.command.said
    assert up.env == {
        "PREFECT_API_URL": f"{up.prefect}/api",
        "PREFECT_API_AUTH_STRING": f"gristmill:{secret}",
        "MLFLOW_TRACKING_URI": up.mlflow,
        "MLFLOW_TRACKING_USERNAME": "gristmill",
        "MLFLOW_TRACKING_PASSWORD": secret,
    }
    assert secret not in up.command.said
    assert not [line for line in processes_of(up.project) if secret in line]
    files = [file for file in up.project.root.parent.rglob("*") if file.is_file()]
    assert [file for file in files if secret.encode() in file.read_bytes()] == [
        password_file(up.project)
    ]


def test_without_the_password_nothing_is_read_or_changed(up: Up) -> None:
    before = up.stored()
    for login in (False, True):
        expected = 200 if login else 401
        assert up.ask(f"{up.prefect}/api/admin/version", login=login)[0] == expected
        assert up.ask(f"{up.prefect}/api/flows/filter", {}, login=login)[0] == expected
    assert up.ask(f"{up.prefect}/api/flows/", {"name": "evil"})[0] == 401
    assert up.ask(f"{up.prefect}/api/variables/", {"name": "evil", "value": 1})[0] == 401
    for path in READS:
        assert up.ask(f"{up.mlflow}/{path}")[0] == 401, path
    assert up.ask(f"{up.mlflow}/{READS[0]}", login=True)[0] == 200
    assert up.ask(f"{up.mlflow}/", login=True)[0] == 200
    assert up.ask(f"{up.mlflow}/{CREATE}", {"name": "evil"})[0] == 401
    assert up.ask(f"{up.mlflow}/{UPLOAD}", b"evil", method="PUT")[0] == 401
    assert up.ask(f"{up.mlflow}/ajax-api/3.0/mlflow/assistant/config")[0] == 401
    for health in (f"{up.prefect}/api/health", f"{up.mlflow}/health"):
        assert up.ask(health)[0] == 200
    assert up.stored() == before


def test_the_artifacts_of_the_owner_can_be_sent_read_and_removed(up: Up) -> None:
    place = f"{up.mlflow}/api/2.0/mlflow-artifacts/artifacts/0/notes.txt"
    assert up.ask(place, b"mine", method="PUT", login=True)[0] == 200
    assert up.ask(place, login=True)[1] == b"mine"
    file = up.project.store / "artifacts" / "0" / "notes.txt"
    assert file.read_bytes() == b"mine"
    assert up.ask(place, method="DELETE", login=True)[0] == 200
    assert not file.exists()


def test_other_names_and_pages_of_other_sites_are_refused_even_with_the_password(up: Up) -> None:
    before = up.stored()
    for url, body in (
        (f"{up.prefect}/api/flows/", {"name": "evil"}),
        (f"{up.prefect}/api/admin/version", None),
        (f"{up.prefect}/", None),
        (f"{up.mlflow}/{CREATE}", {"name": "evil"}),
        (f"{up.mlflow}/{READS[0]}", None),
    ):
        port = url.split(":")[2].partition("/")[0]
        for host in ("evil.example", f"evil.example:{port}", f"10.evil.example:{port}"):
            assert up.ask(url, body, login=True, Host=host)[0] == 403
        for origin in (EVIL, "null", "http://127.0.0.1:1", f"http://localhost:{port}"):
            status, _, headers = up.ask(url, body, login=True, Origin=origin)
            assert status == 403
            asked = {"Access_Control_Request_Method": "POST", "Origin": origin}
            preflight = up.ask(url, method="OPTIONS", **asked)
            for found in (headers, preflight[2]):
                assert not [name for name in found if name.lower().startswith("access-control")]
        simple = up.ask(url, b'{"name": "evil"}', Content_Type="text/plain", Origin=EVIL)
        assert simple[0] == 403
    assert up.stored() == before


def test_the_websockets_of_prefect_need_the_password(up: Up) -> None:
    address = f"{up.prefect.replace('http', 'ws', 1)}/api/events/in"
    with pytest.raises(InvalidStatus, match="403"):
        connect(address)  # without Prefect's protocol
    with pytest.raises(InvalidStatus, match="403"):
        connect(address, origin=EVIL, subprotocols=["prefect"])  # type: ignore[arg-type, list-item]
    for token in (None, "", "gristmill:wrong"):
        with connect(address, subprotocols=["prefect"]) as socket:  # type: ignore[list-item]
            socket.send(json.dumps({"type": "auth", "token": token}))
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=30)
    with connect(address, subprotocols=["prefect"]) as socket:  # type: ignore[list-item]
        socket.send(json.dumps({"type": "auth", "token": up.env["PREFECT_API_AUTH_STRING"]}))
        assert json.loads(socket.recv(timeout=30)) == {"type": "auth_success"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_another_user_of_the_machine_cannot_read_the_password_or_use_the_servers(up: Up) -> None:
    project = up.project

    def as_nobody(code: str) -> str:
        done = subprocess.run(
            [shutil.which("python3", path="/usr/bin:/bin") or sys.executable, "-c", code],
            user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
            env={}, capture_output=True, text=True,
        )  # fmt: skip
        return (done.stdout + done.stderr).strip().splitlines()[-1]

    read = "print(len(open({!r}).read()) > 0)"
    assert as_nobody(read.format(str(project.root / "dvc.yaml"))) == "True"
    assert "PermissionError" in as_nobody(read.format(str(password_file(project))))
    server = next(
        one for one in psutil.process_iter() if any("prefect_server" in w for w in _words(one))
        and str(project.prefect_home) in _words(one)
    )  # fmt: skip
    assert "PermissionError" in as_nobody(read.format(f"/proc/{server.pid}/environ"))
    get = "import urllib.request as u; print(u.urlopen({!r}, timeout=30).status)"
    assert as_nobody(get.format(f"{up.prefect}/api/health")) == "200"
    for url in (f"{up.prefect}/api/admin/version", f"{up.mlflow}/{READS[0]}"):
        assert "401" in as_nobody(get.format(url))


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return []


PAGE = """\
<html><body><script>
const found = {};
async function attempt(name, ask) {
  try { const reply = await ask(); found[name] = reply.type + " " + (await reply.text()).length; }
  catch { found[name] = "failed"; }
}
async function all() {
  const json = {"Content-Type": "application/json"}, evil = JSON.stringify({name: "evil"});
  for (const name of ["127.0.0.1", "localhost"]) {
    const prefect = PREFECT.replace("127.0.0.1", name), mlflow = MLFLOW.replace("127.0.0.1", name);
    const targets = {flows: prefect + "/api/flows/", create: mlflow + "/CREATE"};
    for (const [what, url] of Object.entries(targets)) {
      const all = {credentials: "include", method: "POST", body: evil};
      await attempt(name + " " + what, () => fetch(url, {...all, headers: json}));
      await attempt(name + " simple " + what, () => fetch(url, {...all, mode: "no-cors"}));
    }
    for (const url of [prefect + "/ui-settings", prefect + "/api/health", mlflow + "/health"])
      await attempt(url, () => fetch(url));
    found[name + " socket"] = await new Promise(done => {
      const socket = new WebSocket(prefect.replace("http", "ws") + "/api/events/in", "prefect");
      socket.onopen = () => done("open"); socket.onerror = () => done("failed");
    });
  }
  await fetch("/found", {method: "POST", body: JSON.stringify(found)});
}
all();
</script></body></html>
"""


@pytest.mark.skipif(not BROWSER, reason="Chromium is not installed")
def test_a_page_on_another_port_gets_nothing_through_a_browser(up: Up, tmp_path: Path) -> None:
    before = up.stored()
    page = PAGE.replace("PREFECT", f'"{up.prefect}"').replace("MLFLOW", f'"{up.mlflow}"')
    found: dict[str, str] = {}

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(page.replace("CREATE", CREATE).encode())

        def do_POST(self) -> None:
            found.update(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    options += ["--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}"]
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Answers) as web,
        (tmp_path / "log").open("w") as log,
        started(
            [BROWSER, *options, f"http://127.0.0.1:{web.server_port}/"], tmp_path, os.environ, log
        ),
    ):
        Thread(target=web.serve_forever).start()
        try:
            until(lambda: found, "an answer of the page", 120)
        finally:
            web.shutdown()
    assert len(found) == 16
    assert {name: it for name, it in found.items() if it not in ("failed", "opaque 0")} == {}
    assert up.stored() == before


@pytest.fixture
def tool(up: Up) -> Callable[..., str]:
    """Return a function that runs a program of this environment with the printed variables."""

    def run(*words: str, **more: str) -> str:
        done = subprocess.run(
            [str(BIN / words[0]), *words[1:]],
            cwd=up.project.root.parent,
            env=clean_environment() | up.env | more | {"PREFECT_HOME": str(up.project.root / "h")},
            capture_output=True,
            text=True,
        )
        return done.stdout + done.stderr

    return run


def test_the_printed_variables_serve_prefect_mlflow_and_a_notebook(
    up: Up, tool: Callable[..., str]
) -> None:
    assert "Created" in tool("prefect", "work-pool", "create", "mine", "--type", "process")
    assert "mine" in tool("prefect", "work-pool", "ls")
    assert "401" in tool("prefect", "work-pool", "ls", PREFECT_API_AUTH_STRING="gristmill:wrong")
    assert "Default" in tool("mlflow", "experiments", "search")
    cell = "import mlflow; mlflow.set_experiment('book'); mlflow.log_metric('a', 1); "
    cell += "open('n.txt', 'w').write('1'); mlflow.log_artifact('n.txt'); print('logged')"
    assert "logged" in tool("python", "-c", cell)
    assert list((up.project.store / "artifacts").rglob("n.txt"))


WRONG = {
    "PREFECT_API_AUTH_STRING": ("the Prefect server refuses the password", "does not accept it"),
    "MLFLOW_TRACKING_PASSWORD": ("the MLflow server refuses the password", "does not accept them"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("given", ["gristmill:wrong", ""])
def test_a_server_that_refuses_the_password_is_one_error_block(
    up: Up, name: str, given: str
) -> None:
    done = gristmill_in(up.project.root)("doctor", env={**up.env, name: given})
    what, found = WRONG[name]
    assert done.returncode == 4
    assert what in done.stdout
    assert (found if given else f"no {name}") in done.stdout
    assert password(up.project) not in done.stdout + done.stderr


def test_a_password_that_changed_while_the_server_runs_is_named(up: Up) -> None:
    file, kept = password_file(up.project), password(up.project)
    file.write_text("x" * 32)
    try:
        done = gristmill_in(up.project.root)("runs", "gc", "--older-than", "1d")
    finally:
        file.write_text(kept)
    assert done.returncode == 4
    assert "the project's Prefect server refuses the password" in done.stderr
    assert ".prefect/password has changed since" in done.stderr
    assert "end `gristmill up`" in done.stderr


def test_mlflow_starts_with_the_settings_of_its_own_server_command(tmp_path: Path) -> None:
    """As a worker of `mlflow server` has them; a new one of MLflow's should be looked at here."""
    project, (port,) = make_project(tmp_path / "project"), free_ports(1)
    project.store.mkdir()
    command = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", tracking_uri(project), "--workers", "1"]
    command += ["--artifacts-destination", (project.store / "artifacts").as_uri()]
    with process_of(project, command, tmp_path / "log") as process:
        until(lambda: psutil.Process(process.pid).children(), "a worker", 120)
        (worker,) = psutil.Process(process.pid).children()
        until(lambda: "uvicorn" in worker.cmdline(), "the server's environment")
        theirs = {n: v for n, v in worker.environ().items() if n.lstrip("_").startswith("MLFLOW")}
    ours = settings(project)
    assert len(ours.pop("_MLFLOW_SERVER_BOOT_ID")) == len(theirs.pop("_MLFLOW_SERVER_BOOT_ID"))
    assert {n: v for n, v in theirs.items() if n in ours or n.startswith("_")} == ours


def test_env_of_a_project_that_is_not_up_is_an_error(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    run: Run = gristmill_in(project.root)
    done = run("up", "--env")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "the project is not up" in done.stderr
    assert not password_file(project).exists()
