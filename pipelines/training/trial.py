"""One trial from its first epoch to its restored weights, in steps that survive a crash."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gristmill.pipelines.base import read_json, write_json
from gristmill.pipelines.config import Recipe
from gristmill.pipelines.training.objective import more_is_better
from gristmill.pipelines.training.trial_state import (
    Callbacks,
    History,
    TrialState,
    load_state,
    save_state,
    write_npz,
)

if TYPE_CHECKING:
    from gristmill.pipelines.config import EarlyStopping, ReduceLROnPlateau
    from gristmill.pipelines.training.loop import FitProgram, Program

SAVE_EVERY = 2.0
"""Seconds between saved states: what a crash may cost."""

SAVE_SHARE = 0.05
"""Of the time, how much saving may take: the states of large models are saved less often."""

LEARNING_RATE = "learning_rate"
"""What the history calls the learning rate at the end of each epoch, where it changes."""

LOST = "its process ended"
"""How the error of a trial begins whose worker ended under it."""

STATE = "state.npz"
"""The file in a trial's folder from which an interrupted one goes on."""


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
        history: each metric's value by epoch; the learning rate, too, where it changes.
        scores: each metric at `best_epoch`.
        weights: number of trained values.
        seconds: in training, tracing included; a resumed trial's parts added.
        started: seconds since 1970.
        loop: `fused`, or `fit: ` and why the model could not be trained in one graph an epoch;
            empty for an estimator, which knows no epochs: it counts as one.
        note: a word on it for people, such as that it did not converge.
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
    loop: str = "fused"
    note: str = ""

    @property
    def lost(self) -> bool:
        """Whether its process ended under it, as for want of memory: the next run tries again."""
        return self.status == "failed" and self.error.startswith(LOST)

    def satisfies(self, budget: int) -> bool:
        """Whether a run with this budget would have come to the same end."""
        if self.status != "finished":
            return False
        return self.budget == budget or (self.stopped_early and self.epochs <= budget)


def run_trial(
    key: str,
    recipe: Recipe,
    program: Program | FitProgram,
    folder: Path,
    note: Callable[[int, Mapping[str, float]], None],
    begun: float | None = None,
) -> TrialResult:
    """Trains until early stopping or the budget ends it.

    Args:
        key: of the trial.
        recipe: what to train.
        program: reset to the trial's fresh weights.
        folder: for `state.npz` while it runs, `weights.npz` and `result.json` when it ends.
        note: told each epoch's number and logs.
        begun: when the work on it began, by `time.monotonic`; now if it is left out.
    """
    begun = time.monotonic() if begun is None else begun
    model, watching = program.model, _callbacks(recipe, program)
    state = load_state(folder / STATE, program, watching, recipe.training.epochs)

    def save() -> None:
        save_state(folder / STATE, program, watching, state, time.monotonic() - begun)

    error = _train_epochs(recipe, program, watching, state, note, save)
    if not error:
        program.finish()
        for callback in watching.values():
            callback.on_train_end()
    stopping = watching.get("early_stopping")
    restored = stopping is not None and stopping.restore_best_weights and stopping.best_weights
    best = stopping.best_epoch if stopping is not None and restored else state.epoch - 1
    metrics = {name: values for name, values in state.history.items() if name != LEARNING_RATE}
    result = TrialResult(
        key=key,
        status="failed" if error else "finished",
        epochs=state.epoch,
        budget=recipe.training.epochs,
        stopped_early=state.stopped,
        best_epoch=max(best, 0),
        history=state.history,
        scores={} if error else {name: values[best] for name, values in metrics.items()},
        weights=int(model.count_params()),
        seconds=state.seconds + time.monotonic() - begun,
        started=state.started,
        error=error,
        loop=program.loop,
        note=state.warning,
    )
    if not error:
        weights = {f"arr_{i}": weight for i, weight in enumerate(model.weights)}
        write_npz(folder / "weights.npz", weights)
    write_json(folder / "result.json", asdict(result))
    return result


def _train_epochs(
    recipe: Recipe,
    program: Program | FitProgram,
    watching: Callbacks,
    state: TrialState,
    note: Callable[[int, Mapping[str, float]], None],
    save: Callable[[], None],
) -> str:
    """Train from where `state` is to the end; return what went wrong, or an empty text."""
    training, model = recipe.training, program.model
    due = time.monotonic() + SAVE_EVERY
    while state.epoch < training.epochs and not state.stopped:
        logs = program.epoch(training.seed, state.epoch, training.batch_size)
        if not all(map(math.isfinite, logs.values())):
            wrong = ", ".join(name for name, value in logs.items() if not math.isfinite(value))
            return f"diverged in epoch {state.epoch + 1}: {wrong} is not a finite number"
        if training.schedule is not None or training.reduce_lr_on_plateau is not None:
            logs[LEARNING_RATE] = float(model.optimizer.learning_rate)
        for name, value in logs.items():
            state.history.setdefault(name, []).append(value)
        model.stop_training = False
        for callback in watching.values():
            callback.on_epoch_end(state.epoch, dict(logs))
        state.stopped = bool(model.stop_training)
        state.epoch += 1
        note(state.epoch, logs)
        now = time.monotonic()
        if program.resumable and (now > due or state.epoch == training.epochs):
            save()
            took = time.monotonic() - now
            due = now + took + max(SAVE_EVERY, took / SAVE_SHARE)
    return ""


def _callbacks(recipe: Recipe, program: Program | FitProgram) -> Callbacks:
    """Keras's own callbacks that the experiment file asks for, by its names."""
    import keras

    training = recipe.training
    watching: Callbacks = {}
    if training.early_stopping is not None:
        asked = _watched(training.early_stopping)
        watching["early_stopping"] = keras.callbacks.EarlyStopping(**asked)
    if training.reduce_lr_on_plateau is not None:
        asked = _watched(training.reduce_lr_on_plateau)
        if not program.validates:  # the rows of all folds train: theirs is the only loss
            asked["monitor"] = asked["monitor"].removeprefix("val_")
        watching["reduce_lr_on_plateau"] = keras.callbacks.ReduceLROnPlateau(**asked)
    for callback in watching.values():
        callback.set_model(program.model)
        callback.on_train_begin()
    return watching


def _watched(asked: EarlyStopping | ReduceLROnPlateau) -> dict[str, Any]:
    """The arguments of a callback; Keras itself knows the better end of some metrics only."""
    mode = asked.mode
    if mode == "auto":
        mode = "max" if more_is_better(asked.monitor) else "min"
    return {**asked.model_dump(), "mode": mode}


def read_result(folder: Path) -> TrialResult | None:
    """The result that a finished or failed trial left in its folder; None for an unreadable one."""
    try:
        return TrialResult(**read_json(folder / "result.json"))
    except (OSError, ValueError, TypeError):
        return None


def set_weights(model: Any, file: Path) -> None:
    """Gives a model the weights that a trial ended with."""
    with np.load(file, allow_pickle=False) as saved:
        model.set_weights([saved[name] for name in saved.files])
