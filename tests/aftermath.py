"""Helpers to inspect what commands leave behind, and a small experiment for them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest

from gristmill.pipelines.config.project import Project
from tests.conftest import BIN, clean_environment, git, gristmill_in

NUMBERS = count()

TINY = """\
description: sixty rows made by hand
data: {path: data/tiny/tiny.csv, target: label, task: classification}
schema:
  columns:
    a: {type: integer, min: 0, max: 100, missing: never}
    b: {type: number}
    label: {one_of: [no, yes]}
split: {}
features: {}
parameters: {units: 4, learning_rate: 0.01, epochs: 20}
model: {layers: [{Dense: {units: $units, activation: relu}}]}
training: {optimizer: {Adam: {learning_rate: $learning_rate}}, epochs: $epochs}
search: {grid: {learning_rate: [0.01, 0.1]}}
"""


def tiny_rows() -> list[str]:
    """Return 60 rows: 0 to 59, a fraction, and a label that depends on both, wrong in one row."""
    is_yes = [i + i * 7 % 60 > 52 and i != 57 for i in range(60)]
    return [f"{i},{i * 7 % 60 / 8},{'yes' if yes else 'no'}" for i, yes in enumerate(is_yes)]


def write_tiny(project: Project, rows: list[str] | None = None, header: str = "a,b,label") -> Path:
    """Write the raw file of the experiment `tiny`."""
    file = project.root / "data" / "tiny" / "tiny.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [header, *(tiny_rows() if rows is None else rows)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def edit(file: Path, old: str, new: str) -> None:
    """Replace the only occurrence of `old`."""
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {file.name}"
    file.write_text(text.replace(old, new), encoding="utf-8")


def rows_of(database: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Query a database that another process may be writing; [] while the table does not exist."""
    try:
        with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            return connection.execute(query, values).fetchall()
    except sqlite3.OperationalError:
        return []


def champions(project: Project) -> dict[str, int]:
    """Return the champion version of each model."""
    query = "SELECT name, version FROM registered_model_aliases WHERE alias = 'champion'"
    return dict(rows_of(project.store / "mlflow.db", query))


def mlflow_runs(project: Project, status: str) -> int:
    """Count the MLflow runs with a status."""
    query = "SELECT count(*) FROM runs WHERE status = ?"
    return sum(row[0] for row in rows_of(project.store / "mlflow.db", query, status))


def flow_states(project: Project) -> list[str]:
    """Return the states of all flow runs, oldest first."""
    query = "SELECT state_type FROM flow_run ORDER BY created"
    return [row[0] for row in rows_of(project.prefect_home / "prefect.db", query)]


def task_states(project: Project) -> set[str]:
    """Return the states of all task runs."""
    query = "SELECT state_type FROM task_run"
    return {row[0] for row in rows_of(project.prefect_home / "prefect.db", query)}


def processes_of(project: Project) -> list[str]:
    """Return the command lines of living processes that work for this project."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            about = [process.cwd(), *words, *process.environ().values()]
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
        if process.pid != os.getpid() and any(str(project.root) in text for text in about):
            found.append(" ".join(words))
    return found


def left_aside(project: Project) -> list[Path]:
    """Return partly written files."""
    return [path for end in ("part", "old") for path in project.root.rglob(f".*.{end}")]


def until(holds: Callable[[], object], what: str, seconds: float = 60) -> None:
    """Wait until a condition holds; fail after `seconds`."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"{seconds} s went by without: {what}"
        time.sleep(0.05)


class Command:
    """A command that runs beside the test, in its own session like a command in a terminal."""

    def __init__(self, project: Project, *words: str, env: dict[str, str] | None = None) -> None:
        self._log = project.root.parent / f"command-{next(NUMBERS)}.txt"
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                [str(BIN / "gristmill"), *words],
                cwd=project.root,
                env=clean_environment() | {"PYTHONUNBUFFERED": "1"} | (env or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    @property
    def said(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def wait_for(self, text: str) -> None:
        """Wait until the command has printed a text."""
        until(lambda: text in self.said or self.process.poll() is not None, text)
        assert text in self.said, self.said

    def interrupt(self) -> int:
        """Send Ctrl-C to all processes of the command, as a terminal does; return the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(30)


def read_tree(project: Project) -> dict[str, bytes]:
    """Return the files that git and DVC track, and the latest outputs of the stages."""
    names = ["dvc.lock", "data.dvc", "params.yaml", "experiments/*.json", "build/*/*.parquet"]
    found = [file for name in names for file in sorted(project.root.glob(name))]
    return {project.relative(file): file.read_bytes() for file in found}


def free_ports(count: int) -> list[int]:
    """Return ports of this machine on which nothing listens."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture
def command(request: pytest.FixtureRequest) -> Iterator[Callable[..., Command]]:
    """Start commands that run beside the test, and end those that a failed test leaves."""
    started: list[Command] = []

    def start(project: Project, *words: str, env: dict[str, str] | None = None) -> Command:
        started.append(Command(project, *words, env=env))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


@pytest.fixture(scope="session")
def tiny_once(run_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project in which `digits` and `tiny` have a champion; tests copy it."""
    target = tmp_path_factory.mktemp("tiny") / "project"
    shutil.copytree(run_once.root, target, symlinks=True)
    project = Project(target)
    project.experiment_file("tiny").write_text(TINY, encoding="utf-8")
    write_tiny(project)
    gristmill_in(target)("run", "tiny", check=True)
    git(target, "add", "-A")
    git(target, "commit", "-qm", "tiny")
    return project


@pytest.fixture
def tiny(tiny_once: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a moved copy of a project with champions of `digits` and `tiny`."""
    target = tmp_path / "내 project"
    shutil.copytree(tiny_once.root, target, symlinks=True)
    monkeypatch.chdir(target)
    return Project(target)
