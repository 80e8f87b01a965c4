"""Some test pictures with the truth and the answer: the surest mistakes first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet
from matplotlib.figure import Figure

from pipelines.evaluation.plots import legible, save
from pipelines.evaluation.predictions import Predictions

COLUMNS, ROWS = 8, 4
AT_A_TIME = 256
"""Pictures that are held."""

RIGHT, WRONG = "#009E73", "#D55E00"


@legible()
def gallery(file: Path, rows: Path, predictions: Predictions, picture: Mapping[str, Any]) -> None:
    """Draws pictures of the test rows.

    Half of them at most are mistakes, those first of which the model was surest; for a number the
    largest errors. The others are spread evenly over the test rows.

    Args:
        file: PNG to write.
        rows: Parquet of the test rows.
        predictions: of the same rows, in the same order.
        picture: name, height, width and channels, as in the statistics.
    """
    chosen = chosen_rows(predictions)
    figure = Figure(figsize=(1.5 * COLUMNS, 1.9 * -(-len(chosen) // COLUMNS)), layout="constrained")
    shape = [picture[side] for side in ("height", "width", "channels")]
    pixels = dict(_pixels(rows, picture["name"], {*chosen}))
    for place, row in enumerate(chosen):
        axes = figure.add_subplot(-(-len(chosen) // COLUMNS), COLUMNS, place + 1)
        shown = np.frombuffer(pixels[row], np.uint8).reshape(shape)
        axes.imshow(shown[..., 0] if shape[2] == 1 else shown, cmap="gray", vmin=0, vmax=255)
        words, right = _words(predictions, row)
        axes.set_title(words, fontsize=8, color=RIGHT if right else WRONG)
        axes.set_axis_off()
    figure.suptitle("Test pictures: the answer, and the truth where it is another", fontsize=11)
    save(figure, file)


def chosen_rows(predictions: Predictions) -> list[int]:
    """Places of the rows that are drawn."""
    wrong = _mistakes(predictions)[: COLUMNS * ROWS // 2]
    others = np.setdiff1d(np.arange(len(predictions.truth)), wrong)
    rest = min(COLUMNS * ROWS - len(wrong), len(others))
    spread = others[np.linspace(0, len(others) - 1, rest).astype(int)] if rest else others[:0]
    return [*wrong.tolist(), *spread.tolist()]


def _mistakes(predictions: Predictions) -> npt.NDArray[np.int64]:
    if predictions.classes is None:
        return np.argsort(-np.abs(predictions.outputs - predictions.truth), kind="stable")
    answers = predictions.outputs.argmax(axis=1)
    sure = predictions.outputs.max(axis=1)
    wrong = np.flatnonzero(answers != predictions.truth)
    return wrong[np.argsort(-sure[wrong], kind="stable")]


def _words(predictions: Predictions, row: int) -> tuple[str, bool]:
    truth, output = predictions.truth[row], predictions.outputs[row]
    if predictions.classes is None:
        return f"{output:.4g}, not {truth:.4g}", True
    answer = int(output.argmax())
    words = f"{_cut(predictions.classes[answer])} {output[answer]:.0%}"
    right = bool(answer == truth)
    return (words if right else f"{words}\nnot {_cut(predictions.classes[truth])}"), right


def _cut(name: str) -> str:
    return name if len(name) <= 16 else name[:15] + "…"


def _pixels(rows: Path, name: str, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
    first = 0
    with pyarrow.parquet.ParquetFile(rows) as file:
        for batch in file.iter_batches(batch_size=AT_A_TIME, columns=[name]):
            for place in wanted & {*range(first, first + batch.num_rows)}:
                yield place, batch.column(0)[place - first].as_py()
            first += batch.num_rows
