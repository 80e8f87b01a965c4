"""SIGKILL at random moments: the next run continues and reaches the same result."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
from aftermath import (
    TINY,
    Command,
    champions,
    flow_states,
    left_aside,
    mlflow_runs,
    rows_of,
    task_states,
    until,
    write_tiny,
)

from gristmill.pipelines.config.project import Project
from tests.conftest import gristmill_in

pytestmark = pytest.mark.slow
Start = Callable[..., Command]

VICTIMS = ("run", "worker", "everything")
MOMENTS = np.random.default_rng(5)
KILLS_A_ROUND = 5

SLOWER = TINY.replace(
    "epochs: $epochs}", "epochs: $epochs, batch_size: 1, early_stopping: {patience: 40}}"
).replace("epochs: 20}", "epochs: 150}")


@dataclass(frozen=True)
class End:
    """Results that must not depend on kills: weights of each trial, predictions, decision."""

    weights: dict[str, list[bytes]]
    predictions: str
    champions: dict[str, int]
    decision: str


def end_of(project: Project) -> End:
    build = project.build("tiny")
    weights = {}
    for file in sorted((build / "trials").glob("*/weights.npz")):
        with np.load(file) as saved:
            weights[file.parent.name] = [saved[name].tobytes() for name in saved.files]
    query = "SELECT value FROM tags WHERE key = 'gristmill.decision'"
    (decision,) = {value for (value,) in rows_of(project.store / "mlflow.db", query)}
    predictions = pd.read_parquet(build / "predictions.parquet").to_csv()
    return End(weights, predictions, champions(project), decision)


@pytest.fixture(scope="module")
def untrained(cloned: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with a small experiment that has not run yet."""
    target = tmp_path_factory.mktemp("untrained") / "project"
    shutil.copytree(cloned.root, target, symlinks=True)
    project = Project(target)
    project.experiment_file("tiny").write_text(SLOWER, encoding="utf-8")
    write_tiny(project)
    gristmill_in(target)("doctor", "--fix", check=True)
    return project


@pytest.fixture(scope="module")
def undisturbed(untrained: Project, tmp_path_factory: pytest.TempPathFactory) -> tuple[End, float]:
    """Return the results of an undisturbed run, and its seconds."""
    target = tmp_path_factory.mktemp("undisturbed") / "project"
    shutil.copytree(untrained.root, target, symlinks=True)
    began = time.monotonic()
    gristmill_in(target)("run", "tiny", check=True)
    return end_of(Project(target)), time.monotonic() - began


def rounds(config: pytest.Config) -> int:
    return max(1, -(-int(config.getoption("--kills")) // KILLS_A_ROUND))


def test_kills_at_random_moments_change_nothing(
    untrained: Project,
    undisturbed: tuple[End, float],
    tmp_path: Path,
    command: Start,
    pytestconfig: pytest.Config,
) -> None:
    end, seconds = undisturbed
    assert len(end.weights) == 2
    for number in range(rounds(pytestconfig)):
        target = tmp_path / str(number) / "내 project"
        shutil.copytree(untrained.root, target, symlinks=True)
        project = Project(target)
        for _ in range(KILLS_A_ROUND):
            run = command(project, "run", "tiny")
            moment, victim = MOMENTS.uniform(0.1, seconds), str(MOMENTS.choice(VICTIMS))
            with suppress(psutil.TimeoutExpired):
                psutil.Process(run.process.pid).wait(moment)
            strike(run, victim, project)
            if victim == "worker":
                assert run.process.wait(120) == 0, run.said
            run.process.wait(30)
        until(lambda project=project: not alive(project), "the end of all processes", 30)
        done = gristmill_in(target)("run", "tiny")
        assert done.returncode == 0, done.stdout + done.stderr
        assert end_of(project) == end
        left_in_order(project)
        shutil.rmtree(target)


def left_in_order(project: Project) -> None:
    """Check that no state is "running", no trial finished twice and no file is partly written."""
    assert mlflow_runs(project, "RUNNING") == 0
    assert {"RUNNING", "PENDING"}.isdisjoint({*flow_states(project), *task_states(project)})
    query = (
        "SELECT t.value, count(*) FROM tags t JOIN runs r USING (run_uuid) "
        "WHERE t.key = 'gristmill.trial' AND r.status = 'FINISHED' GROUP BY t.value"
    )
    assert {count for _, count in rows_of(project.store / "mlflow.db", query)} == {1}
    assert left_aside(project) == []


def strike(run: Command, victim: str, project: Project) -> None:
    """Kill the run's own process, one of its workers, or all processes of the project."""
    if victim == "run":
        run.process.kill()
    elif victim == "everything":
        run.process.kill()
        for process in alive(project):
            with suppress(psutil.NoSuchProcess):
                process.kill()
    else:
        for process in workers(run)[:1]:
            with suppress(psutil.NoSuchProcess):
                os.kill(process.pid, signal.SIGKILL)


def workers(run: Command) -> list[psutil.Process]:
    """Return the training processes, forked from the one that holds TensorFlow."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(run.process.pid).children():
            with suppress(psutil.NoSuchProcess):
                if "forkserver" in " ".join(child.cmdline()):
                    return list(child.children())
    return []


def alive(project: Project) -> list[psutil.Process]:
    """Return all processes that work for a project."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            about = [process.cwd(), *process.cmdline(), *process.environ().values()]
            if process.pid != os.getpid() and any(str(project.root) in text for text in about):
                found.append(process)
    return found
