"""What is asked of workers, and what they report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from gristmill.pipelines.base import EnvironmentFault, GristmillError
from gristmill.pipelines.config import Recipe

Failure = dict[str, Any] | str | None
"""What went wrong: a `GristmillError.record`, or a text."""


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
        error: what went wrong.
        seconds: that the worker spent on it.
        tracing: those of them in which it built the model and traced it.
        returned: what the function of a `Call` returned.
    """

    key: str
    error: Failure = None
    seconds: float = 0.0
    tracing: float = 0.0
    returned: Any = None


def raise_error(done: Done) -> None:
    """Raise what a worker reported, if anything."""
    if isinstance(done.error, dict):
        raise GristmillError.from_record(done.error)
    if done.error is not None:
        raise EnvironmentFault("a worker process failed", found=str(done.error))
