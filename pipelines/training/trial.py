"""One trial from its first epoch to its restored weights, in steps that survive a crash."""

from __future__ import annotations

import json
import math
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gristmill.pipelines.base import read_json, write_json, writing
from gristmill.pipelines.config import Recipe
from gristmill.pipelines.training.objective import more_is_better

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


@dataclass
class _State:
    epoch: int = 0
    seconds: float = 0.0
    started: float = field(default_factory=time.time)
    history: History = field(default_factory=dict)
    stopped: bool = False


STATE = tuple(part.name for part in fields(_State))


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
    training, model = recipe.training, program.model
    watching = _callbacks(recipe, program)
    stopping = watching.get("early_stopping")
    begun = time.monotonic() if begun is None else begun
    state = _load(folder / "state.npz", program, watching, training.epochs)
    due = time.monotonic() + SAVE_EVERY
    error = ""
    while state.epoch < training.epochs and not state.stopped:
        logs = program.epoch(training.seed, state.epoch, training.batch_size)
        if not all(map(math.isfinite, logs.values())):
            wrong = ", ".join(name for name, value in logs.items() if not math.isfinite(value))
            error = f"diverged in epoch {state.epoch + 1}: {wrong} is not a finite number"
            break
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
            _save(folder / "state.npz", program, watching, state, now - begun)
            took = time.monotonic() - now
            due = now + took + max(SAVE_EVERY, took / SAVE_SHARE)
    if not error:
        program.finish()
        for callback in watching.values():
            callback.on_train_end()
    restored = stopping is not None and stopping.restore_best_weights and stopping.best_weights
    best = stopping.best_epoch if stopping is not None and restored else state.epoch - 1
    metrics = {name: values for name, values in state.history.items() if name != LEARNING_RATE}
    result = TrialResult(
        key=key,
        status="failed" if error else "finished",
        epochs=state.epoch,
        budget=training.epochs,
        stopped_early=state.stopped,
        best_epoch=max(best, 0),
        history=state.history,
        scores={} if error else {name: values[best] for name, values in metrics.items()},
        weights=int(model.count_params()),
        seconds=state.seconds + time.monotonic() - begun,
        started=state.started,
        error=error,
        loop=program.loop,
    )
    if not error:
        weights = {f"arr_{i}": weight for i, weight in enumerate(model.weights)}
        _write_npz(folder / "weights.npz", weights)
    write_json(folder / "result.json", asdict(result))
    return result


def _callbacks(recipe: Recipe, program: Program | FitProgram) -> dict[str, Any]:
    """Keras's own callbacks that the experiment file asks for, by its names."""
    import keras

    training, watching = recipe.training, {}
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


REMEMBERED = {
    "early_stopping": ("wait", "best", "best_epoch", "stopped_epoch"),
    "reduce_lr_on_plateau": ("wait", "best", "cooldown_counter"),
}
"""What Keras's callbacks know at the end of an epoch, besides the best weights."""


def _save(
    file: Path, program: Any, watching: Mapping[str, Any], state: _State, seconds: float
) -> None:
    about = {
        "epoch": state.epoch,
        "seconds": state.seconds + seconds,
        "started": state.started,
        "history": state.history,
        "stopped": state.stopped,
        "callbacks": {
            name: {part: _plain(getattr(callback, part)) for part in REMEMBERED[name]}
            for name, callback in watching.items()
        },
    }
    arrays = {"about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)}
    arrays |= {f"variable {i}": variable for i, variable in enumerate(program.variables)}
    best = getattr(watching.get("early_stopping"), "best_weights", None) or ()
    arrays |= {f"best {i}": value for i, value in enumerate(best)}
    _write_npz(file, arrays)


def _write_npz(file: Path, arrays: Mapping[str, Any]) -> None:
    """As `numpy.savez` writes it, but with one array at a time in memory."""
    with writing(file) as aside, zipfile.ZipFile(aside, "w") as out:
        for name, value in arrays.items():
            with out.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, _storable(value), allow_pickle=False)


def _load(file: Path, program: Any, watching: Mapping[str, Any], budget: int) -> _State:
    """The saved state of an earlier run, or the start when there is none that fits."""
    if not program.resumable or not file.is_file():
        return _State()
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
        about = json.loads(arrays.pop("about").tobytes())
        values = [arrays[f"variable {i}"] for i in range(len(program.variables))]
        remembered = {name: about["callbacks"][name] for name in watching}
        state = _State(*(about[part] for part in STATE))
    except Exception:  # half-written or spoilt, in whatever way: the trial starts again
        return _State()
    if state.epoch > budget:
        return _State()
    for variable, value in zip(program.variables, values, strict=True):
        variable.assign(value)
    for name, callback in watching.items():
        for part, value in remembered[name].items():
            setattr(callback, part, value)
    best = [arrays[f"best {i}"] for i in range(sum(name[:5] == "best " for name in arrays))]
    if best:
        watching["early_stopping"].best_weights = best
    return state


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, int) else float(value)


def _storable(value: Any) -> Any:
    """An array that `.npy` has a type for: bfloat16 becomes float32, which holds it exactly."""
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "V" else array
