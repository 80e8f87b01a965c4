"""The profile of a table."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.pipelines.profiling.table_profile import SAMPLE, TableProfile, profile_table


def profile_of(tmp_path: Path, **columns: object) -> TableProfile:
    """Return the profile of a table with these columns; a column `y` is the target."""
    table = tmp_path / "table.parquet"
    pq.write_table(pa.table(columns), table)
    return profile_table(table, *(("y", "classification") if "y" in columns else ()))


def test_missing_and_distinct_values_are_counted(tmp_path: Path) -> None:
    found = profile_of(tmp_path, a=[1, None, 3, 3], b=["x", "y", None, None], c=[1.5, 2, 2, np.nan])
    assert [(c.type, c.missing, c.distinct) for c in found.columns] == [
        ("integer", 1, 2),
        ("text", 2, 2),
        ("number", 1, 2),
    ]
    assert found.column("a").levels == ((3, 2), (1, 1))
    assert found.rows == 4


def test_dates_are_measured_in_seconds(tmp_path: Path) -> None:
    days = [date(1970, 1, 1), date(1970, 1, 3), None]
    found = profile_of(tmp_path, day=days, at=[datetime(1970, 1, 2), None, None])
    assert [c.type for c in found.columns] == ["date", "date"]
    assert found.column("day").quantiles[-1] == 2 * 86400
    assert found.column("at").quantiles[0] == 86400


@pytest.mark.parametrize(
    ("days", "parts"),
    [
        (range(6), ()),
        (range(7), ("weekday",)),
        (np.arange(0, 9, 0.5), ("weekday", "hour")),
        ([0, 0.3, 0.1, 0.9], ()),
        ([300, 5, 90, 200], ("weekday",)),
        (range(0, 900, 3), ("month", "weekday")),
        ([*range(900, 0, -3), None], ("month", "weekday")),
        ([500, 5, 90, 200, 9_000], ()),
        ([None, None], ()),
    ],
)
def test_dates_that_advance_have_the_parts_that_repeat(
    tmp_path: Path, days: Iterable[float | None], parts: tuple[str, ...]
) -> None:
    found = profile_of(tmp_path, day=pd.to_datetime(pd.Series([*days]), unit="D"))
    assert found.column("day").parts == parts


def test_a_name_with_a_dot_is_a_separate_column(tmp_path: Path) -> None:
    found = profile_of(tmp_path, **{"a": [1, 2], "a.b": ["x", "x"]})
    assert [(c.name, c.type, c.distinct) for c in found.columns] == [
        ("a", "integer", 2),
        ("a.b", "text", 1),
    ]


@pytest.mark.parametrize(
    ("values", "numbered"),
    [
        ([0, 1, 2], "in order"),
        ([7, 8, 9], "in order"),
        ([2, 1, 3], "shuffled"),
        ([2.0, 1.0, 3.0], "shuffled"),
        ([1, 2, 4], ""),
        ([1, 2, 2], ""),
        ([1, 2, None], ""),
        ([0.5, 1.5, 2.5], ""),
    ],
)
def test_row_numbers_are_recognised_in_any_order(
    tmp_path: Path, values: list[float | None], numbered: str
) -> None:
    assert profile_of(tmp_path, n=values).column("n").numbered == numbered


def test_long_identifiers_that_are_close_together_have_a_histogram(tmp_path: Path) -> None:
    (found,) = profile_of(tmp_path, a=[1925036343869802844 + i for i in range(300)]).columns
    assert found.type == "integer"
    assert found.distinct == 300


def test_infinite_values_and_empty_columns_are_handled(tmp_path: Path) -> None:
    nothing = pa.array([None] * 4, pa.string())
    found = profile_of(tmp_path, x=[1.0, np.inf, -np.inf, 2.0], e=nothing, y=["a", "b", "a", "b"])
    assert found.column("x").ends == (1.0, 2.0)
    assert found.column("e").distinct == 0
    assert found.column("e").relation == 0


def test_counts_use_all_rows_and_relations_a_sample(tmp_path: Path) -> None:
    rows = SAMPLE + 5000
    x = np.arange(rows)
    found = profile_of(tmp_path, x=x, y=np.where(x < rows // 2, "low", "high"))
    assert found.column("x").distinct == rows
    assert found.column("x").quantiles[-1] == rows - 1
    assert sum(found.column("x").heights) == SAMPLE
    assert found.column("x").relation == pytest.approx(1)
