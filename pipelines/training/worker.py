"""The process that trains and predicts: the only place where TensorFlow lives in a run."""

from __future__ import annotations

import json
import os
import signal
import threading
import traceback
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any

from pipelines.config import GristmillError, Recipe, writing

PROGRAMS = 4
"""Traced programs that a worker keeps: architectures of which trials may still come."""


@dataclass(frozen=True)
class Train:
    """Train one trial; its files go to `folder`."""

    key: str
    recipe: Recipe
    data: Path
    folder: Path
    modules: Path


@dataclass(frozen=True)
class Export:
    """Write the trained model as a `.keras` file and its outputs for the rows of an array."""

    recipe: Recipe
    data: Path
    weights: Path
    rows: Path
    model: Path
    outputs: Path
    modules: Path


@dataclass(frozen=True)
class Epoch:
    """Sent while a trial runs: epochs so far and their last logs."""

    key: str
    number: int
    logs: Mapping[str, float]


@dataclass(frozen=True)
class Done:
    """Sent when a request is carried out; `error` is a `GristmillError.record` or a text."""

    key: str
    error: Any = None


def serve(channel: connection.Connection, threads: int) -> None:
    """Answers requests until the channel closes; ends at once when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    bench = Bench()
    while True:
        try:
            request = channel.recv()
        except EOFError:
            return
        key = request.key if isinstance(request, Train) else "export"
        try:
            if isinstance(request, Train):
                bench.train(request, lambda n, logs, key=key: channel.send(Epoch(key, n, logs)))
            else:
                bench.export(request)
            channel.send(Done(key))
        except GristmillError as error:
            channel.send(Done(key, error.record()))
        except Exception as error:  # whatever a model raises fails its trial, not the search
            text = "".join(traceback.format_exception_only(error)).strip()
            channel.send(Done(key, text[:2000]))


class Bench:
    """What a worker keeps between requests: the arrays, and the traced programs."""

    def __init__(self) -> None:
        self._programs: OrderedDict[str, Any] = OrderedDict()
        self._arrays: dict[Path, dict[str, Any]] = {}

    def train(self, request: Train, note: Any) -> None:
        """Runs one trial; see `run_trial`."""
        from pipelines.training.trial import run_trial

        program = self._program(request)
        if not len(self._data(request.data)["x_validation"]):
            program = Unvalidated(program)
        request.folder.mkdir(parents=True, exist_ok=True)
        run_trial(request.key, request.recipe, program, request.folder, note)

    def export(self, request: Export) -> None:
        """Writes `.keras` file and outputs, (n_rows, n_outputs) float32 `.npy`."""
        import numpy as np
        import tensorflow as tf

        from pipelines.training.trial import set_weights

        model = self._model(request)
        set_weights(model, request.weights)
        with writing(request.model) as aside:
            whole = aside.with_suffix(".keras")
            model.save(whole)
            whole.replace(aside)
        rows = np.load(request.rows, mmap_mode="r")
        outputs = predict(tf.function(model), rows)
        with writing(request.outputs) as aside, aside.open("wb") as file:
            np.save(file, outputs)

    def _program(self, request: Train) -> Any:
        from pipelines.training.loop import Program
        from pipelines.training.model import class_weights, targets

        name = architecture(request.recipe, request.data)
        twin = self._model(request)
        if name in self._programs:
            self._programs.move_to_end(name)
            program = self._programs[name]
            program.reset(twin)
            return program
        data, task = self._data(request.data), request.recipe.task
        training, validation = (
            (data[f"x_{role}"], targets(data[f"y_{role}"], twin, task))
            for role in ("training", "validation")
        )
        classes = data["statistics"]["classes"] or ()
        weights = class_weights(request.recipe, classes, data["y_training"])
        weighted = training if weights is None else (*training, weights)
        program = self._programs[name] = Program(twin, weighted, validation)
        if len(self._programs) > PROGRAMS:
            self._programs.popitem(last=False)
        return program

    def _model(self, request: Train | Export) -> Any:
        from pipelines.training.model import build_model

        data = self._data(request.data)
        statistics = data["statistics"]
        shape, outputs = data["x_training"].shape[1:], len(statistics["classes"] or [0])
        embedded = statistics["embedded"]
        return build_model(request.recipe, shape, outputs, request.modules, embedded)

    def _data(self, folder: Path) -> dict[str, Any]:
        if folder not in self._arrays:
            import numpy as np

            found = {file.stem: np.load(file, mmap_mode="r") for file in folder.glob("*.npy")}
            self._arrays[folder] = found | {
                "statistics": json.loads((folder / "statistics.json").read_text(encoding="utf-8"))
            }
        return self._arrays[folder]


class Unvalidated:
    """A program without validation rows: its epochs tell of the training rows alone."""

    def __init__(self, program: Any) -> None:
        self._program = program
        self.model = program.model

    def epoch(self, seed: int, number: int, batch_size: int) -> dict[str, float]:
        """The program's epoch; what it says of no rows is left out."""
        logs = self._program.epoch(seed, number, batch_size)
        return {name: value for name, value in logs.items() if not name.startswith("val_")}


def architecture(recipe: Recipe, data: Path) -> str:
    """Text that is equal for recipes that one traced program can serve.

    The learning rate is a variable of the optimizer unless it is a schedule; the batch size is an
    input; early stopping, seed and epochs are outside of the graph.
    """
    training = recipe.training
    optimizer = {
        name: {k: v for k, v in arguments.items() if k != "learning_rate" or isinstance(v, dict)}
        for name, arguments in training.optimizer.items()
    }
    parts = [
        recipe.model.model_dump(),
        optimizer,
        training.loss,
        training.class_weight,
        recipe.fit_metrics,
        str(data),
    ]
    return json.dumps(parts, sort_keys=True)


def predict(call: Any, rows: Any, batch: int = 1024) -> Any:
    """The outputs for all rows, (n_rows, n_outputs) float32, in batches of one shape.

    The last batch is filled up, for a batch of another size may differ in the last bit.
    """
    import numpy as np

    made = []
    for start in range(0, len(rows), batch):
        part = np.asarray(rows[start : start + batch], dtype=np.float32)
        filled = np.concatenate([part, np.zeros((batch - len(part), *part.shape[1:]), np.float32)])
        made.append(np.asarray(call(filled, training=False))[: len(part)])
    return np.concatenate(made)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(9)
