"""The target by bins or levels of a column: the data of the page's plots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from gristmill.pipelines.profiling.relation import Goal
from gristmill.pipelines.profiling.table_profile import ColumnProfile, Sample, as_codes, as_numbers
from gristmill.pipelines.profiling.yaml_text import writer

BINS = 8
"""Number of bins of equal count of a number, or of levels of a text."""

CLASSES = 6
"""Classes with a separate colour; the others share one."""


@dataclass(frozen=True)
class Bin:
    """Rows of the sample with similar values.

    Attributes:
        label: the values, as text.
        rows: number of rows.
        shares: share of each of the first `CLASSES` classes, for classification.
        quartiles: lower quartile, median and upper quartile of the target, for regression.
    """

    label: str
    rows: int
    shares: tuple[float, ...] = ()
    quartiles: tuple[float, ...] = ()


def against(sample: Sample, column: ColumnProfile, goal: Goal) -> list[Bin]:
    """Summarise the target in each bin or level of a column, missing values last.

    Args:
        sample: the table.
        column: profile of the column.
        goal: target of the sampled rows.
    """
    values = sample.of(sample.whole(column.name))
    if column.type == "text" or column.distinct <= BINS:
        places, labels = _levels(values)
    else:
        places, labels = _bins(as_numbers(values), column)
    bins = [_bin(label, places == place, goal) for place, label in enumerate(labels)]
    return [made for made in bins if made.rows]


def _levels(values: pa.Array) -> tuple[npt.NDArray[np.int64], list[str]]:
    codes, names = as_codes(values)
    order = np.argsort(-np.bincount(codes, minlength=len(names)), kind="stable")
    shown = sorted(
        order[:BINS], key=lambda code: (names[code] == "no value", _by_size(names[code]))
    )
    place = np.full(len(names), len(shown))
    place[shown] = np.arange(len(shown))
    return place[codes], [*(names[code] for code in shown), "others"]


def _by_size(name: str) -> tuple[float, str]:
    try:
        return float(name), ""
    except ValueError:
        return float("inf"), name


def _bins(x: npt.NDArray[np.float64], column: ColumnProfile) -> Any:
    finite = x[np.isfinite(x)]
    edges: Any = (
        np.unique(np.quantile(finite, np.linspace(0, 1, BINS + 1)))[:-1] if len(finite) else []
    )
    write = writer(column.type, column.quantiles[0], column.quantiles[-1])
    places = np.searchsorted(edges, x, side="right") - 1
    places[~np.isfinite(x)] = len(edges)
    return places, [*(f"≥ {write(edge)}" for edge in edges), "no value"]


def _bin(label: str, inside: npt.NDArray[np.bool_], goal: Goal) -> Bin:
    rows = int(inside.sum())
    if not rows:
        return Bin(label, 0)
    if goal.classes is None:
        quartiles = np.nanquantile(goal.raw[inside], [0.25, 0.5, 0.75])  # type: ignore[index]
        return Bin(label, rows, quartiles=tuple(float(value) for value in quartiles))
    counts = np.bincount(goal.values[inside], minlength=len(goal.classes))[:CLASSES]
    return Bin(label, rows, shares=tuple(float(count / rows) for count in counts))
