"""Plots of a run: learning curves, confusion matrix, residuals, feature maps."""

from __future__ import annotations

import math
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
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gristmill.pipelines.base import writing
from gristmill.pipelines.evaluation.metrics import confusion
from gristmill.pipelines.evaluation.predictions import Predictions

WIDTH = 8.0
"""Width in inches, about that of a printed page, so that text is printed in its nominal size."""

DOTS_PER_INCH = 150
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, which colour-blind readers can distinguish."""

LETTERS = (
    *("DejaVu Sans", "Noto Sans CJK KR", "Noto Sans CJK JP", "Noto Sans KR", "NanumGothic"),
    *("NanumBarunGothic", "Malgun Gothic", "Apple SD Gothic Neo", "AppleGothic", "UnDotum"),
    *("Hiragino Sans", "Yu Gothic", "PingFang SC", "Microsoft YaHei", "WenQuanYi Zen Hei"),
    *("Noto Sans", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari"),
    *("Noto Sans Thai", "Arial Unicode MS"),
)
"""Fonts for names in any script; each character uses the first font that contains it."""

MOST_CURVES = 7
MOST_CELLS = 20
"""Largest number of classes with counts in the matrix; above, a list shows the mistakes."""

MOST_LABELS = 50
LONGEST_LABEL = 20
MOST_CONFUSIONS = 20
TILES = 8
"""Number of feature maps of a layer in a row; at most two rows are shown."""


@contextmanager
def legible() -> Iterator[None]:
    """Use the installed fonts for any script; missing characters cause no warning."""
    with matplotlib.rc_context({"font.family": _fonts()}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        yield


@cache
def _fonts() -> list[str]:
    """Return the installed fonts of `LETTERS`, including those not in matplotlib's cached list."""
    manager = font_manager.fontManager
    listed = {font.fname for font in manager.ttflist}
    for file in font_manager.findSystemFonts():
        if file not in listed:
            with suppress(RuntimeError, OSError):  # a format that matplotlib does not support
                manager.addfont(file)
    known = {font.name for font in manager.ttflist}
    return [name for name in LETTERS if name in known]


def shortened(name: str, longest: int = LONGEST_LABEL) -> str:
    """Return a name that fits at an axis; a long one keeps its beginning and its end."""
    if len(name) <= longest:
        return name
    end = longest // 3
    return f"{name[: longest - 1 - end]}…{name[-end:]}"


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
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    first = list(histories.items())[:MOST_CURVES]
    for place, metric in enumerate(shown):
        axes = figure.add_subplot(1, len(shown), place + 1)
        most, least = 1, math.inf
        for colour, (name, history) in zip(COLOURS, first, strict=False):
            for key, style, label in (
                (metric, "--", None),
                (f"val_{metric}", "-", shortened(name, 2 * LONGEST_LABEL)),
            ):
                values = history.get(key, ())
                most, least = max(most, len(values)), min(least, *values, least)
                axes.plot(
                    *(range(1, len(values) + 1), values, style),
                    color=colour, label=label, lw=1.4,
                    marker="" if len(values) > 4 else "x" if style == "--" else "o",
                )  # fmt: skip
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_ylabel(metric.replace("_", " "))
        if metric == "loss" and least > 0:
            axes.set_yscale("log")
        clean(axes)
    hidden = len(histories) > len(first)
    rest = f"; the best {len(first)} of {len(histories)} trials" if hidden else ""
    figure.suptitle(f"Learning curves: validation solid, training dashed{rest}", fontsize=11)
    lines = figure.axes[0].get_legend_handles_labels()
    if len(first) > 1:
        figure.legend(*lines, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    save(figure, file)


@legible()
def confusion_matrix(file: Path, predictions: Predictions) -> None:
    """Plot counts by true and predicted class, shaded by the share of the true class.

    For more than 20 classes counts would be illegible: small shares get stronger shades, and a
    second plot shows the most frequent confusions.
    """
    classes = predictions.classes or ()
    table = confusion(predictions.truth, predictions.answers, len(classes))
    of_class = table.sum(axis=1)
    names = _told_apart(classes)
    many = len(names) > MOST_CELLS
    size = 9 if len(names) <= 12 else 7
    longest = max(map(len, names)) * size * 0.0085
    side = max(2.4, min(WIDTH - 1.8 - longest, 0.5 * len(names)))
    flat = side / len(names) > longest and not many
    if many:
        figure = Figure(figsize=(WIDTH * 1.5, WIDTH * 0.8), layout="constrained")
        axes, beside = figure.subplots(1, 2, width_ratios=[2, 1])
        _frequent_confusions(beside, table, names)
    else:
        below = 0.2 if flat else 0.75 * longest
        figure = Figure(figsize=(side + longest + 1.8, side + below + 0.9), layout="constrained")
        axes = figure.add_subplot()
    shares = table / np.maximum(of_class[:, None], 1)
    norm = PowerNorm(0.5 if many else 1.0, 0, 1)
    image = axes.imshow(shares, cmap="Blues", norm=norm)
    for row, column in zip(*table.nonzero(), strict=True) if not many else ():
        write_cell(axes, (row, column), f"{table[row, column]:,}", shares[row, column] > 0.5, 8)
    step = -(-len(names) // MOST_LABELS)
    places = range(0, len(names), step)
    turned: dict[str, Any] = {"rotation": 90 if many else 0}
    if not (flat or many):
        turned = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    axes.set_xticks(places, [names[i] for i in places], fontsize=size, **turned)
    told = [names[i] if of_class[i] else f"{names[i]} (no rows)" for i in places]
    axes.set_yticks(places, told, fontsize=size)
    axes.set(xlabel="predicted", ylabel="true")
    every = f", 1 class in {step} labelled" if step > 1 else ""
    axes.set_title(f"{len(predictions.truth):,} test rows{every}", fontsize=11)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.7)
    save(figure, file)


def _told_apart(classes: Sequence[str]) -> list[str]:
    """Return shortened names, prefixed with their index if two of them would be equal."""
    names = [shortened(name) for name in classes]
    if len({*names}) == len(names):
        return names
    return [f"{place}: {shortened(name, LONGEST_LABEL - 5)}" for place, name in enumerate(classes)]


def _frequent_confusions(axes: Axes, table: Any, names: Sequence[str]) -> None:
    wrong = table.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_CONFUSIONS]
    cells = [np.unravel_index(i, wrong.shape) for i in order if wrong.flat[i]]
    counts = [int(wrong[cell]) for cell in cells]
    axes.barh(range(len(cells)), counts, color=COLOURS[1], height=0.6)
    words = [f"{names[truth]} →\n{names[answer]}" for truth, answer in cells]
    axes.set_yticks(range(len(cells)), words, fontsize=7)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("test rows")
    axes.set_title("the most frequent mistakes", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


@legible()
def residuals(file: Path, predictions: Predictions, target: str) -> None:
    """Plot predicted against true values, errors by prediction, and the error distribution.

    Args:
        file: PNG to write.
        predictions: predictions of numbers.
        target: name of the target column, for the labels.
    """
    figure = Figure(figsize=(WIDTH * 1.25, 3.5), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    truth, given = predictions.truth, predictions.outputs
    ends = [float(min(truth.min(), given.min())), float(max(truth.max(), given.max()))]
    dots: dict[str, Any] = {"s": 12, "color": COLOURS[0], "linewidths": 0, "rasterized": True}
    dots["alpha"] = 0.7 if len(truth) < 2000 else 0.25
    name = shortened(target, 2 * LONGEST_LABEL)
    left.plot(ends, ends, color="#666666", lw=1)
    left.scatter(truth, given, **dots)
    left.set(xlabel=f"true {name}", ylabel=f"predicted {name}")
    middle.axhline(0, color="#666666", lw=1)
    middle.scatter(given, given - truth, **dots)
    middle.set(xlabel=f"predicted {name}", ylabel="predicted − true")
    right.hist(given - truth, bins=min(30, math.ceil(2 * len(truth) ** 0.5)), color=COLOURS[0])
    right.axvline(0, color="#666666", lw=1)
    right.set(xlabel="predicted − true", ylabel="test rows")
    figure.suptitle(f"{len(truth):,} test rows", fontsize=11)
    for axes in (left, middle, right):
        axes.locator_params(axis="x", nbins=6)
        clean(axes)
    save(figure, file)


@legible()
def feature_maps(file: Path, maps: Path) -> None:
    """Plot the outputs of the first layers for a test picture, brighter for stronger responses.

    Args:
        file: PNG to write.
        maps: file written by `gristmill.pipelines.workers.model_export.write_maps`.
    """
    with np.load(maps, allow_pickle=False) as saved:
        picture, *layers = [(name, saved[name]) for name in saved.files]
    tiles = [(name, _tiled(shown)) for name, shown in layers]
    heights = [WIDTH * image.shape[0] / image.shape[1] + 0.3 for _, image in tiles]
    figure = Figure(figsize=(WIDTH, 1.7 + sum(heights)), layout="constrained")
    rows = figure.subplots(len(tiles) + 1, 1, height_ratios=[1.4, *heights])
    shown = picture[1]
    span = {"vmin": shown.min(), "vmax": shown.max()}
    if shown.shape[2] == 3:
        shown = (shown - span["vmin"]) / max(span["vmax"] - span["vmin"], 1e-9)
    rows[0].imshow(shown[..., 0] if shown.shape[2] != 3 else shown, cmap="gray", **span)
    rows[0].set_title(picture[0], fontsize=9)
    for axes, (name, image) in zip(rows[1:], tiles, strict=True):
        axes.imshow(image, cmap="viridis", vmin=0, vmax=1)
        axes.set_title(name, fontsize=9)
    for axes in rows:
        axes.set_axis_off()
    save(figure, file)


def _tiled(maps: Any) -> Any:
    """Tile (height, width, n) maps, each scaled to 0…1, with NaN between them."""
    height, width, count = maps.shape
    gap = max(1, width // 16)
    lines = -(-count // TILES)
    image = np.full((lines * (height + gap) - gap, TILES * (width + gap) - gap), np.nan)
    for place in range(count):
        one = maps[..., place].astype(np.float32)
        top, left = place // TILES * (height + gap), place % TILES * (width + gap)
        spread = max(float(one.max() - one.min()), 1e-9)
        image[top : top + height, left : left + width] = (one - one.min()) / spread
    return image


def write_cell(
    axes: Axes, cell: tuple[int, int], text: str, dark: bool, size: float | None = None
) -> None:
    """Write a text into the middle of a cell.

    Args:
        axes: axes of the matrix.
        cell: row and column.
        text: the text.
        dark: whether the cell is dark; the text is then white.
        size: font size in points; None for the default.
    """
    row, column = cell
    colour = "white" if dark else "black"
    axes.text(column, row, text, ha="center", va="center", fontsize=size, color=colour)


def clean(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)


def save(figure: Figure, file: Path) -> None:
    """Write a figure as PNG atomically; equal figures give equal bytes."""
    with writing(file) as aside:
        plain: dict[str, Any] = {"metadata": {"Software": None}}
        figure.savefig(aside, format="png", dpi=DOTS_PER_INCH, **plain)
