"""Trials in worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tiny import DIGEST, make_data, make_project, run_search, trials, write_experiment

from gristmill.pipelines.base.errors import ConfigError, EnvironmentFault
from gristmill.pipelines.base.yaml_file import read_yaml
from gristmill.pipelines.config.experiment import Experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.training.identity import Trial
from gristmill.pipelines.training.trial import TrialResult
from gristmill.pipelines.workers.messages import Epoch, Export
from gristmill.pipelines.workers.pool import Pool

GRID = {"search": {"grid": {"units": [4, 6], "learning_rate": [0.01, 0.1]}}}

BUILDER = """
import os, signal
import keras

def build(shape, outputs, units, fate="none"):
    if fate == "killed" and units == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    if fate == "killed once" and not os.path.exists(__file__ + ".killed"):
        open(__file__ + ".killed", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)
    if fate == "leaves":
        os._exit(3)
    if fate == "stumbles" and units == 4:
        raise RuntimeError("out of flour")
    model = keras.Sequential([keras.Input(shape), keras.layers.Dense(units, activation="relu")])
    model.add(keras.layers.Dense(outputs, activation="softmax"))
    return model
"""


@pytest.fixture
def home(tmp_path: Path) -> Project:
    project = make_project(tmp_path / "project")
    (project.experiments / "my_models.py").write_text(BUILDER)
    make_data(project, write_experiment(project))
    return project


def by_hand(fate: str) -> dict[str, Any]:
    arguments = {"units": "$units", "fate": fate}
    return {"model": {"layers": None, "builder": "my_models:build", "arguments": arguments}}


def searched(
    project: Project, experiment: Experiment, pool: Pool
) -> tuple[list[Trial], dict[str, TrialResult], list[Epoch]]:
    asked = trials(experiment, DIGEST)
    told = list(run_search(project, experiment, asked, pool))
    results = {message.key: message for message in told if isinstance(message, TrialResult)}
    return asked, results, [message for message in told if isinstance(message, Epoch)]


def workers_of(pool: Pool) -> list[psutil.Process]:
    return [psutil.Process(worker.process.pid) for worker in (*pool._busy, *pool._idle)]


def test_results_are_identical_with_any_number_of_workers(home: Project, pool: Pool) -> None:
    ends: list[dict[str, TrialResult]] = []
    weights: list[list[Any]] = []
    for workers in (1, 2, 3):
        pool.stop()
        experiment = write_experiment(
            home,
            search={**GRID["search"], "workers": workers},
            training={"early_stopping": {"patience": 1}, "epochs": 6},
        )
        asked, results, epochs = searched(home, experiment, pool)
        assert len(workers_of(pool)) == workers
        for key, result in results.items():
            told = [logs["loss"] for e in epochs if e.key == key for logs in e.new]
            assert told
            assert told == result.history["loss"][: len(told)]
        ends.append({k: replace(r, seconds=0.0, started=0.0) for k, r in results.items()})
        folder = home.build("tiny") / "trials"
        weights.append([dict(np.load(folder / t.key / "weights.npz")) for t in asked])
        for trial in asked:
            for file in (folder / trial.key).iterdir():
                file.unlink()
    assert ends[0] == ends[1] == ends[2]
    for one, two, three in zip(*weights, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], two[name])
            np.testing.assert_array_equal(one[name], three[name])


def test_the_time_of_a_search_is_divided_into_tracing_training_and_waiting(
    home: Project, pool: Pool
) -> None:
    pool.spent.clear()
    experiment = write_experiment(home, **GRID, training={"seed": 3}).with_workers(2)
    began = time.monotonic()
    searched(home, experiment, pool)
    wall = time.monotonic() - began
    spent = pool.spent
    assert sorted(spent) == ["tracing", "training", "waiting"]
    assert min(spent.values()) > 0
    assert sum(spent.values()) <= wall
    _, results, _ = searched(home, experiment, pool)
    in_trials = sum(result.seconds for result in results.values())
    assert spent["tracing"] + spent["training"] >= in_trials / 2


def test_a_killed_worker_fails_its_trial_and_the_others_continue(home: Project, pool: Pool) -> None:
    experiment = write_experiment(home, **GRID, **by_hand("killed"))
    asked, results, _ = searched(home, experiment, pool)
    ends = {trial.varied["units"]: results[trial.key] for trial in asked}
    assert ends[4].status == "failed"
    assert ends[4].error == f"its process ended twice: signal {signal.SIGKILL:d}, out of memory?"
    assert ends[6].status == "finished"
    assert sum(r.status == "failed" for r in results.values()) == 2


def test_the_trial_of_a_killed_worker_continues_in_another(home: Project, pool: Pool) -> None:
    experiment = write_experiment(home, **GRID, **by_hand("killed once"))
    _, results, _ = searched(home, experiment, pool)
    assert (home.experiments / "my_models.py.killed").exists()
    assert len(results) == 4
    assert {result.status for result in results.values()} == {"finished"}


def test_a_worker_that_exits_by_itself_is_reported_with_its_status(
    home: Project, pool: Pool
) -> None:
    _, results, _ = searched(home, write_experiment(home, **by_hand("leaves")), pool)
    assert [r.error for r in results.values()] == ["its process ended twice: exit status 3"]


def test_an_exception_in_a_model_fails_only_its_trial(home: Project, pool: Pool) -> None:
    experiment = write_experiment(home, **GRID, **by_hand("stumbles"))
    asked, results, _ = searched(home, experiment, pool)
    for trial in asked:
        failed = trial.varied["units"] == 4
        assert results[trial.key].error == ("RuntimeError: out of flour" if failed else "")


def test_what_keras_refuses_ends_the_search(home: Project, pool: Pool) -> None:
    experiment = write_experiment(home, model={"layers": [{"Dense": {"unit": 3}}]})
    with pytest.raises(ConfigError, match=r"(?s)model\.layers\.0.*did you mean units\?"):
        searched(home, experiment, pool)


def test_a_search_that_is_cut_short_leaves_nothing_for_the_next_one(
    home: Project, pool: Pool
) -> None:
    experiment = write_experiment(home, **GRID, training={"epochs": 100_000})
    endless = run_search(home, experiment, trials(experiment, DIGEST), pool)
    next(endless)
    endless.close()
    asked, results, epochs = searched(home, write_experiment(home, training={"seed": 8}), pool)
    assert list(results) == [asked[0].key]
    assert {epoch.key for epoch in epochs} == {asked[0].key}


def test_a_worker_that_died_between_two_requests_is_replaced(home: Project, pool: Pool) -> None:
    experiment = write_experiment(home)
    asked, _, _ = searched(home, experiment, pool)
    _kill(workers_of(pool))
    folder = home.build("tiny") / "trials" / asked[0].key
    weights = dict(np.load(folder / "weights.npz"))
    for file in folder.iterdir():
        file.unlink()
    _, results, _ = searched(home, experiment, pool)
    assert [r.status for r in results.values()] == ["finished"]
    again = np.load(folder / "weights.npz")
    for name, value in weights.items():
        np.testing.assert_array_equal(value, again[name])


def test_an_export_works_after_the_workers_died_and_reports_failures(
    home: Project, pool: Pool
) -> None:
    experiment = write_experiment(home)
    (trial,), _, _ = searched(home, experiment, pool)
    _kill(workers_of(pool))
    training, folder = home.build("tiny") / "training", home.build("tiny") / "trials" / trial.key
    request = Export(
        trial.recipe,
        training,
        folder / "weights.npz",
        folder / "model.keras",
        home.experiments,
        training / "x_validation.npy",
        folder / "outputs.npy",
    )
    pool.export(request, 1)
    assert np.load(folder / "outputs.npy").shape[1] == 3
    with pytest.raises(EnvironmentFault, match=r"(?s)a worker process failed.*nothing\.npz"):
        pool.export(replace(request, weights=folder / "nothing.npz"), 1)
    leaving = write_experiment(home, **by_hand("leaves"))
    (other,) = trials(leaving, DIGEST)
    with pytest.raises(EnvironmentFault, match=r"(?s)evaluates ended twice.*status 3"):
        pool.export(replace(request, recipe=other.recipe), 1)


def test_an_export_continues_in_another_worker_when_the_first_is_killed(
    home: Project, pool: Pool
) -> None:
    experiment = write_experiment(home, **by_hand("killed once"))
    (home.experiments / "my_models.py.killed").touch()
    (trial,), _, _ = searched(home, experiment, pool)
    (home.experiments / "my_models.py.killed").unlink()
    training, folder = home.build("tiny") / "training", home.build("tiny") / "trials" / trial.key
    model = folder / "model.keras"
    pool.export(Export(trial.recipe, training, folder / "weights.npz", model, home.experiments), 1)
    assert (home.experiments / "my_models.py.killed").exists()
    assert model.is_file()


def test_a_worker_calls_a_function_and_returns_its_result(pool: Pool, tmp_path: Path) -> None:
    assert pool.call(os.path.commonprefix, ["gristmill", "grist"]) == "grist"
    with pytest.raises(EnvironmentFault, match=r"(?s)a worker process failed.*TypeError"):
        pool.call(os.path.commonprefix, 3)
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(ConfigError, match=r"broken\.yaml"):
        pool.call(read_yaml, tmp_path / "broken.yaml")
    with pytest.raises(EnvironmentFault, match=r"(?s)calls raise_signal ended twice.*signal 9"):
        pool.call(signal.raise_signal, signal.SIGKILL)
    assert pool.call(len, "abc") == 3


def test_stop_leaves_no_worker(home: Project, pool: Pool) -> None:
    searched(home, write_experiment(home), pool)
    alive = workers_of(pool)
    assert alive
    pool.stop()
    assert not any(_lives(process) for process in alive)


PARENT = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from gristmill.pipelines.config import Project, load_experiment
from gristmill.pipelines.base.yaml_file import read_yaml
from tiny import run_search, trials
from gristmill.pipelines.workers import Epoch, Pool
project = Project(Path({root!r}))
experiment = load_experiment(project, "tiny")
if __name__ == "__main__":
    pool = Pool(project.root / "workers.log")
    for message in run_search(project, experiment, trials(experiment, "d"), pool):
        print(*[worker.process.pid for worker in (*pool._busy, *pool._idle)], flush=True)
        {then}
"""


def test_a_closed_pool_starts_nothing_for_a_thread_that_still_asks(
    home: Project, pool: Pool
) -> None:
    pool.stop()  # closing a pool ends the server that reports how workers of all pools end
    closed = Pool(home.root / "workers.log")
    closed.close()
    before = psutil.Process().children()
    with pytest.raises(EnvironmentFault, match="stopped"):
        searched(home, write_experiment(home), closed)
    assert psutil.Process().children() == before


@pytest.mark.slow
@pytest.mark.parametrize("then", ["sys.stdin.read()", "pool.close(); break"])
def test_no_process_outlives_a_killed_parent_or_a_closed_pool(
    home: Project, tmp_path: Path, then: str
) -> None:
    write_experiment(home, training={"epochs": 100_000})
    script = tmp_path / "parent.py"
    tests = str(Path(__file__).parents[2])
    script.write_text(PARENT.format(tests=tests, root=str(home.root), then=then))
    parent = subprocess.Popen(
        [sys.executable, str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdin is not None
    assert parent.stdout is not None
    pids = [int(word) for word in parent.stdout.readline().split()]
    assert pids
    below = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    if "read" in then:
        below = psutil.Process(parent.pid).children(recursive=True)
        assert {p.pid for p in below} >= set(pids)
        parent.kill()
    parent.communicate(timeout=60)
    _, left = psutil.wait_procs(below, timeout=60)
    assert not any(_lives(process) for process in left)


def _kill(processes: list[psutil.Process]) -> None:
    assert processes
    for process in processes:
        process.kill()
    psutil.wait_procs(processes, timeout=60)


def _lives(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
