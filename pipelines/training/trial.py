"""One trial from its first epoch to its restored weights, in steps that survive a crash."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.config import Recipe, read_json, write_json, writing

SAVE_EVERY = 2.0
"""Seconds between saved states: what a crash may cost."""

History = dict[str, list[float]]


@dataclass(frozen=True)
class TrialResult:
    """What a trial came to.

    Attributes:
        key: of the trial.
        status: `finished`, or `failed` with `error`.
        epochs: how many were run.
        budget: how many it was allowed.
        stopped_early: whether early stopping ended it.
        best_epoch: from 0, the one whose weights were kept.
        history: each metric's value by epoch.
        scores: each metric at `best_epoch`.
        weights: number of trained values.
        seconds: in training, tracing included; a resumed trial's parts added.
        started: seconds since 1970.
    """

    key: str
    status: str
    epochs: int
    budget: int
    stopped_early: bool
    best_epoch: int
    history: History
    scores: Mapping[str, float]
    weights: int
    seconds: float
    started: float
    error: str = ""

    def satisfies(self, budget: int) -> bool:
        """Whether a run with this budget would have come to the same end."""
        if self.status != "finished":
            return False
        return self.budget == budget or (self.stopped_early and self.epochs <= budget)


@dataclass
class _State:
    epoch: int = 0
    seconds: float = 0.0
    started: float = field(default_factory=time.time)
    history: History = field(default_factory=dict)
    stopped: bool = False


def run_trial(
    key: str,
    recipe: Recipe,
    program: Any,
    folder: Path,
    note: Callable[[int, Mapping[str, float]], None],
) -> TrialResult:
    """Trains until early stopping or the budget ends it.

    Args:
        key: of the trial.
        recipe: what to train.
        program: reset to the trial's fresh weights.
        folder: for `state.npz` while it runs, `weights.npz` and `result.json` when it ends.
        note: told each epoch's number and logs.
    """
    import keras

    training, model = recipe.training, program.model
    stopping = None
    if training.early_stopping is not None:
        stopping = keras.callbacks.EarlyStopping(**training.early_stopping.model_dump(), verbose=0)
        stopping.set_model(model)
        stopping.on_train_begin()
    state = _load(folder / "state.npz", model, stopping, training.epochs)
    begun = saved = time.monotonic()
    error = ""
    while state.epoch < training.epochs and not state.stopped:
        logs = program.epoch(training.seed, state.epoch, training.batch_size)
        if not all(map(math.isfinite, logs.values())):
            wrong = ", ".join(name for name, value in logs.items() if not math.isfinite(value))
            error = f"diverged in epoch {state.epoch + 1}: {wrong} is not a finite number"
            break
        for name, value in logs.items():
            state.history.setdefault(name, []).append(value)
        if stopping is not None:
            model.stop_training = False
            stopping.on_epoch_end(state.epoch, logs)
            state.stopped = bool(model.stop_training)
        state.epoch += 1
        note(state.epoch, logs)
        now = time.monotonic()
        if now - saved > SAVE_EVERY or state.epoch == training.epochs:
            _save(folder / "state.npz", model, stopping, state, now - begun)
            saved = now
    if stopping is not None and not error:
        stopping.on_train_end()
    restored = stopping is not None and stopping.restore_best_weights and stopping.best_weights
    best = stopping.best_epoch if stopping is not None and restored else state.epoch - 1
    result = TrialResult(
        key=key,
        status="failed" if error else "finished",
        epochs=state.epoch,
        budget=training.epochs,
        stopped_early=state.stopped,
        best_epoch=max(best, 0),
        history=state.history,
        scores={} if error else {name: values[best] for name, values in state.history.items()},
        weights=int(model.count_params()),
        seconds=state.seconds + time.monotonic() - begun,
        started=state.started,
        error=error,
    )
    if not error:
        with writing(folder / "weights.npz") as aside, aside.open("wb") as file:
            np.savez(file, *[np.asarray(value) for value in model.get_weights()])
    write_json(folder / "result.json", asdict(result))
    return result


def read_result(folder: Path) -> TrialResult | None:
    """The result that a finished or failed trial left in its folder."""
    file = folder / "result.json"
    return TrialResult(**read_json(file)) if file.is_file() else None


def set_weights(model: Any, file: Path) -> None:
    """Gives a model the weights that a trial ended with."""
    with np.load(file, allow_pickle=False) as saved:
        model.set_weights([saved[name] for name in saved.files])


def _save(file: Path, model: Any, stopping: Any, state: _State, seconds: float) -> None:
    about = {
        "epoch": state.epoch,
        "seconds": state.seconds + seconds,
        "started": state.started,
        "history": state.history,
        "stopped": state.stopped,
    }
    arrays = {f"model {i}": np.asarray(v) for i, v in enumerate(model.variables)}
    arrays |= {f"optimizer {i}": np.asarray(v) for i, v in enumerate(model.optimizer.variables)}
    if stopping is not None:
        best = None if stopping.best is None else float(stopping.best)
        about["stopping"] = {"wait": stopping.wait, "best": best, "best_epoch": stopping.best_epoch}
        for i, value in enumerate(stopping.best_weights or ()):
            arrays[f"best {i}"] = np.asarray(value)
    text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
    with writing(file) as aside, aside.open("wb") as out:
        np.savez(out, **{"about": text, **arrays})  # type: ignore[arg-type]


def _load(file: Path, model: Any, stopping: Any, budget: int) -> _State:
    """The saved state of an earlier run, or the start when there is none that fits."""
    if not file.is_file():
        return _State()
    with np.load(file, allow_pickle=False) as saved:
        about = json.loads(saved["about"].tobytes())
        if about["epoch"] > budget:
            return _State()
        for i, variable in enumerate(model.variables):
            variable.assign(saved[f"model {i}"])
        for i, variable in enumerate(model.optimizer.variables):
            variable.assign(saved[f"optimizer {i}"])
        if stopping is not None:
            kept = about["stopping"]
            stopping.wait, stopping.best_epoch = kept["wait"], kept["best_epoch"]
            stopping.best = kept["best"]
            names = [name for name in saved.files if name.startswith("best ")]
            stopping.best_weights = [saved[f"best {i}"] for i in range(len(names))] or None
    return _State(
        about["epoch"], about["seconds"], about["started"], about["history"], about["stopped"]
    )
