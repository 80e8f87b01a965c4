"""The plot of a comparison: differences with intervals, and the agreement of models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, SubFigure

from gristmill.pipelines.evaluation.comparison import ModelComparison
from gristmill.pipelines.evaluation.metrics import lower_is_better
from gristmill.pipelines.evaluation.pictures import plots

BETTER, WORSE, UNKNOWN = "#009E73", "#D55E00", "#666666"

LONGEST = 24
"""Largest number of characters of a model's name."""

MOST_POINTS = 5_000


@plots.legible()
def comparison_picture(file: Path, made: ModelComparison) -> None:
    """Plot the differences from the first model by metric at the left, the agreement at the right.

    For two models the agreement is a table of right and wrong predictions, or the errors of one
    against those of the other; for more it is the share of equal predictions, or the correlation
    of errors, of each pair.
    """
    metrics, others = len(made.metrics[0]), len(made.models) - 1
    height = max(3.8, 0.9 + metrics * (0.62 + 0.24 * others))
    figure = Figure(figsize=(11, height), layout="constrained")
    parts: Any = figure.subfigures(1, 2, width_ratios=[1.35, 1])
    left, right = parts
    _differences(left, made)
    axes = right.subplots()
    if others > 1:
        _pairs(right, axes, made)
    elif made.classes is None:
        _errors(axes, made)
    else:
        _both(axes, made)
    plots.save(figure, file)


def _differences(figure: SubFigure, made: ModelComparison) -> None:
    first, *others = [plots.shortened(name, LONGEST) for name in made.names]
    for place, axes in enumerate(np.atleast_1d(figure.subplots(len(made.metrics[0]), 1))):
        name = made.metrics[0][place].name
        for height, differences in enumerate(made.differences):
            one = differences[place]
            better = (one.value < 0) == lower_is_better(name)
            sure = one.low is not None and one.high is not None and one.low * one.high > 0
            colour = (BETTER if better else WORSE) if sure else UNKNOWN
            if one.low is not None and one.high is not None:
                axes.plot([one.low, one.high], [height, height], color=colour, lw=2)
            axes.plot([one.value], [height], "o", color=colour, ms=6)
        axes.axvline(0, color="#999999", lw=1, zorder=0)
        axes.set_yticks(range(len(others)), others, fontsize=9)
        axes.set_ylim(len(others) - 0.4, -0.6)
        axes.locator_params(axis="x", nbins=6)
        axes.tick_params(axis="x", labelsize=8)
        side = "left" if lower_is_better(name) else "right"
        axes.set_title(f"{name} ({side} is better)", fontsize=9, loc="left")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.grid(axis="x", alpha=0.25)
    figure.suptitle(f"Difference from {first}, 95 % interval", fontsize=11)


def _both(axes: Axes, made: ModelComparison) -> None:
    table = made.right(1)
    axes.imshow(table / table.sum(), cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(2, 2):
        share = table[row, column] / table.sum()
        text = f"{table[row, column]:,}\n{share:.1%}"
        plots.write_cell(axes, (row, column), text, share > 0.5)
    first, other = (plots.shortened(name, LONGEST) for name in made.names)
    axes.set_xticks([0, 1], ["right", "wrong"])
    axes.set_yticks([0, 1], ["right", "wrong"], rotation=90, va="center")
    axes.set(xlabel=other, ylabel=first)
    axes.set_title(f"{len(made.truth):,} test rows", fontsize=11)


def _errors(axes: Axes, made: ModelComparison) -> None:
    errors = made.answers - made.truth
    shown = errors[:, :: -(-errors.shape[1] // MOST_POINTS)]
    ends = [float(shown.min()), float(shown.max())]
    axes.plot(ends, ends, color="#999999", lw=1)
    axes.scatter(shown[0], shown[1], s=14, color=plots.COLOURS[0], alpha=0.6, linewidths=0)
    first, other = (plots.shortened(name, LONGEST) for name in made.names)
    axes.set(xlabel=f"error of {first}", ylabel=f"error of {other}")
    axes.set_title(f"{len(made.truth):,} test rows: predicted − true", fontsize=11)
    plots.clean(axes)


def _pairs(figure: SubFigure, axes: Axes, made: ModelComparison) -> None:
    table: Any = made.agreement
    least = float(table.min())
    norm = Normalize(0.5 if least >= 0.5 else min(least, 0.0), 1)
    axes.imshow(table, cmap="Blues", norm=norm)
    for row, column in np.ndindex(*table.shape):
        value = table[row, column]
        text = f"{value:.1%}" if made.classes else f"{value:.2f}"
        plots.write_cell(axes, (row, column), text, float(norm(value)) > 0.6, 9)
    names = [plots.shortened(name, LONGEST) for name in made.names]
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(names)), names)
    axes.set_title("same answer" if made.classes else "correlation of errors", fontsize=11)
