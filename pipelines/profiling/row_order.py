"""Whether the target of a row depends on that of the row before, and which column has the order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gristmill.pipelines.profiling.assumptions import Assumption
from gristmill.pipelines.profiling.table_profile import ColumnProfile, TableProfile, Task
from gristmill.pipelines.tables import Places, names_year
from gristmill.pipelines.validation.leaks import Values, in_order, previous_row, whole_column

MATTERS = 0.3
"""Share of the target explained by the previous row from which rows are split by time."""

FEWEST_DATES = 10
"""Least number of different dates."""

FORWARD = 0.7
"""Share of steps forward in time in a file of sequences that follow one another."""

LEARNT = 0.6
"""Share of the rows for training in a draft."""


@dataclass(frozen=True)
class RowOrder:
    """The dependence of rows on the rows before them.

    Attributes:
        column: the column of dates or years with the order; empty if there is none.
        share: the share of the target that the previous row explains.
    """

    column: str
    share: float


def row_order(
    table: Path, profile: TableProfile, used: Sequence[Assumption], target: str, task: Task
) -> RowOrder | None:
    """Return how much rows depend on the ones before them; None if it does not matter.

    Args:
        table: Parquet file written by the stage `ingest`.
        profile: profiles of its columns.
        used: the features.
        target: name of the target.
        task: the task with this target.
    """
    y, classes = whole_column(table, target), task == "classification"
    if y is None:
        return None
    places = np.arange(len(y.codes))
    in_file = 0.0 if in_order(y.codes, classes) else _share(y, places, classes)
    found = []
    for name in _dates(profile, used):
        when = whole_column(table, name)
        if when is None or not (order := _usable_order(when, y, classes)).size:
            continue
        forward = float((np.diff(when.codes) >= 0).mean()) >= FORWARD
        share = max(_share(y, order, classes), in_file if forward else 0.0)
        found.append(RowOrder(name, share))
    best = max(found, key=lambda one: one.share, default=RowOrder("", 0.0))
    if best.share < MATTERS:
        best = RowOrder("", in_file)
    return best if best.share >= MATTERS else None


def _dates(profile: TableProfile, used: Sequence[Assumption]) -> Iterator[str]:
    for assumed in used:
        column = profile.column(assumed.name)
        if not column.missing and column.distinct >= FEWEST_DATES and _has_dates(column):
            yield column.name


def _has_dates(column: ColumnProfile) -> bool:
    """Return whether a split by time can read the column: dates, or years of four digits."""
    if column.type == "date" or not column.quantiles or not names_year(column.name):
        return column.type == "date"
    low, high = column.quantiles[0], column.quantiles[-1]
    return column.whole and low >= 1000 and high <= 2999


def _usable_order(when: Values, y: Values, classes: bool) -> Places:
    """Return the rows in the order of their dates; none if the first ones lack a class."""
    order = np.argsort(when.codes, kind="stable")
    first = order[: int(LEARNT * len(order))]
    lacking = classes and len(np.unique(y.codes[first])) < len(y.levels)
    return order[:0] if lacking else order


def _share(y: Values, order: Places, classes: bool) -> float:
    return previous_row(y.codes[order], y.levels, np.arange(len(order)), classes)
