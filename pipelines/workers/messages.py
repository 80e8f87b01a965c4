"""Requests to workers, and their reports."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from gristmill.pipelines.base import EnvironmentFault, GristmillError
from gristmill.pipelines.config import Recipe

Failure = dict[str, Any] | str | None
"""A failure: a `GristmillError.record`, or a text."""


@dataclass(frozen=True)
class Train:
    """Request to train one trial.

    Attributes:
        key: key of the trial.
        recipe: resolved settings of the trial.
        data: folder of the training and validation arrays.
        folder: output folder.
        modules: folder of a builder's module.
    """

    key: str
    recipe: Recipe
    data: Path
    folder: Path
    modules: Path


@dataclass(frozen=True)
class Export:
    """Request to write a trained model as a file, and its outputs for the rows of an array.

    Attributes:
        recipe: resolved settings of the trial.
        data: folder of the training and validation arrays.
        weights: `weights.npz` of the trial.
        model: file to write: `.keras`, or a copy of `weights` for an estimator.
        modules: folder of a builder's module.
        rows: `.npy` file of the rows to predict; None for no predictions.
        outputs: `.npy` file to write the predictions to.
        maps: `.npz` file to write the feature maps of the first row to, if the model has any.
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
    """Request to call a function of this project; arguments and result must be picklable."""

    key: ClassVar = "call"
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


Request = Train | Export | Call


@dataclass(frozen=True)
class Epoch:
    """Report of a running trial: the epochs so far, and the logs of those since the last report."""

    key: str
    number: int
    new: tuple[Mapping[str, float], ...]

    @property
    def logs(self) -> Mapping[str, float]:
        """Logs of the last epoch."""
        return self.new[-1]


@dataclass(frozen=True)
class Done:
    """Report of a completed request.

    Attributes:
        key: key of the request.
        error: the failure; None if there was none.
        seconds: time that the worker spent on it.
        tracing: part of `seconds` spent on building and tracing the model.
        returned: result of the function of a `Call`.
    """

    key: str
    error: Failure = None
    seconds: float = 0.0
    tracing: float = 0.0
    returned: Any = None


def raise_error(done: Done) -> None:
    """Raise the error that a worker reported, if any."""
    if isinstance(done.error, dict):
        raise GristmillError.from_record(done.error)
    if done.error is not None:
        raise EnvironmentFault("a worker process failed", found=str(done.error))
