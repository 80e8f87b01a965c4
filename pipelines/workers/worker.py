"""The process that trains and predicts: the only place where TensorFlow lives in a run."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import connection, parent_process
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet

from gristmill.pipelines.base import EnvironmentFault, GristmillError, writing
from gristmill.pipelines.config import Recipe

if TYPE_CHECKING:
    from gristmill.pipelines.training import Programs

PAUSE = 0.25
"""Seconds between two messages about a trial's epochs; a message tells of all since the last."""


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
    """Write the trained model as a file, and its outputs for the rows of an array.

    The file is a `.keras` one; of an estimator it is the weights' own, `.npz`. Where `maps` is
    given, the feature maps of the first row go there, if the model makes such.
    """

    key: ClassVar = "export"
    recipe: Recipe
    data: Path
    weights: Path
    model: Path
    modules: Path
    rows: Path | None = None
    outputs: Path | None = None
    maps: Path | None = None


@dataclass(frozen=True)
class Call:
    """Call a function of this project; what it takes and returns must be picklable."""

    key: ClassVar = "call"
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


Request = Train | Export | Call


@dataclass(frozen=True)
class Epoch:
    """Sent while a trial runs: epochs so far, and the logs of those since the last message."""

    key: str
    number: int
    new: tuple[Mapping[str, float], ...]

    @property
    def logs(self) -> Mapping[str, float]:
        """Of the last epoch."""
        return self.new[-1]


@dataclass(frozen=True)
class Done:
    """Sent when a request is carried out.

    Attributes:
        error: a `GristmillError.record` or a text.
        seconds: that the worker spent on it.
        tracing: those of them in which it built the model and traced it.
        returned: what the function of a `Call` returned.
    """

    key: str
    error: Any = None
    seconds: float = 0.0
    tracing: float = 0.0
    returned: Any = None


def raise_error(done: Done) -> None:
    """Raise what a worker reported, if anything."""
    if isinstance(done.error, dict):
        raise GristmillError.from_record(done.error)
    if done.error is not None:
        raise EnvironmentFault("a worker process failed", found=str(done.error))


def serve(channel: connection.Connection, threads: int) -> None:
    """Answers requests until the channel closes; ends at once when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    gc.freeze()
    gc.enable()
    bench = Bench(threads)
    while True:
        try:
            request = channel.recv()
        except EOFError:
            return
        channel.send(carry_out(bench, request, channel.send))


def carry_out(bench: Bench, request: Request, tell: Callable[[Epoch], object]) -> Done:
    """Does what a request asks for, whatever comes of it.

    Args:
        bench: what is kept between requests.
        request: what to do.
        tell: takes the messages about a trial's epochs.
    """
    if isinstance(request, Export):
        return Done(request.key, _failure(lambda: bench.export(request)))
    if isinstance(request, Call):
        returned: list[Any] = []
        error = _failure(lambda: returned.append(request.function(*request.arguments)))
        return Done(request.key, error, returned=returned[0] if returned else None)
    meter = Meter(request.key, tell)
    error = _failure(lambda: bench.train(request, meter.note, meter.built))
    return Done(request.key, error, time.monotonic() - meter.began, meter.tracing)


def _failure(work: Callable[[], None]) -> Any:
    try:
        work()
    except GristmillError as error:
        return error.record()
    except Exception as error:  # whatever a model raises fails its trial, not the search
        return "".join(traceback.format_exception_only(error)).strip()[:2000]
    return None


class Meter:
    """Tells of a trial's epochs, not more often than the parent has use for, and takes its time.

    Attributes:
        began: by the monotonic clock.
    """

    def __init__(self, key: str, tell: Callable[[Epoch], object]) -> None:
        self._key, self._tell = key, tell
        self.began = self._last = time.monotonic()
        self._building = self._first = self._later = 0.0
        self._epochs, self._fresh = 0, False
        self._told = 0.0
        self._new: list[Mapping[str, float]] = []

    def built(self, fresh: bool) -> None:
        """The program is there; `fresh` when its first epoch will trace it."""
        self._fresh, self._building = fresh, self._since_last()

    def note(self, number: int, logs: Mapping[str, float]) -> None:
        """An epoch has ended."""
        seconds = self._since_last()
        self._epochs += 1
        if self._epochs == 1:
            self._first = seconds
        else:
            self._later += seconds
        self._new.append(logs)
        if self._last - self._told >= PAUSE:
            self._tell(Epoch(self._key, number, tuple(self._new)))
            self._told = self._last
            self._new.clear()

    @property
    def tracing(self) -> float:
        """Seconds of building, and those by which the first epoch of a fresh program was longer.

        A single epoch cannot be told apart, and counts as training.
        """
        if not self._fresh or self._epochs < 2:
            return self._building
        return self._building + max(self._first - self._later / (self._epochs - 1), 0.0)

    def _since_last(self) -> float:
        now = time.monotonic()
        seconds, self._last = now - self._last, now
        return seconds


class Bench:
    """Where requests are carried out; what it keeps between them changes no result.

    TensorFlow is imported with the first request that needs it.

    Args:
        threads: that it computes with; one, and for TensorFlow its own choice, if left out.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._used: WeakSet[Any] = WeakSet()

    @cached_property
    def programs(self) -> Programs:
        """What is kept for Keras's models."""
        from gristmill.pipelines.training import Programs, use_threads

        if self._threads is not None:
            use_threads(self._threads)
        return Programs()

    def train(
        self, request: Train, note: Any, built: Callable[[bool], object] = lambda fresh: None
    ) -> None:
        """Runs one trial; see `run_trial`.

        Args:
            request: the trial.
            note: told each epoch's number and logs.
            built: told when the program is ready, and whether no trial has used it yet.
        """
        from gristmill.pipelines.training import run_trial

        if request.recipe.model.library == "sklearn":
            from gristmill.pipelines.training import train_estimator

            request.folder.mkdir(parents=True, exist_ok=True)
            threads = self._threads or 1
            train_estimator(request.key, request.recipe, request.data, request.folder, threads)
            return
        begun = time.monotonic()
        program = self.programs.program(request.recipe, request.data, request.modules)
        built(program not in self._used)
        self._used.add(program)
        request.folder.mkdir(parents=True, exist_ok=True)
        run_trial(request.key, request.recipe, program, request.folder, note, begun)

    def export(self, request: Export) -> None:
        """Writes the model's file and, if asked for, the outputs: (n_rows, n_outputs) `.npy`."""
        if request.recipe.model.library == "sklearn":
            _export_arrays(request, self._threads or 1)
            return
        import numpy as np
        import tensorflow as tf

        from gristmill.pipelines.training import set_weights

        model = self.programs.model(request.recipe, request.data, request.modules)
        set_weights(model, request.weights)
        with writing(request.model) as aside:
            whole = aside.with_suffix(".keras")
            model.save(whole)
            whole.replace(aside)
        if request.rows is None or request.outputs is None:
            return
        rows = np.load(request.rows, mmap_mode="r")
        scaling = self.programs.scaling(request.data)
        outputs = predict(tf.function(model, autograph=False), rows, scaling)
        with writing(request.outputs) as aside, aside.open("wb") as file:
            np.save(file, outputs)
        if request.maps is not None and len(rows):
            from gristmill.pipelines.training import write_maps

            picture = np.asarray(rows[:1], dtype=np.float32)
            if scaling:
                picture = (picture - scaling[0]) * scaling[1]
            write_maps(request.maps, model, picture)


def _export_arrays(request: Export, threads: int) -> None:
    import numpy as np
    from threadpoolctl import threadpool_limits

    from gristmill.pipelines.preparation import scaled
    from gristmill.pipelines.training import predictor

    with writing(request.model) as aside:
        shutil.copyfile(request.weights, aside)
    if request.rows is None or request.outputs is None:
        return
    statistics = json.loads((request.data / "statistics.json").read_text(encoding="utf-8"))
    with threadpool_limits(limits=threads):
        model, rows = predictor.load(request.model), np.load(request.rows, mmap_mode="r")
        outputs = predictor.predict(model, scaled(rows, statistics))
    with writing(request.outputs) as aside, aside.open("wb") as file:
        np.save(file, outputs)


def predict(call: Any, rows: Any, scaling: tuple[Any, ...] = ()) -> Any:
    """The outputs for all rows, (n_rows, n_outputs) float32, in batches of one shape.

    The last batch is filled up, for a batch of another size may differ in the last bit.

    Args:
        call: the model.
        rows: as they are stored.
        scaling: of pixels; see `scaling_of`.
    """
    import numpy as np

    from gristmill.pipelines.training import ready, rows_together

    made = []
    batch = rows_together(rows.shape[1:])
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        filled = np.zeros((batch, *part.shape[1:]), part.dtype)
        filled[: len(part)] = part
        made.append(np.asarray(call(*ready([filled], scaling), training=False))[: len(part)])
    return np.concatenate(made)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(9)
