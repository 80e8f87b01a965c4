"""Trials on a Ray cluster: each test starts a real one on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from tiny import DIGEST, make_data, make_project, run_search, trials, write_experiment

from gristmill.pipelines.base.errors import InputError
from gristmill.pipelines.config.experiment import Experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.training.trial import read_result
from gristmill.pipelines.workers.pool import Pool
from gristmill.pipelines.workers.ray_pool import address_of

BUILDER = """
import keras

def build(shape, outputs, units):
    hidden = keras.layers.Dense(units, activation="relu")
    out = keras.layers.Dense(outputs, activation="softmax")
    return keras.Sequential([keras.Input(shape), hidden, out])
"""

EPOCHS = 500
"""With one row a step: some seconds, in which a state is saved and sent back."""

SCRIPT = """
import json, os, sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from tiny import DIGEST
from gristmill.pipelines.config import Project, load_experiment
from tiny import run_search, trials
from gristmill.pipelines.training import TrialResult
from gristmill.pipelines.workers import Epoch, RayPool

def say(**what):
    os.write(int(sys.argv[1]), json.dumps(what).encode() + bytes([10]))

def main():
    project = Project(Path({root!r}))
    experiment = load_experiment(project, "tiny")
    asked = trials(experiment, DIGEST)
    address, kill = None, lambda: None
    if {nodes}:
        from ray.cluster_utils import Cluster
        cluster = Cluster()
        nodes = [cluster.add_node(num_cpus=1) for _ in range({nodes})]
        address = cluster.address
        kill = lambda: cluster.remove_node(nodes[-1], allow_graceful=False)
    RayPool.state_every = 0.5
    pool = RayPool(address, project.experiments, lambda line: say(line=line))
    killed = False
    try:
        for message in run_search(project, experiment, asked, pool):
            if isinstance(message, TrialResult):
                say(key=message.key, error=message.error)
                continue
            say(epoch=message.number)
            folders = [project.build("tiny") / "trials" / trial.key for trial in asked]
            if not killed and all((folder / "state.npz").exists() for folder in folders):
                kill()
                killed = True
                say(killed=True)
    finally:
        pool.close()

if __name__ == "__main__":
    main()
"""


@pytest.fixture
def home(tmp_path: Path) -> Project:
    project = make_project(tmp_path / "project")
    (project.experiments / "my_models.py").write_text(BUILDER)
    make_data(project, write_experiment(project))
    return project


def experiment_of(project: Project, epochs: int) -> Experiment:
    return write_experiment(
        project,
        model={
            "layers": None,
            "builder": "my_models:build",
            "arguments": {"units": "$units"},
        },
        training={"epochs": epochs, "batch_size": 1},
        search={"grid": {"units": [4, 6]}},
    )


@dataclass(frozen=True)
class Script:
    """The script in a separate process, and its messages."""

    process: subprocess.Popen[bytes]
    lines: Iterator[dict[str, Any]]


@contextmanager
def started(project: Project, nodes: int) -> Iterator[Script]:
    """Start the script; with 0 nodes the pool starts its own cluster.

    It writes to a separate pipe, because Ray prints to stdout at any time.
    """
    file = project.root / "script.py"
    tests = str(Path(__file__).parents[2])
    file.write_text(SCRIPT.format(tests=tests, root=str(project.root), nodes=nodes))
    reading, writing = os.pipe()
    with (
        os.fdopen(reading) as lines,
        subprocess.Popen(
            [sys.executable, str(file), str(writing)],
            pass_fds=[writing],
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            start_new_session=True,
        ) as process,
    ):
        os.close(writing)
        try:
            yield Script(process, map(json.loads, lines))
        finally:
            process.kill()


def weights_by_key(project: Project, experiment: Experiment) -> dict[str, dict[str, Any]]:
    folder = project.build("tiny") / "trials"
    return {
        trial.key: dict(np.load(folder / trial.key / "weights.npz"))
        for trial in trials(experiment, DIGEST)
    }


@pytest.mark.slow
def test_a_lost_node_loses_no_trial_and_the_weights_equal_those_of_one_machine(
    home: Project, pool: Pool
) -> None:
    experiment = experiment_of(home, EPOCHS)
    with started(home, nodes=2) as script:
        told = list(script.lines)
        assert script.process.wait(timeout=60) == 0
    ended = {entry["key"]: entry["error"] for entry in told if "key" in entry}
    assert ended == {trial.key: "" for trial in trials(experiment, DIGEST)}
    place = next(i for i, entry in enumerate(told) if "killed" in entry)
    assert any("moves to another one" in entry.get("line", "") for entry in told[place:])
    after = [entry["epoch"] for entry in told[place:] if "epoch" in entry]
    assert min(after) > 1  # the lost trial continued from the saved state
    ours = weights_by_key(home, experiment)
    folder = home.build("tiny") / "trials"
    for key in ours:
        result = read_result(folder / key)
        assert result is not None
        assert result.epochs == EPOCHS
        for file in (folder / key).iterdir():
            file.unlink()
    list(run_search(home, experiment, trials(experiment, DIGEST), pool))
    theirs = weights_by_key(home, experiment)
    for key, arrays in ours.items():
        assert arrays.keys() == theirs[key].keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, theirs[key][name])


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_ray_process_outlives_its_parent(home: Project, number: signal.Signals) -> None:
    experiment_of(home, 100_000)
    with started(home, nodes=0) as script:
        next(line for line in script.lines if "epoch" in line)
        below = psutil.Process(script.process.pid).children(recursive=True)
        assert any("raylet" in one.name() for one in below)
        os.kill(script.process.pid, number)
        script.process.wait(timeout=60)
    _, left = psutil.wait_procs(below, timeout=60)
    assert not [one for one in left if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    ("on", "address"),
    [
        ("ray", None),
        ("ray:auto", "auto"),
        ("ray:10.0.0.1:6379", "10.0.0.1:6379"),
        ("ray://head:10001", "ray://head:10001"),
    ],
)
def test_the_cluster_address_is_read(on: str, address: str | None) -> None:
    assert address_of(on) == address


@pytest.mark.parametrize("on", ["", "dask", "rays", "ray:", "local:2"])
def test_another_backend_is_refused_with_the_known_ones(on: str) -> None:
    with pytest.raises(InputError, match=r"(?s)cannot be trained on.*ray:ADDRESS"):
        address_of(on)
