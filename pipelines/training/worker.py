"""The process that trains and predicts: the only place where TensorFlow lives in a run."""

from __future__ import annotations

import os
import signal
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import Any

from pipelines.config import GristmillError, Recipe, writing


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
    from pipelines.training.programs import use_threads

    use_threads(threads)
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
    """Where requests are carried out; what it keeps between them changes no result."""

    def __init__(self) -> None:
        from pipelines.training.programs import Programs

        self.programs = Programs()

    def train(self, request: Train, note: Any) -> None:
        """Runs one trial; see `run_trial`."""
        from pipelines.training.trial import run_trial

        begun = time.monotonic()
        program = self.programs.program(request.recipe, request.data, request.modules)
        request.folder.mkdir(parents=True, exist_ok=True)
        run_trial(request.key, request.recipe, program, request.folder, note, begun)

    def export(self, request: Export) -> None:
        """Writes `.keras` file and outputs, (n_rows, n_outputs) float32 `.npy`."""
        import numpy as np
        import tensorflow as tf

        from pipelines.training.trial import set_weights

        model = self.programs.model(request.recipe, request.data, request.modules)
        set_weights(model, request.weights)
        with writing(request.model) as aside:
            whole = aside.with_suffix(".keras")
            model.save(whole)
            whole.replace(aside)
        rows = np.load(request.rows, mmap_mode="r")
        outputs = predict(tf.function(model, autograph=False), rows)
        with writing(request.outputs) as aside, aside.open("wb") as file:
            np.save(file, outputs)


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
