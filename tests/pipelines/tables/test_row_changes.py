"""Changes between two versions of a table, by row content in any order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gristmill.pipelines.tables import table_rows
from gristmill.pipelines.tables.row_changes import Changes, table_changes


def compare(folder: Path, old: pd.DataFrame, new: pd.DataFrame) -> Changes:
    old.to_parquet(folder / "old.parquet", index=False)
    new.to_parquet(folder / "new.parquet", index=False)
    return table_changes(folder / "old.parquet", folder / "new.parquet")


ROWS = st.lists(st.tuples(st.sampled_from([0, 1, None]), st.sampled_from(["x", "y", None])))


@given(old=ROWS, new=ROWS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
def test_added_and_removed_rows_are_the_multiset_difference(
    tmp_path: Path, old: list[tuple[int, str]], new: list[tuple[int, str]]
) -> None:
    types = {"a": "Int64", "b": "string"}
    frames = [pd.DataFrame(rows, columns=["a", "b"]).astype(types) for rows in (old, new)]
    found = compare(tmp_path, *frames)
    assert found.added == (Counter(new) - Counter(old)).total()
    assert found.removed == (Counter(old) - Counter(new)).total()
    assert (found.before, found.after) == (len(old), len(new))


def test_batch_size_row_order_and_column_order_do_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_rows, "BATCH_BYTES", 1)
    monkeypatch.setattr(table_rows, "SMALLEST", 7)
    old = pd.DataFrame({"a": range(100), "b": [f"t{i % 9}" for i in range(100)]})
    found = compare(tmp_path, old, old.sample(frac=1, random_state=0)[["b", "a"]])
    assert (found.added, found.removed) == (0, 0)
    assert (found.new_columns, found.lost_columns, found.retyped) == ((), (), ())


def test_added_removed_and_retyped_columns_are_named(tmp_path: Path) -> None:
    old = pd.DataFrame({"a": [1, 2], "b": [1, 2], "c": [1, 2], "gone": [1, 2]})
    new = pd.DataFrame({"a": [1, 2], "b": [1.0, 2.5], "c": ["1", "2"], "new": [1, 2]})
    found = compare(tmp_path, old, new)
    assert (found.new_columns, found.lost_columns) == (("new",), ("gone",))
    assert found.retyped[0] == ("b", "int64", "double")
    assert found.retyped[1][:2] == ("c", "int64")
    assert found.shared == ("a", "b")
    assert (found.added, found.removed) == (1, 1)  # 2.5 is new; 1.0 equals the old 1


def test_without_a_common_column_only_row_counts_are_compared(tmp_path: Path) -> None:
    found = compare(tmp_path, pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"b": [1, 2, 3]}))
    assert (found.shared, found.added, found.removed) == ((), 1, 0)
