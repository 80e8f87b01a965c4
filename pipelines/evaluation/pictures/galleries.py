"""Plots of some test rows with prediction and truth, most confident mistakes first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
from matplotlib.figure import Figure

from gristmill.pipelines.base import writing
from gristmill.pipelines.evaluation.pictures.plots import WIDTH, legible, save, shortened
from gristmill.pipelines.evaluation.predictions import Predictions
from gristmill.pipelines.tables import Places, TableRows

COLUMNS, ROWS = 6, 5
AT_A_TIME = 256
"""Number of pictures held in memory."""

RIGHT, WRONG, HEADING = "#00704F", "#B34700", "#0072B2"

LONGEST = 16
LINE, LETTER = 0.2, 0.066
"""Height of a row and width of a character in a table, in inches."""


@legible()
def gallery(file: Path, rows: Path, predictions: Predictions, picture: Mapping[str, Any]) -> None:
    """Plot pictures of test rows.

    At most half of them are mistakes, the most confident ones first, or for numbers the largest
    errors. The others are spread evenly over the test rows.

    Args:
        file: PNG to write.
        rows: Parquet of the test rows.
        predictions: predictions of the same rows, in the same order.
        picture: name, height, width and channels from the training statistics.
    """
    chosen = chosen_rows(predictions)
    lines = -(-len(chosen) // COLUMNS)
    height, width, channels = (picture[side] for side in ("height", "width", "channels"))
    each = min(1.6, WIDTH / COLUMNS * height / width) + 0.4
    figure = Figure(figsize=(WIDTH, each * lines + 0.3), layout="constrained")
    pixels = _pixels(rows, picture["name"], chosen)
    for place, row in enumerate(chosen):
        axes = figure.add_subplot(lines, COLUMNS, place + 1)
        shown = np.frombuffer(pixels[row], np.uint8).reshape(height, width, channels)
        axes.imshow(shown[..., 0] if channels == 1 else shown, cmap="gray", vmin=0, vmax=255)
        answer, truth, right = _words(predictions, row)
        alone = right and predictions.classes is not None
        words = answer if alone else f"{answer}\nnot {truth}"
        axes.set_title(words, fontsize=8, color=RIGHT if right else WRONG)
        axes.set_axis_off()
    figure.suptitle(_title(predictions), fontsize=11)
    save(figure, file)


@legible()
def table_gallery(file: Path, rows: Path, predictions: Predictions, target: str) -> None:
    """Plot rows of a table, chosen as in `gallery`, and write them with all columns as CSV.

    The plot shows as many columns as fit, without those that are constant in these rows.

    Args:
        file: PNG to write.
        rows: Parquet of the test rows.
        predictions: predictions of the same rows, in the same order.
        target: name of the target column.
    """
    chosen = chosen_rows(predictions)
    raw = pa.parquet.read_table(rows).take(chosen).to_pandas().reset_index(drop=True)
    words = [_words(predictions, row) for row in chosen]
    given, true, rights = zip(*words, strict=True) if words else ((), (), ())
    answers = pd.DataFrame({"row": chosen, "answer": given, "truth": true})
    features = raw.drop(columns=target, errors="ignore")
    with writing(file.with_suffix(".csv")) as aside:
        features = features[[name for name in features if name not in answers]]
        answers.join(features).to_csv(aside, index=False)
    varied = [name for name in features if features[name].nunique(dropna=False) > 1]
    cells = [_column(str(name), answers[name]) for name in answers]
    room = WIDTH / LETTER - sum(map(_letters, cells))
    for name in varied:
        column = _column(str(name), features[name])
        room -= _letters(column)
        if room < 0:
            break
        cells.append(column)
    figure = Figure(figsize=(WIDTH, LINE * (len(chosen) + 3)))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(len(chosen) + 2.5, -0.5))
    axes.set_axis_off()
    hidden = f"; {features.shape[1] - len(cells) + 3} more columns in {file.stem}.csv"
    hidden = hidden if features.shape[1] > len(cells) - 3 else ""
    axes.text(0.1, 0.2, _title(predictions) + hidden, fontsize=10, va="center")
    marks = [RIGHT if right else WRONG for right in rights]
    colours = [HEADING, *(["black"] * len(marks) if predictions.classes is None else marks)]
    left = 0.1
    for place, column in enumerate(cells):
        for line, (text, colour) in enumerate(zip(column, colours, strict=True)):
            axes.text(
                left, line + 1.5, text, fontsize=8, va="center",
                color=colour if place == 1 or not line else "black",
            )  # fmt: skip
        left += _letters(column) * LETTER
    axes.axhline(2, color="#999999", lw=0.8)
    save(figure, file)


def _column(name: str, values: pd.Series[Any]) -> list[str]:
    """Return the texts of a column in the table, its name first."""
    told = [f"{v:.5g}" if isinstance(v, float) else str(v) for v in values]
    told = [text.removesuffix(" 00:00:00") for text in told]
    return [shortened(" ".join(text.split()), LONGEST + 6) for text in (name, *told)]


def _letters(column: Sequence[str]) -> int:
    return max(map(len, column)) + 2


def _title(predictions: Predictions) -> str:
    if predictions.classes is None:
        return "Test rows, the largest errors first"
    rows, wrong = len(predictions.truth), len(_mistakes(predictions))
    return f"{rows:,} test rows, {wrong:,} of them wrong (most confident mistakes first)"


def chosen_rows(predictions: Predictions) -> list[int]:
    """Return the positions of the rows to plot."""
    wrong = _mistakes(predictions)[: COLUMNS * ROWS // 2]
    others = np.setdiff1d(np.arange(len(predictions.truth)), wrong)
    rest = min(COLUMNS * ROWS - len(wrong), len(others))
    spread = others[np.linspace(0, len(others) - 1, rest).astype(int)] if rest else others[:0]
    return [*wrong.tolist(), *spread.tolist()]


def _mistakes(predictions: Predictions) -> Places:
    if predictions.classes is None:
        return np.argsort(-np.abs(predictions.outputs - predictions.truth), kind="stable")
    wrong = np.flatnonzero(predictions.answers != predictions.truth)
    return wrong[np.argsort(-predictions.sure[wrong], kind="stable")]


def _words(predictions: Predictions, row: int) -> tuple[str, str, bool]:
    """Return prediction, truth, and whether they are equal; always true for numbers."""
    truth, output = predictions.truth[row], predictions.outputs[row]
    if predictions.classes is None:
        return f"{output:.4g}", f"{truth:.4g}", True
    answer = int(predictions.labels.of(output[None])[0])
    name, true = (shortened(predictions.classes[int(place)], LONGEST) for place in (answer, truth))
    return f"{name} ({output[answer]:.0%})", true, bool(answer == truth)


def _pixels(rows: Path, name: str, wanted: Sequence[int]) -> dict[int, bytes]:
    """Return the pixels of some rows by position; the file is read batch by batch."""
    every = TableRows(rows)
    kept = TableRows(rows, np.isin(np.arange(every.count), wanted))
    batches = kept.batches([name], size=AT_A_TIME)
    pixels = (value for batch in batches for value in batch.column(0).to_pylist())
    return dict(zip(sorted(wanted), pixels, strict=True))
