"""Fixtures with real DVC, MLflow and Prefect in temporary folders."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from postgres_server import postgres
from tiny import make_project

from gristmill.pipelines.config.project import Project
from gristmill.pipelines.workers.pool import Pool

__all__ = ["postgres"]

pytest_plugins = ["aftermath", "versioned"]

settings.register_profile("here", deadline=None, derandomize=True)
settings.load_profile("here")

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

Run = Callable[..., subprocess.CompletedProcess[str]]


def clean_environment() -> dict[str, str]:
    """Return the environment of a user who has set nothing."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PREFECT_", "MLFLOW_", "GRISTMILL_", "DVC_", "GIT_"))
        and name not in ("PYTHONDONTWRITEBYTECODE", "COLUMNS")
    }
    return kept | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "NO_COLOR": "1"}


def said_by(code: str, folder: Path) -> str:
    """Run a program in a folder, in a new process; return its output. It must succeed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=clean_environment() | {"PYTHONPATH": str(ROOT)},
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout.strip()


def git(folder: Path, *words: str) -> str:
    """Run git with a user name and without the settings of this machine."""
    settings = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
    done = subprocess.run(
        ["git", *settings, *words], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout


def clone(target: Path) -> Project:
    """Create what a fresh clone of the project contains, including uncommitted files."""
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name, follow_symlinks=False)
    git(target, "init", "-q", "-b", "main")
    git(target, "add", "-A")
    git(target, "commit", "-qm", "as cloned")
    return Project(target)


def pytest_configure() -> None:
    """Restore Ctrl-C, which background jobs of a shell ignore; some tests send it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--kills", type=int, default=5, help="how often a run is killed at random")
    parser.addoption("--seconds", type=float, help="start no test after so many seconds")


def pytest_runtestloop(session: pytest.Session) -> None:
    """Leave out tests that would start after the time limit; pytest shows how many ran."""
    seconds = session.config.getoption("--seconds")
    if seconds is not None:
        session.config.pluginmanager.register(_TimeLimit(session, seconds))


class _TimeLimit:
    def __init__(self, session: pytest.Session, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._items = session.items

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        if time.monotonic() > self._ends:
            started = next(i for i, item in enumerate(self._items) if item.nodeid == nodeid) + 1
            del self._items[started:]


@pytest.fixture(autouse=True)
def _nobodys_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("PREFECT_", "MLFLOW_", "GRISTMILL_")):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def cloned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a clone with its data restored; tests copy it."""
    project = clone(tmp_path_factory.mktemp("clone") / "project")
    gristmill_in(project.root)("data", "restore", check=True)
    return project


@pytest.fixture
def project(cloned: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a new clone with data, in a folder with a space and Hangul in its name."""
    return _copy(cloned, tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def reproduced_once(cloned: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a clone with its data after `dvc repro`; tests copy it."""
    target = tmp_path_factory.mktemp("repro") / "project"
    shutil.copytree(cloned.root, target, symlinks=True)
    subprocess.run(
        [str(BIN / "dvc"), "repro", "-q"], cwd=target, env=clean_environment(), check=True
    )
    return Project(target)


@pytest.fixture
def reproduced(
    reproduced_once: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Project:
    """Return a moved copy of a project whose data stages are done."""
    return _copy(reproduced_once, tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def run_once(cloned: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a clone in which `gristmill run digits` has produced a champion; tests copy it."""
    target = tmp_path_factory.mktemp("run") / "project"
    shutil.copytree(cloned.root, target, symlinks=True)
    gristmill_in(target)("run", "digits", check=True)
    return Project(target)


@pytest.fixture
def finished(run_once: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a moved copy of a project that has a champion of `digits`."""
    return _copy(run_once, tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """Return workers that many tests share, so that TensorFlow is imported once."""
    made = Pool(tmp_path_factory.mktemp("log") / "workers.log")
    made.warm_up()
    yield made
    made.close()


@pytest.fixture(scope="session")
def store_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an MLflow folder with all tables and no runs; tests copy it."""
    from gristmill.pipelines.tracking import prepare_store

    project = make_project(tmp_path_factory.mktemp("store") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        prepare_store(project)
    return project.store


@pytest.fixture
def stored(store_once: Path, tmp_path: Path) -> Project:
    """Return a project without experiments and with an empty MLflow store."""
    made = make_project(tmp_path / "내 project")
    shutil.copytree(store_once, made.store)
    return made


def _copy(of: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    target = tmp_path / "내 project"
    shutil.copytree(of.root, target, symlinks=True)
    monkeypatch.chdir(target)
    monkeypatch.setenv("PATH", clean_environment()["PATH"])  # DVC calls `gristmill` by name
    return Project(target)


def gristmill_in(folder: Path) -> Run:
    """Return a function that runs the command line in a folder: `run("plan", "digits")`."""

    def run(
        *words: str, check: bool = False, env: dict[str, str] | None = None, timeout: float = 180
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(BIN / "gristmill"), *words],
            cwd=folder,
            env=clean_environment() | (env or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode:
            raise AssertionError(
                f"gristmill {words}: {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done

    return run


@pytest.fixture
def gristmill(tmp_path: Path) -> Run:
    """Return a function that runs the command line in the test's project."""
    return gristmill_in(tmp_path / "내 project")
