from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from aftermath import Command, free_ports, processes_of, until
from tiny import make_project

from gristmill.flows.servers.flow_runs import answers, post
from gristmill.flows.servers.password import credentials, password
from gristmill.flows.servers.prefect_server import (
    left_by_the_dead,
    running_server,
    under_way,
)
from gristmill.pipelines.base.files import write_json
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.tracking.liveness import process_tags
from tests.conftest import Run, clean_environment

Start = Callable[..., Command]
USER = """\
import sys
from gristmill.flows.servers.prefect_server import Server
from gristmill.pipelines.config import Project
server = Server(Project.find())
server.start()
server.wait()
print(server.url, flush=True)
sys.stdin.readline()
server.leave()
"""


class User:
    """A process that uses the project's server until it is asked to leave."""

    def __init__(self, project: Project, env: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER],
            cwd=project.root,
            env=clean_environment() | env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.url = ""

    def wait(self) -> str:
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        return self.url

    def leave(self) -> None:
        self.process.communicate("\n", timeout=20)
        assert self.process.returncode == 0


@pytest.fixture
def user(finished: Project) -> Iterator[Callable[..., User]]:
    made: list[User] = []

    def start(**env: str) -> User:
        made.append(User(finished, env))
        return made[-1]

    yield start
    for one in made:
        one.process.kill()
        one.process.communicate()


@pytest.mark.slow
def test_users_share_a_server_and_the_last_one_to_leave_ends_it(
    finished: Project, user: Callable[..., User]
) -> None:
    first, second = user(), user()
    assert first.wait() == second.wait() != ""
    first.leave()
    assert answers(second.url)
    assert running_server(finished) is not None
    second.leave()
    assert running_server(finished) is None
    until(lambda: not processes_of(finished), "the end of the server", 5)
    assert not answers(second.url)


@pytest.mark.slow
def test_a_server_whose_users_were_killed_ends_by_itself(
    finished: Project, user: Callable[..., User]
) -> None:
    one = user()
    assert answers(one.wait())
    one.process.send_signal(signal.SIGKILL)
    one.process.wait()
    until(lambda: not processes_of(finished), "the end of the server", 10)
    assert running_server(finished) is None
    assert not answers(one.url)


@pytest.mark.slow
def test_a_configured_server_is_used_and_left_running(
    finished: Project, user: Callable[..., User]
) -> None:
    owner = user()
    url = owner.wait()
    guest = user(PREFECT_API_URL=url, PREFECT_API_AUTH_STRING=credentials(finished))
    assert guest.wait() == owner.url
    assert len(list((finished.prefect_home / "users").iterdir())) == 1  # only the file of its owner
    guest.leave()
    assert answers(owner.url)
    owner.leave()
    assert not answers(owner.url)


@pytest.mark.slow
def test_up_serves_both_uis_and_the_schedules_until_ctrl_c(
    finished: Project, command: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with finished.experiment_file("digits").open("a") as file:
        file.write("schedule: {interval: 86400, refresh: true}\n")
    prefect, mlflow = free_ports(2)
    up = command(finished, "up", f"--prefect-port={prefect}", f"--mlflow-port={mlflow}")
    up.wait_for("Ctrl-C stops everything")
    assert f"http://127.0.0.1:{prefect}" in up.said
    assert f"http://127.0.0.1:{mlflow}" in up.said
    assert "schedule digits: every 86400 s, new data first" in up.said
    login = ("gristmill", password(finished))
    for port in (prefect, mlflow):
        reply = requests.get(f"http://127.0.0.1:{port}/", auth=login, timeout=10)
        assert "<html" in reply.text.lower()
    api = f"http://127.0.0.1:{prefect}/api"
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", credentials(finished))
    until(lambda: post(f"{api}/deployments/filter", {}), "a deployment")
    (deployment,) = post(f"{api}/deployments/filter", {})
    assert deployment["name"] == "digits"
    assert deployment["parameters"] == {"experiment": "digits", "refresh": True}
    (schedule,) = deployment["schedules"]
    assert schedule["schedule"]["interval"] == 86400
    assert up.interrupt() in (0, 130)
    assert "ended" in up.said
    until(lambda: not processes_of(finished), "the end of all servers", 5)
    assert not answers(api)


def test_a_taken_port_is_named_with_the_option_for_another(
    finished: Project, gristmill: Run
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (free,) = free_ports(1)
        for option, other in (
            ("--prefect-port", "--mlflow-port"),
            ("--mlflow-port", "--prefect-port"),
        ):
            done = gristmill("up", f"{option}={port}", f"{other}={free}")
            assert done.returncode == 1
            assert f"port {port}" in done.stderr
            assert f"gristmill up {option} {port + 1}" in done.stderr
    assert processes_of(finished) == []


def test_leftovers_of_a_killed_process_are_found_without_a_server_and_finished_once(
    tmp_path: Path,
) -> None:
    project = make_project(tmp_path)
    users = project.prefect_home / "users"
    with subprocess.Popen(["sleep", "60"]) as other:
        write_json(users / f"{other.pid}", process_tags(other.pid))
        assert left_by_the_dead(project) == []
        other.kill()
    write_json(users / "1", process_tags(os.getpid()) | {"gristmill.host": "elsewhere"})
    assert [file.name for file in left_by_the_dead(project)] == [f"{other.pid}"]


def test_a_process_file_of_an_older_release_counts_as_a_leftover(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    users = project.prefect_home / "users"
    users.mkdir(parents=True)
    (users / "123").write_text("1764439545.12")
    assert [file.name for file in left_by_the_dead(project)] == ["123"]


def test_a_failed_flow_run_leaves_no_file_and_an_interrupted_one_does(
    tmp_path: Path,
) -> None:
    project = make_project(tmp_path)
    file = project.prefect_home / "users" / str(os.getpid())
    with under_way(project):
        assert file.is_file()
    assert not file.exists()
    with pytest.raises(ValueError, match="bad"), under_way(project):
        raise ValueError("bad")
    assert not file.exists()
    with pytest.raises(KeyboardInterrupt), under_way(project):
        raise KeyboardInterrupt
    assert file.is_file()
