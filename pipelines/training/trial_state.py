"""Where a trial is after an epoch, as a file from which another process goes on."""

from __future__ import annotations

import json
import time
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.base import writing

if TYPE_CHECKING:
    import keras

    from gristmill.pipelines.training.loop import FitProgram, Program

History = dict[str, list[float]]

Callbacks = dict[str, Any]
"""Keras's callbacks, by the experiment file's names for them."""

REMEMBERED = {
    "early_stopping": ("wait", "best", "best_epoch", "stopped_epoch"),
    "reduce_lr_on_plateau": ("wait", "best", "cooldown_counter"),
}
"""What Keras's callbacks know at the end of an epoch, besides the best weights."""

UNREADABLE = (
    *(OSError, EOFError, zipfile.BadZipFile, zlib.error),  # a torn or damaged file
    *(NotImplementedError, RuntimeError),  # a damaged entry: unknown compression, a password
    *(ValueError, KeyError, TypeError),  # a file that something else wrote
)
"""What reading a file raises that is no whole state."""


@dataclass
class TrialState:
    """What is known of a trial between two epochs, besides weights and callbacks.

    Attributes:
        epoch: how many were run.
        seconds: spent on them by earlier processes.
        started: seconds since 1970.
        history: each metric's value by epoch.
        stopped: whether early stopping has ended it.
        warning: what a person should know of how it began.
    """

    epoch: int = 0
    seconds: float = 0.0
    started: float = field(default_factory=time.time)
    history: History = field(default_factory=dict)
    stopped: bool = False
    warning: str = ""


def save_state(
    file: Path,
    program: Program | FitProgram,
    watching: Callbacks,
    state: TrialState,
    seconds: float,
) -> None:
    """Write all that the next epoch depends on.

    Args:
        file: `.npz`.
        program: whose variables are kept.
        watching: whose memory is kept.
        state: after an epoch.
        seconds: that this process has spent on the trial.
    """
    remembered = {
        name: {part: _plain(getattr(callback, part)) for part in REMEMBERED[name]}
        for name, callback in watching.items()
    }
    about = {**asdict(state), "seconds": state.seconds + seconds, "callbacks": remembered}
    arrays = {"about": np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)}
    arrays |= {f"variable {i}": variable for i, variable in enumerate(program.variables)}
    best = getattr(watching.get("early_stopping"), "best_weights", None) or ()
    arrays |= {f"best {i}": value for i, value in enumerate(best)}
    write_npz(file, arrays)


def load_state(
    file: Path, program: Program | FitProgram, watching: Callbacks, budget: int
) -> TrialState:
    """Go on from a saved state; from the start where there is none, or none within the budget."""
    if not program.resumable or not file.is_file():
        return TrialState()
    try:
        with file.open("rb") as opened, np.load(opened, allow_pickle=False) as saved:
            arrays = {name: saved[name] for name in saved.files}
        about = json.loads(arrays.pop("about").tobytes())
        values = [arrays[f"variable {i}"] for i in range(len(program.variables))]
        if [value.shape for value in values] != [tuple(v.shape) for v in program.variables]:
            raise ValueError("it is another model's")
        remembered = about.pop("callbacks")
        state = TrialState(**about)
        callbacks = [(callback, remembered[name]) for name, callback in watching.items()]
    except UNREADABLE as error:
        return TrialState(warning=f"its saved state cannot be read, it began again: {error!r:.100}")
    if state.epoch > budget:
        return TrialState()
    for variable, value in zip(program.variables, values, strict=True):
        variable.assign(value)
    for callback, parts in callbacks:
        for part, value in parts.items():
            setattr(callback, part, value)
    best = [arrays[f"best {i}"] for i in range(sum(name[:5] == "best " for name in arrays))]
    if best:
        watching["early_stopping"].best_weights = best
    return state


def write_npz(file: Path, arrays: Mapping[str, npt.NDArray[Any] | keras.Variable]) -> None:
    """Write as `numpy.savez` does, but with one array at a time in memory."""
    with writing(file) as aside, zipfile.ZipFile(aside, "w") as out:
        for name, value in arrays.items():
            with out.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, _storable(value), allow_pickle=False)


def _plain(value: float | None) -> float | None:
    return value if value is None or isinstance(value, int) else float(value)


def _storable(value: npt.NDArray[Any] | keras.Variable) -> npt.NDArray[Any]:
    """An array that `.npy` has a type for: bfloat16 becomes float32, which holds it exactly."""
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype.kind == "V" else array
