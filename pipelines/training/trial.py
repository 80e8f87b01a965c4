"""Train one trial, from its first epoch to its best weights; a crashed trial is resumed."""

from __future__ import annotations

import json
import math
import time
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.base import read_json, write_json, writing
from gristmill.pipelines.config import Recipe

if TYPE_CHECKING:
    import keras

    from gristmill.pipelines.config import EarlyStopping, ReduceLROnPlateau, Training
    from gristmill.pipelines.training.loop import FitProgram, Program

History = dict[str, list[float]]

Callbacks = dict[str, Any]
"""Keras's callbacks by their names in the experiment file."""

REMEMBERED = {
    "early_stopping": ("wait", "best", "best_epoch", "stopped_epoch"),
    "reduce_lr_on_plateau": ("wait", "best", "cooldown_counter"),
}
"""Attributes that hold the state of Keras's callbacks between epochs, besides the best weights."""

UNREADABLE = (
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error),  # a torn or damaged file
    *(NotImplementedError, RuntimeError),  # a damaged entry: unknown compression, a password
    *(ValueError, KeyError, TypeError),  # a file of another program
)
"""Errors raised by reading a state file that is damaged or of another kind."""

SAVE_EVERY = 2.0
"""Seconds between saved states; a crash loses at most the work since the last one."""

SAVE_SHARE = 0.05
"""Largest share of the time spent on saving; large models are therefore saved less often."""

LEARNING_RATE = "learning_rate"
"""Name in the history of the learning rate at the end of each epoch, if it changes."""

LOST = "its process ended"
"""Beginning of the error of a trial whose worker process ended."""

HIGHER_IS_BETTER = (
    *("accuracy", "auc", "correlation", "iou", "precision", "recall", "score", "sensitivity"),
    *("similarity", "specificity", "true"),
)
"""Words in the names of metrics for which higher is better; all others are losses or errors."""

STATE = "state.npz"
"""The file in a trial's folder from which an interrupted trial is resumed."""


@dataclass(frozen=True)
class TrialResult:
    """The result of a trial.

    Attributes:
        key: key of the trial.
        status: `finished`, or `failed` with `error`.
        epochs: number of epochs run.
        budget: number of epochs allowed.
        stopped_early: whether early stopping ended it.
        best_epoch: the epoch whose weights were kept, from 0.
        history: each metric's values by epoch, and the learning rate's if it changes.
        scores: each metric at `best_epoch`.
        weights: number of parameters of the model.
        seconds: time of training including tracing, summed over resumed parts.
        started: seconds since 1970.
        error: why it failed; else empty.
        loop: `fused`, or `fit: ` and why the epoch is not one graph; empty for an estimator, which
            has no epochs.
        note: a remark for the user, for example that the fit did not converge.
    """

    key: str
    status: str
    epochs: int
    budget: int
    stopped_early: bool = False
    best_epoch: int = 0
    history: History = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    weights: int = 0
    seconds: float = 0.0
    started: float = 0.0
    error: str = ""
    loop: str = "fused"
    note: str = ""

    @property
    def lost(self) -> bool:
        """Whether its process was lost, for example out of memory; the next run trains it again."""
        return self.status == "failed" and self.error.startswith(LOST)

    def satisfies(self, budget: int) -> bool:
        """Whether training with this budget would give the same result.

        Examples:
            >>> stopped = TrialResult("k", "finished", epochs=7, budget=20, stopped_early=True)
            >>> stopped.satisfies(30), stopped.satisfies(5)
            (True, False)
        """
        if self.status != "finished":
            return False
        return self.budget == budget or (self.stopped_early and self.epochs <= budget)


@dataclass
class TrialState:
    """The state of a trial between two epochs, besides weights and callbacks.

    Attributes:
        epoch: number of epochs run.
        seconds: time spent by earlier processes.
        started: seconds since 1970.
        history: each metric's values by epoch.
        stopped: whether early stopping has ended it.
        warning: a remark for the user on an unreadable saved state; else empty.
    """

    epoch: int = 0
    seconds: float = 0.0
    started: float = field(default_factory=time.time)
    history: History = field(default_factory=dict)
    stopped: bool = False
    warning: str = ""


def run_trial(
    key: str,
    recipe: Recipe,
    program: Program | FitProgram,
    folder: Path,
    note: Callable[[int, Mapping[str, float]], None],
    begun: float | None = None,
) -> TrialResult:
    """Train until early stopping or the budget ends it.

    Args:
        key: key of the trial.
        recipe: resolved settings of the trial.
        program: program with the trial's fresh weights.
        folder: output folder, for `state.npz` during training, `weights.npz` and `result.json` at
            the end.
        note: called with the number, from 1, and the logs of each epoch.
        begun: `time.monotonic` when work on the trial began; now if None.
    """
    run = _Run(recipe.training, program, folder, time.monotonic() if begun is None else begun)
    state, error = run.state, run.train(note)
    if not error:
        program.finish()
        for callback in run.watching.values():
            callback.on_train_end()
    stopping = run.watching.get("early_stopping")
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
        weights=int(program.model.count_params()),
        seconds=run.seconds,
        started=state.started,
        error=error,
        loop=program.loop,
        note=state.warning,
    )
    if not error:
        weights = {f"arr_{i}": weight for i, weight in enumerate(program.model.weights)}
        write_npz(folder / "weights.npz", weights)
    write_json(folder / "result.json", asdict(result))
    return result


class _Run:
    """A running trial: its program, its state and its callbacks."""

    def __init__(
        self, training: Training, program: Program | FitProgram, folder: Path, begun: float
    ) -> None:
        self._training, self._program, self._begun = training, program, begun
        self._file = folder / STATE
        self.watching = self._callbacks()
        self.state = self._load()

    @property
    def seconds(self) -> float:
        """Seconds spent on the trial, including those of earlier processes."""
        return self.state.seconds + time.monotonic() - self._begun

    def train(self, note: Callable[[int, Mapping[str, float]], None]) -> str:
        """Train from the present state to the end; return the error, or an empty text."""
        training, state, model = self._training, self.state, self._program.model
        due = time.monotonic() + SAVE_EVERY
        while state.epoch < training.epochs and not state.stopped:
            logs = self._program.epoch(training.seed, state.epoch, training.batch_size)
            if not all(map(math.isfinite, logs.values())):
                wrong = ", ".join(name for name, value in logs.items() if not math.isfinite(value))
                return f"diverged in epoch {state.epoch + 1}: {wrong} is not a finite number"
            if training.schedule is not None or training.reduce_lr_on_plateau is not None:
                logs[LEARNING_RATE] = float(model.optimizer.learning_rate)
            for name, value in logs.items():
                state.history.setdefault(name, []).append(value)
            model.stop_training = False
            for callback in self.watching.values():
                callback.on_epoch_end(state.epoch, dict(logs))
            state.stopped = bool(model.stop_training)
            state.epoch += 1
            note(state.epoch, logs)
            now = time.monotonic()
            if self._program.resumable and (now > due or state.epoch == training.epochs):
                self._save()
                took = time.monotonic() - now
                due = now + took + max(SAVE_EVERY, took / SAVE_SHARE)
        return ""

    def _callbacks(self) -> Callbacks:
        """Return the Keras callbacks that the experiment file asks for, by its names."""
        import keras

        training = self._training
        watching: Callbacks = {}
        if training.early_stopping is not None:
            asked = _watched(training.early_stopping)
            watching["early_stopping"] = keras.callbacks.EarlyStopping(**asked)
        if training.reduce_lr_on_plateau is not None:
            asked = _watched(training.reduce_lr_on_plateau)
            if not self._program.validates:  # training on all folds: there is only the loss
                asked["monitor"] = asked["monitor"].removeprefix("val_")
            watching["reduce_lr_on_plateau"] = keras.callbacks.ReduceLROnPlateau(**asked)
        for callback in watching.values():
            callback.set_model(self._program.model)
            callback.on_train_begin()
        return watching

    def _save(self) -> None:
        """Write everything that the next epoch depends on."""
        remembered = {
            name: {part: _plain(getattr(callback, part)) for part in REMEMBERED[name]}
            for name, callback in self.watching.items()
        }
        about = {**asdict(self.state), "seconds": self.seconds, "callbacks": remembered}
        arrays = {"about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)}
        arrays |= {f"variable {i}": each for i, each in enumerate(self._program.variables)}
        best = getattr(self.watching.get("early_stopping"), "best_weights", None) or ()
        arrays |= {f"best {i}": value for i, value in enumerate(best)}
        write_npz(self._file, arrays)

    def _load(self) -> TrialState:
        """Restore the saved state; start afresh if there is none, or none within the budget."""
        variables = self._program.variables
        if not self._program.resumable or not self._file.is_file():
            return TrialState()
        try:
            with self._file.open("rb") as opened, np.load(opened, allow_pickle=False) as saved:
                arrays = {name: saved[name] for name in saved.files}
            about = json.loads(arrays.pop("about").tobytes())
            values = [arrays[f"variable {i}"] for i in range(len(variables))]
            if [value.shape for value in values] != [tuple(v.shape) for v in variables]:
                raise ValueError("it belongs to another model")
            remembered = about.pop("callbacks")
            state = TrialState(**about)
            callbacks = [(each, remembered[name]) for name, each in self.watching.items()]
        except UNREADABLE as error:
            warning = f"started again, because its saved state cannot be read: {error!r:.100}"
            return TrialState(warning=warning)
        if state.epoch > self._training.epochs:
            return TrialState()
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        for callback, parts in callbacks:
            for part, value in parts.items():
                setattr(callback, part, value)
        best = [arrays[f"best {i}"] for i in range(sum(name[:5] == "best " for name in arrays))]
        if best:
            self.watching["early_stopping"].best_weights = best
        return state


def _watched(asked: EarlyStopping | ReduceLROnPlateau) -> dict[str, Any]:
    """Return the arguments of a callback; Keras knows the direction of only some metrics."""
    mode = asked.mode
    if mode == "auto":
        mode = "max" if more_is_better(asked.monitor) else "min"
    return {**asked.model_dump(), "mode": mode}


def write_npz(file: Path, arrays: Mapping[str, npt.NDArray[Any] | keras.Variable]) -> None:
    """Write like `numpy.savez`, but with one array at a time in memory."""
    with writing(file) as aside, zipfile.ZipFile(aside, "w") as out:
        for name, value in arrays.items():
            with out.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, _storable(value), allow_pickle=False)


def _plain(value: float | None) -> float | None:
    return value if value is None or isinstance(value, int) else float(value)


def _storable(value: npt.NDArray[Any] | keras.Variable) -> npt.NDArray[Any]:
    """Return an array that `.npy` can store: bfloat16 becomes float32, which is exact."""
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def read_result(folder: Path) -> TrialResult | None:
    """Read the result of a finished or failed trial from its folder; None if unreadable."""
    try:
        return TrialResult(**read_json(folder / "result.json"))
    except (OSError, ValueError, TypeError):
        return None


def set_weights(model: Any, file: Path) -> None:
    """Load the final weights of a trial into a model."""
    with np.load(file, allow_pickle=False) as saved:
        model.set_weights([saved[name] for name in saved.files])


def more_is_better(metric: str) -> bool:
    """Return whether higher is better for a metric that Keras computes."""
    return any(word in metric.lower() for word in HIGHER_IS_BETTER)
