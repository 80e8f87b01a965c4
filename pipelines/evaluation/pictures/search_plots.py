"""Plots of a search: parallel coordinates of its points, and importance of parameters."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gristmill.pipelines.config import Distribution
from gristmill.pipelines.evaluation.pictures.plots import COLOURS, legible, save
from gristmill.pipelines.search import Importance, Scored, are_numbers

MOST_TICKS = 12
WIDEST = 16
"""Largest number of characters in a line below an axis."""


@legible()
def parallel_coordinates(
    file: Path,
    points: Sequence[Scored],
    space: Mapping[str, Distribution],
    objective: str,
    more: bool,
) -> None:
    """Plot a line per point over an axis per parameter; good points are bright, failed ones grey.

    Args:
        file: PNG to write.
        points: points of the search, at least one with a score.
        space: the varied parameters; logarithmic ones get a logarithmic axis, choices a tick each.
        objective: name of the objective, shown on the last axis.
        more: whether a higher objective is better.
    """
    scores = np.array([point.score for point in points if point.score is not None])
    norm = Normalize(float(scores.min()), float(scores.max()))
    colours = matplotlib.colormaps["viridis" if more else "viridis_r"]
    axes_of = [_axis(values) for values in space.values()]
    axes_of.append(_number_axis(norm.vmin or 0.0, norm.vmax or 0.0, False))
    figure = Figure(figsize=(max(5.0, 1.7 * len(axes_of) + 1.5), 4.6), layout="constrained")
    axes = figure.add_subplot()
    width = 1.6 if len(points) <= 40 else 0.8
    worst_first = sorted(
        (p for p in points if p.score is not None), key=lambda p: p.score or 0.0, reverse=not more
    )
    for point in [p for p in points if p.score is None]:
        heights = [at(point.values[n]) for n, (at, _) in zip(space, axes_of, strict=False)]
        axes.plot(range(len(heights)), heights, ":", color="#999999", lw=width)
    for point in worst_first:
        ends = [*(point.values[name] for name in space), point.score]
        heights = [at(value) for value, (at, _) in zip(ends, axes_of, strict=True)]
        colour = colours(norm(point.score or 0.0))
        axes.plot(range(len(heights)), heights, color=colour, lw=width, alpha=0.85)
    for place, (_, ticks) in enumerate(axes_of):
        axes.axvline(place, color="#333333", lw=0.8, zorder=0)
        for height, text in ticks:
            axes.plot([place - 0.02, place], [height, height], color="#333333", lw=0.8)
            axes.text(
                place - 0.04, height, text, ha="right", va="center", fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.8},
            )  # fmt: skip
    axes.set_xticks(range(len(axes_of)), [_wrapped(name) for name in [*space, objective]])
    axes.set_yticks([])
    axes.set_xlim(-0.6, len(axes_of) - 0.9)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    failed = len(points) - len(scores)
    also = f", {failed} failed (dotted)" if failed else ""
    axes.set_title(f"{len(points)} points{also}", fontsize=11)
    figure.colorbar(ScalarMappable(norm, colours), ax=axes, label=objective, shrink=0.8)
    save(figure, file)


@legible()
def importance_bars(file: Path, importance: Importance, objective: str) -> None:
    """Plot the importance of each parameter.

    Args:
        file: PNG to write.
        importance: shares of the parameters and the explained variance.
        objective: name of the objective, for the title.
    """
    shares = importance.shares
    names = sorted(shares, key=lambda name: (shares[name], name))
    figure = Figure(figsize=(7, 1.6 + 0.5 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    widths = [shares[name] for name in names]
    axes.barh([_wrapped(name, 28) for name in names], widths, color=COLOURS[0], height=0.6)
    for place, share in enumerate(widths):
        axes.text(share + 0.01, place, f"{share:.0%}", va="center", fontsize=9)
    axes.set(xlim=(0, 1.08), xlabel="share of the random forest's gain")
    words = f"The parameters predict {importance.explained:.0%} of the variance of {objective}"
    axes.set_title(words, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, file)


Axis = tuple[Any, list[tuple[float, str]]]
"""A function from values to positions from 0 to 1, and the ticks."""


def _axis(values: Distribution) -> Axis:
    if values.choice is None:
        low, high, *_ = values.bounds
        return _number_axis(low, high, values.is_log)
    choices = list(values.choice)
    if are_numbers(choices):
        choices.sort(key=float)
    texts = [str(choice) for choice in choices]
    step = 1 / max(len(texts) - 1, 1)
    skip = math.ceil(len(texts) / MOST_TICKS)
    ticks = [(i * step, _short(text)) for i, text in enumerate(texts) if i % skip == 0]
    return (lambda value: texts.index(str(value)) * step), ticks


def _number_axis(low: float, high: float, log: bool) -> Axis:
    scale = math.log10 if log else float
    down, apart = scale(low), (scale(high) - scale(low)) or 1.0

    def at(value: Any) -> float:
        return (scale(value) - down) / apart

    powers = range(math.ceil(down - 1e-9), math.floor(down + apart + 1e-9) + 1) if log else ()
    tens = [10.0**n for n in powers]
    marks = tens if len(tens) > 1 else MaxNLocator(5).tick_values(low, high)
    inside = [mark for mark in marks if low - 1e-9 * apart <= mark <= high + 1e-9 * apart]
    return at, [(at(mark), f"{mark:.6g}") for mark in inside or [low]]


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def _wrapped(name: str, width: int = WIDEST) -> str:
    """Wrap a name into at most three lines, so that neighbouring labels do not overlap."""
    broken = textwrap.wrap(name.replace("_", " "), width)[:3] or [name]
    return "\n".join(broken)
