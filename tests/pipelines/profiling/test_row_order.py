"""Rows that depend on the ones before them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gristmill.pipelines.profiling.assumptions import assume
from gristmill.pipelines.profiling.row_order import RowOrder, row_order
from gristmill.pipelines.profiling.table_profile import Task, profile_table

ROWS = 300
RNG = np.random.default_rng(0)
WALK = np.cumsum(RNG.normal(size=ROWS))
PLACES = np.arange(ROWS)
DAYS = pd.date_range("2025-01-01", periods=ROWS)


def order_of(folder: Path, task: Task = "regression", **columns: Any) -> RowOrder | None:
    table = folder / "table.parquet"
    frame = pd.DataFrame({"x": RNG.normal(size=ROWS), **columns})
    frame.to_parquet(table, index=False)
    profile = profile_table(table, "y", task)
    used = [a for a in assume(profile, "y") if a.used]
    return row_order(table, profile, used, "y", task)


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_sequence_with_dates_is_found_in_any_order_of_the_file(
    tmp_path: Path, shuffled: bool
) -> None:
    place = RNG.permutation(ROWS) if shuffled else np.arange(ROWS)
    found = order_of(tmp_path, date=DAYS[place], y=WALK[place])
    assert found is not None
    assert found.column == "date"
    assert found.share > 0.95


@pytest.mark.parametrize(
    "years",
    [np.arange(1700, 1700 + ROWS), np.arange(1700.0, 1700 + ROWS), 1959 + PLACES // 4 * 1.0],
)
def test_a_column_of_years_has_the_order_of_yearly_rows(tmp_path: Path, years: Any) -> None:
    found = order_of(tmp_path, year=years, y=WALK)
    assert found is not None
    assert found.column == "year"


def test_sequences_that_follow_one_another_are_split_by_their_dates(tmp_path: Path) -> None:
    y = np.concatenate([20 * place + np.cumsum(RNG.normal(size=30)) for place in range(10)])
    found = order_of(tmp_path, date=np.tile(DAYS[:30], 10), y=y)
    assert found is not None
    assert found.column == "date"


def test_a_sequence_without_dates_has_no_column(tmp_path: Path) -> None:
    found = order_of(tmp_path, y=WALK)
    assert found is not None
    assert found.column == ""


@pytest.mark.parametrize("sorted_file", [False, True])
def test_rows_that_are_independent_or_sorted_by_the_target_have_no_order(
    tmp_path: Path, sorted_file: bool
) -> None:
    y = RNG.normal(size=ROWS)
    days = DAYS[RNG.permutation(ROWS)]
    assert order_of(tmp_path, date=days, y=np.sort(y) if sorted_file else y) is None


def test_a_class_that_only_the_newest_rows_have_prevents_a_split_by_time(tmp_path: Path) -> None:
    y = np.repeat(["a", "b", "a", "c"], ROWS // 4)
    found = order_of(tmp_path, "classification", date=DAYS, y=y)
    assert found is None or found.column == ""
