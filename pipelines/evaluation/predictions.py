"""Predictions of test rows, as they are stored and compared: labels and shares, row by row."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gristmill.pipelines.base import writing
from gristmill.pipelines.evaluation.labels import Array, Given, Labels, Threshold
from gristmill.pipelines.preparation import answers
from gristmill.pipelines.tables import Flags, Hashes

PREFIX = "probability_"


@dataclass(frozen=True)
class Predictions:
    """What a model said of rows.

    Attributes:
        identity: (n_rows,) uint64, what makes a row the same row in another version of the data.
        truth: (n_rows,) places in `classes`, or values.
        outputs: (n_rows, k) probabilities, or (n_rows,) values.
        classes: labels as text, None for regression.
        twin: (n_rows,) bool, whether a training row has the very same features; None if none has.
        threshold: by which one of two classes is called; None for the most probable one.
    """

    identity: Hashes
    truth: Array
    outputs: Any
    classes: tuple[str, ...] | None
    twin: Flags | None = None
    threshold: Threshold | None = None

    @property
    def labels(self) -> Labels:
        """How the outputs are read."""
        return Labels(self.classes or (), self.threshold)

    @property
    def given(self) -> Given:
        """The outputs, and how they are read."""
        return Given(self.outputs, self.labels)

    @property
    def answers(self) -> Array:
        """(n_rows,) places in `classes`, or values."""
        return np.asarray(self.outputs) if self.classes is None else self.labels.of(self.outputs)

    @property
    def sure(self) -> Array:
        """(n_rows,) probabilities of the classes that the answers are."""
        return np.asarray(self.outputs[np.arange(len(self.outputs)), self.answers])

    @property
    def digest(self) -> str:
        """Of the rows and their truth, in any order: 32 hexadecimal digits, one for a test set."""
        order = np.lexsort((self.truth, self.identity))
        made = hashlib.sha256(repr(self.classes).encode())
        made.update(np.ascontiguousarray(self.identity[order]).tobytes())
        made.update(np.ascontiguousarray(self.truth[order], dtype="float64").tobytes())
        return made.hexdigest()[:32]

    def rows(self, keep: Array | slice) -> Predictions:
        """Some rows, by a mask or by places."""
        return replace(
            self,
            identity=self.identity[keep],
            truth=self.truth[keep],
            outputs=self.outputs[keep],
            twin=None if self.twin is None else self.twin[keep],
        )

    def unseen(self) -> Predictions:
        """The rows that tell how good a model is: those that were not seen in training."""
        return self if self.twin is None else self.rows(~self.twin)


def probability_columns(frame: pd.DataFrame) -> list[str]:
    """The columns that hold a class's probability, in the order of the classes."""
    return [str(name) for name in frame.columns if str(name).startswith(PREFIX)]


def from_outputs(
    outputs: Array, truth: Array, identity: Hashes, statistics: dict[str, Any]
) -> Predictions:
    """From what the model gave for the test arrays."""
    given, classes = _outputs(answers(outputs, statistics))
    truth = np.asarray(truth, dtype="float64" if classes is None else None)
    return Predictions(identity, truth, given, classes)


def from_answers(frame: pd.DataFrame, like: Predictions) -> Predictions:
    """From what a package answered for the rows of other predictions.

    Raises:
        ValueError: the package knows other classes.
    """
    if like.classes is None:
        return replace(like, outputs=frame["prediction"].to_numpy("float64"))
    wanted = [PREFIX + name for name in like.classes]
    found = probability_columns(frame)
    if set(found) != set(wanted):
        raise ValueError(
            "it has different classes: " + ", ".join(name.removeprefix(PREFIX) for name in found)
        )
    return replace(like, outputs=frame[wanted].to_numpy("float64"))


def write_predictions(file: Path, predictions: Predictions) -> None:
    """One Parquet file: identity, truth, twin, and a column for each class or the prediction."""
    table: dict[str, Any] = {"identity": predictions.identity, "truth": predictions.truth}
    if predictions.twin is not None:
        table["twin"] = predictions.twin
    if predictions.classes is None:
        table["prediction"] = predictions.outputs
    else:
        names = (PREFIX + name for name in predictions.classes)
        table |= dict(zip(names, predictions.outputs.T, strict=True))
    frame = pd.DataFrame(table)
    if predictions.threshold is not None:
        frame.attrs["threshold"] = asdict(predictions.threshold)
    with writing(file) as aside:
        frame.to_parquet(aside, index=False)


def read_predictions(file: Path) -> Predictions:
    """What `write_predictions` wrote."""
    frame = pd.read_parquet(file)
    identity, truth = frame["identity"].to_numpy(), frame["truth"].to_numpy()
    twin = frame["twin"].to_numpy() if "twin" in frame else None
    kept = frame.attrs.get("threshold")
    threshold = Threshold(**kept) if kept else None
    return Predictions(identity, truth, *_outputs(frame), twin, threshold)


def _outputs(frame: pd.DataFrame) -> tuple[Array, tuple[str, ...] | None]:
    """(n_rows, k) probabilities and the classes that they are of; or values, and None."""
    columns = probability_columns(frame)
    if not columns:
        return frame["prediction"].to_numpy(), None
    return frame[columns].to_numpy(), tuple(name.removeprefix(PREFIX) for name in columns)
