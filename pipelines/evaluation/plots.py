"""Pictures of a run: learning curves, confusion matrix, residuals."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipelines.config import writing
from pipelines.evaluation.metrics import confusion
from pipelines.evaluation.predictions import Predictions

DOTS_PER_INCH = 110
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, which colour-blind readers tell apart."""

LETTERS = (
    *("DejaVu Sans", "Noto Sans CJK KR", "Noto Sans CJK JP", "Noto Sans KR", "NanumGothic"),
    *("NanumBarunGothic", "Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic", "UnDotum"),
    *("Hiragino Sans", "Yu Gothic", "PingFang SC", "Microsoft YaHei", "WenQuanYi Zen Hei"),
    *("Noto Sans", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari"),
    *("Noto Sans Thai", "Arial Unicode MS"),
)
"""Fonts for names in any script: a letter is drawn with the first one that has it."""

MOST_CURVES = 7
MOST_CELLS = 20


@contextmanager
def legible() -> Iterator[None]:
    """Letters of any script, as far as this machine has fonts; a box for others needs no words."""
    with matplotlib.rc_context({"font.family": _fonts()}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


@cache
def _fonts() -> list[str]:
    """Those of `LETTERS` that are here, also where matplotlib's own list is older than a font."""
    manager = font_manager.fontManager
    listed = {font.fname for font in manager.ttflist}
    for file in font_manager.findSystemFonts():
        if file not in listed:
            with suppress(RuntimeError, OSError):  # a kind that matplotlib does not draw
                manager.addfont(file)
    known = {font.name for font in manager.ttflist}
    return [name for name in LETTERS if name in known]


@legible()
def learning_curves(
    file: Path, histories: Mapping[str, Mapping[str, Sequence[float]]], objective: str
) -> None:
    """The loss and the objective by epoch: training dashed, validation solid, a colour a trial.

    Args:
        file: PNG to write.
        histories: each trial's history by its name, the best first.
    """
    bare = objective.removeprefix("val_")
    shown = ["loss", *([bare] if bare != "loss" else [])]
    figure = Figure(figsize=(5 * len(shown) + 1, 4), layout="constrained")
    for place, metric in enumerate(shown):
        axes = figure.add_subplot(1, len(shown), place + 1)
        for colour, (name, history) in zip(
            COLOURS, list(histories.items())[:MOST_CURVES], strict=False
        ):
            for key, style, label in ((metric, "--", None), (f"val_{metric}", "-", name)):
                values = history.get(key, ())
                axes.plot(
                    range(1, len(values) + 1), values, style, color=colour, label=label, lw=1.4
                )
        axes.set_xlabel("epoch")
        axes.set_ylabel(metric.replace("_", " "))
        if metric == "loss":
            axes.set_yscale("log")
        _clean(axes)
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle("Learning curves: validation solid, training dashed", fontsize=11)
    save(figure, file)


@legible()
def confusion_matrix(file: Path, predictions: Predictions) -> None:
    """Counts by true and predicted class, shaded by the share of the true class."""
    classes = predictions.classes or ()
    table = confusion(predictions.truth, predictions.outputs)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    side = min(12.0, 2.5 + 0.45 * len(classes))
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= MOST_CELLS:
        for row, column in np.ndindex(*table.shape):
            if table[row, column]:
                dark = shares[row, column] > 0.5
                axes.text(
                    column, row, f"{table[row, column]:,}", ha="center", va="center",
                    color="white" if dark else "black", fontsize=9,
                )  # fmt: skip
    axes.set_xticks(range(len(classes)), classes, rotation=0 if len(classes) <= 10 else 90)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(f"{len(predictions.truth):,} test rows", fontsize=11)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    save(figure, file)


@legible()
def residuals(file: Path, predictions: Predictions, target: str) -> None:
    """Predicted against true values, and the errors' distribution."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    truth, given = predictions.truth, predictions.outputs
    ends = [float(min(truth.min(), given.min())), float(max(truth.max(), given.max()))]
    left.plot(ends, ends, color="#999999", lw=1)
    left.scatter(truth, given, s=14, color=COLOURS[0], alpha=0.7, linewidths=0)
    left.set_xlabel(f"true {target}")
    left.set_ylabel(f"predicted {target}")
    right.hist(given - truth, bins=30, color=COLOURS[0])
    right.axvline(0, color="#999999", lw=1)
    right.set_xlabel("predicted − true")
    right.set_ylabel("test rows")
    for axes in (left, right):
        _clean(axes)
    save(figure, file)


def _clean(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def save(figure: Figure, file: Path) -> None:
    """Writes a figure as PNG, whole or not at all; equal figures give equal bytes."""
    with writing(file) as aside:
        options: dict[str, Any] = {
            "format": "png",
            "dpi": DOTS_PER_INCH,
            "metadata": {"Software": None},
        }
        figure.savefig(aside, **options)
