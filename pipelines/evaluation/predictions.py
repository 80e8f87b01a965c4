"""Predictions of test rows, as stored and compared: labels and probabilities by row."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gristmill.pipelines.base import writing
from gristmill.pipelines.evaluation.labels import Array, Given, Labels, Threshold
from gristmill.pipelines.preparation import answers, class_places
from gristmill.pipelines.tables import Flags, Hashes

PREFIX = "probability_"


@dataclass(frozen=True)
class Predictions:
    """Predictions of a model for rows.

    Attributes:
        identity: (n_rows,) uint64 hashes that identify a row across versions of the data.
        truth: (n_rows,) positions in `classes`, or values.
        outputs: (n_rows, k) probabilities, or (n_rows,) values.
        classes: Class names, None for regression.
        twin: (n_rows,) bool, whether a training row has the same features; None if none has.
        threshold: Decision threshold of two classes; None for the most probable class.
    """

    identity: Hashes
    truth: Array
    outputs: Any
    classes: tuple[str, ...] | None
    twin: Flags | None = None
    threshold: Threshold | None = None

    @property
    def labels(self) -> Labels:
        """The rules that turn the outputs into labels."""
        return Labels(self.classes or (), self.threshold)

    @property
    def given(self) -> Given:
        """The outputs with their label rules."""
        return Given(self.outputs, self.labels)

    @property
    def answers(self) -> Array:
        """Predicted values, (n_rows,): positions in `classes`, or numbers."""
        return np.asarray(self.outputs) if self.classes is None else self.labels.of(self.outputs)

    @property
    def sure(self) -> Array:
        """Probabilities of the predicted classes, (n_rows,)."""
        return np.asarray(self.outputs[np.arange(len(self.outputs)), self.answers])

    @property
    def digest(self) -> str:
        """Digest of the rows and their truth, whatever their order: 32 hexadecimal digits."""
        order = np.lexsort((self.truth, self.identity))
        made = hashlib.sha256(repr(self.classes).encode())
        made.update(np.ascontiguousarray(self.identity[order]).tobytes())
        made.update(np.ascontiguousarray(self.truth[order], dtype="float64").tobytes())
        return made.hexdigest()[:32]

    def rows(self, keep: Array | slice) -> Predictions:
        """Select rows by a mask or by positions."""
        return replace(
            self,
            identity=self.identity[keep],
            truth=self.truth[keep],
            outputs=self.outputs[keep],
            twin=None if self.twin is None else self.twin[keep],
        )

    def unseen(self) -> Predictions:
        """Select the rows that were not seen in training, which metrics use."""
        return self if self.twin is None else self.rows(~self.twin)


def probability_columns(frame: pd.DataFrame) -> list[str]:
    """Return the columns of probabilities, in the order of the classes."""
    return [str(name) for name in frame.columns if str(name).startswith(PREFIX)]


def from_outputs(
    outputs: Array, truth: Array, identity: Hashes, statistics: dict[str, Any]
) -> Predictions:
    """Return predictions from a model's outputs.

    Args:
        outputs: (n_rows, k) probabilities, or (n_rows, 1) scaled values.
        truth: (n_rows,) true classes as positions, or values.
        identity: (n_rows,) uint64 hashes of the rows.
        statistics: Statistics of the training rows: classes, or the scale of the target.
    """
    given, classes = _outputs(answers(outputs, statistics))
    truth = np.asarray(truth, dtype="float64" if classes is None else None)
    return Predictions(identity, truth, given, classes)


def from_answers(frame: pd.DataFrame, like: Predictions) -> Predictions:
    """Return predictions from a package's table for the rows of other predictions.

    Raises:
        ValueError: The package has different classes.
    """
    if like.classes is None:
        return replace(like, outputs=frame["prediction"].to_numpy("float64"))
    columns = probability_columns(frame)
    found = [name.removeprefix(PREFIX) for name in columns]
    places = class_places(found, like.classes)
    if sorted(places) != list(range(len(like.classes))):
        raise ValueError("it has different classes: " + ", ".join(found))
    wanted = [columns[place] for place in np.argsort(places)]
    return replace(like, outputs=frame[wanted].to_numpy("float64"))


def write_predictions(file: Path, predictions: Predictions) -> None:
    """Write a Parquet file: identity, truth, twin, and a column per class or the prediction."""
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
    """Read a file of `write_predictions`."""
    frame = pd.read_parquet(file)
    identity, truth = frame["identity"].to_numpy(), frame["truth"].to_numpy()
    twin = frame["twin"].to_numpy() if "twin" in frame else None
    kept = frame.attrs.get("threshold")
    threshold = Threshold(**kept) if kept else None
    return Predictions(identity, truth, *_outputs(frame), twin, threshold)


def _outputs(frame: pd.DataFrame) -> tuple[Array, tuple[str, ...] | None]:
    """Return (n_rows, k) probabilities and their classes; or values and None."""
    columns = probability_columns(frame)
    if not columns:
        return frame["prediction"].to_numpy(), None
    return frame[columns].to_numpy(), tuple(name.removeprefix(PREFIX) for name in columns)
