"""Rows that a model has seen are recognised in other data by identity, twin or group."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import make_data, make_project, table, write_experiment

from gristmill.pipelines.preparation.seen import (
    SeenRows,
    dates_of,
    group_of,
    read_seen,
    seen_rows,
    write_seen,
)
from gristmill.pipelines.preparation.split.cuts_file import TEST
from gristmill.pipelines.tables.table_rows import TableRows


def seen_in(tmp_path: Path, frame: pd.DataFrame, **split: Any) -> tuple[Any, Any, SeenRows]:
    """A project, its experiment, and the rows seen by a model of it."""
    project = make_project(tmp_path / "project")
    experiment = write_experiment(project, split=split)
    make_data(project, experiment, frame=frame)
    return project, experiment, seen_rows(project, "tiny", experiment.document)


def test_only_rows_twins_and_groups_of_training_and_validation_are_seen(
    tmp_path: Path,
) -> None:
    frame = table(150, "kind").assign(shop=[f"shop {i // 3}" for i in range(150)])
    project, _, seen = seen_in(tmp_path, frame, group="shop")
    roles = pd.read_parquet(project.build("tiny") / "roles.parquet")
    test = (roles["role"] == TEST).to_numpy()
    identity = roles["identity"].to_numpy()
    whole = TableRows(project.build("tiny") / "table.parquet")
    trained_shops = set(frame["shop"][~test])
    expected = ~test | frame["shop"].isin(trained_shops).to_numpy()
    np.testing.assert_array_equal(seen.marks(whole, identity), expected)
    strange = np.arange(10**6, 10**6 + 150, dtype=np.uint64)  # other identities
    np.testing.assert_array_equal(seen.marks(whole, strange), expected)
    moved = TableRows(pa.Table.from_pandas(frame.assign(shop="another"), preserve_index=False))
    np.testing.assert_array_equal(seen.marks(moved, strange), ~test)
    assert seen.group == "shop"
    assert "shop" not in seen.features


def test_equal_rows_of_a_table_with_few_categories_are_not_twins(tmp_path: Path) -> None:
    frame = table(150, "kind").assign(width=1.0, height=2.0)
    project, _, seen = seen_in(tmp_path, frame)
    assert seen.features == ()
    strange = np.arange(10**6, 10**6 + 150, dtype=np.uint64)
    assert not seen.marks(TableRows(project.build("tiny") / "table.parquet"), strange).any()


def test_missing_columns_are_reported_and_rows_recognised_by_identity(tmp_path: Path) -> None:
    frame = table(150, "kind")
    project, _, seen = seen_in(tmp_path, frame)
    roles = pd.read_parquet(project.build("tiny") / "roles.parquet")
    fewer = TableRows(pa.Table.from_pandas(frame.drop(columns="colour"), preserve_index=False))
    assert seen.absent(fewer) == ["colour"]
    marked = seen.marks(fewer, roles["identity"].to_numpy())
    np.testing.assert_array_equal(marked, roles["role"] != TEST)


@given(st.sets(st.integers(0, 2**64 - 1), max_size=50), st.lists(st.integers(0, 2**64 - 1)))
def test_a_hash_is_found_only_if_it_was_seen(known: set[int], asked: list[int]) -> None:
    seen = SeenRows(np.array(sorted(known), dtype=np.uint64), (), None)
    asked += sorted(known)[:3]
    found = seen.has(np.array(asked, dtype=np.uint64))
    assert list(found) == [each in known for each in asked]


def test_seen_rows_are_stored_in_eight_bytes_each(tmp_path: Path) -> None:
    hashes = np.unique(np.random.default_rng(0).integers(0, 2**63, 50_000).astype(np.uint64))
    write_seen(tmp_path / "seen.parquet", SeenRows(hashes, ("a", "b"), "g"))
    again = read_seen(tmp_path / "seen.parquet")
    np.testing.assert_array_equal(again.hashes, hashes)
    assert (again.features, again.group) == (("a", "b"), "g")
    assert (tmp_path / "seen.parquet").stat().st_size < 8.1 * len(hashes)
    for damage in (b"", b"no table", (tmp_path / "seen.parquet").read_bytes()[:-9]):
        (tmp_path / "seen.parquet").write_bytes(damage)
        with pytest.raises(ValueError, match=r"seen\.parquet is damaged"):
            read_seen(tmp_path / "seen.parquet")


def test_the_dates_of_a_split_by_time_are_read_without_a_group(tmp_path: Path) -> None:
    frame = table(150, "kind").assign(when=pd.date_range("2024-01-01", periods=150))
    project, experiment, _ = seen_in(tmp_path, frame, time={"column": "when"})
    whole = TableRows(project.build("tiny") / "table.parquet")
    dates = dates_of(project, experiment.document, whole)
    assert dates is not None
    assert (np.diff(dates) > 0).all()
    assert group_of(project, experiment.document, whole) is None
