"""Pictures of a search: parallel coordinates of its points, and which parameters mattered."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipelines.config import Distribution, Scalar
from pipelines.evaluation.plots import COLOURS, legible, save

LEAST = 8
"""Points, and four for each parameter, below which importance would be chance."""

TREES = 200

MOST_TICKS = 12
WIDEST = 16
"""Characters of a line below an axis."""


@dataclass(frozen=True)
class Scored:
    """A point of a search: its varied parameters, and its objective, None where it failed."""

    values: Mapping[str, Scalar]
    score: float | None


@legible()
def parallel_coordinates(
    file: Path,
    points: Sequence[Scored],
    space: Mapping[str, Distribution],
    objective: str,
    more: bool,
) -> None:
    """A line a point, over an axis a parameter; bright lines are good ones, failed ones are grey.

    Args:
        file: PNG to write.
        points: at least one of them with a score.
        space: the varied parameters; logarithmic ones get such an axis, choices one tick each.
        objective: what the lines end at.
        more: whether more of it is better.
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
    axes.set_title(
        f"{len(points)} points" + (f", {failed} failed (dotted)" if failed else ""), fontsize=11
    )
    figure.colorbar(ScalarMappable(norm, colours), ax=axes, label=objective, shrink=0.8)
    save(figure, file)


@legible()
def importance_bars(file: Path, importance: Importance, objective: str) -> None:
    """The share of the objective that each parameter accounts for."""
    shares = importance.shares
    names = sorted(shares, key=lambda name: (shares[name], name))
    figure = Figure(figsize=(7, 1.6 + 0.5 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    widths = [shares[name] for name in names]
    axes.barh([_wrapped(name, 28) for name in names], widths, color=COLOURS[0], height=0.6)
    for place, share in enumerate(widths):
        axes.text(share + 0.01, place, f"{share:.0%}", va="center", fontsize=9)
    axes.set_xlim(0, 1.08)
    axes.set_xlabel("share of the random forest's gain")
    axes.set_title(
        f"The parameters predict {importance.explained:.0%} of the variance of {objective}",
        fontsize=11,
    )
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, file)


@dataclass(frozen=True)
class Importance:
    """How much of the objective each parameter accounts for.

    Attributes:
        shares: by name; they sum to 1.
        explained: the share of the variance that all of them together predict for points that
            were held out; at most 1.
    """

    shares: Mapping[str, float]
    explained: float


def importance_of(points: Sequence[Scored], space: Mapping[str, Distribution]) -> Importance | str:
    """The parameters' importance in a random forest that predicts the objective.

    Mean decrease in impurity, judged by the rows that each tree did not see: Breiman (2001),
    Random Forests, Machine Learning 45.

    Args:
        points: trained with the same budget, for others would not compare.
        space: the varied parameters.

    Returns:
        The importance, or why there is none to be told.
    """
    scored = [point for point in points if point.score is not None]
    least = max(LEAST, 4 * len(space))
    if len(space) < 2:
        return "importance needs two parameters"
    if len(scored) < least:
        return f"importance needs {least} points, and there are {len(scored)}"
    scores = np.array([point.score for point in scored])
    from sklearn.ensemble import RandomForestRegressor

    columns = [_columns(values, [p.values[name] for p in scored]) for name, values in space.items()]
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=0)
    forest.fit(np.hstack(columns), scores)
    explained = float(forest.oob_score_) if len(set(scores)) > 1 else 0.0
    if explained <= 0:
        return "importance: the parameters do not predict the objective"
    ends = np.cumsum([0, *(part.shape[1] for part in columns)])
    gains = forest.feature_importances_
    return Importance(
        {
            name: float(gains[start:end].sum())
            for name, start, end in zip(space, ends, ends[1:], strict=False)
        },
        explained,
    )


def _columns(values: Distribution, drawn: Sequence[Scalar]) -> npt.NDArray[np.float64]:
    """A parameter for the forest, (n_points, 1 or n_choices) float64: a column a text."""
    if values.choice is None or _are_numbers(values.choice):
        return np.array([[float(value)] for value in drawn])  # trees see the order alone
    return np.array([[float(value == choice) for choice in values.choice] for value in drawn])


def _are_numbers(choices: Sequence[Scalar]) -> bool:
    return all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices)


Axis = tuple[Any, list[tuple[float, str]]]
"""Where a value lies, from 0 to 1, and the ticks."""


def _axis(values: Distribution) -> Axis:
    if values.choice is None:
        low, high, *_ = values.bounds
        return _number_axis(low, high, values.is_log)
    choices = list(values.choice)
    if _are_numbers(choices):
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
    """A name in lines of a width that neighbours do not touch, three at most."""
    broken = textwrap.wrap(name.replace("_", " "), width)[:3] or [name]
    return "\n".join(broken)
