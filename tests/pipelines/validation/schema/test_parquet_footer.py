"""Parquet footers: a rule counts as proven only if it holds."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.pipelines.config.sections import Column
from gristmill.pipelines.validation.schema.parquet_footer import unproven
from gristmill.pipelines.validation.schema.rules import check_block, merge

RULES = [
    Column(),
    Column(missing="never"),
    Column(missing=0.3),
    Column(type="integer", min=0),
    Column(type="number", max=2, missing="never"),
    Column(min=-1, max=2.5),
]


@pytest.mark.parametrize("statistics", [True, False])
@given(
    values=st.lists(st.integers(-2, 4) | st.none(), min_size=1, max_size=9),
    kind=st.sampled_from([pa.int64(), pa.float64(), pa.string()]),
    size=st.integers(1, 9),
)
def test_rules_proven_by_the_footer_hold_and_without_statistics_all_columns_are_read(
    tmp_path_factory: pytest.TempPathFactory,
    statistics: bool,
    values: list[int | None],
    kind: Any,
    size: int,
) -> None:
    file = tmp_path_factory.mktemp("footer") / "table.parquet"
    table = pa.table({"a": pa.array(values).cast(kind)})
    pa.parquet.write_table(table, file, row_group_size=size, write_statistics=statistics)
    read = unproven(file, {rule: ["a"] for rule in RULES})
    for rule, names in read.items():
        found = merge(check_block(table, ["a"], rule), len(values), rule)
        assert names == ["a"] or not found
        if not statistics or kind != pa.int64():
            assert names == ["a"]
    if statistics and kind == pa.int64() and None not in values and min(values) >= 0:
        assert read[Column(type="integer", min=0)] == []


def test_a_rule_beyond_type_and_range_is_never_proven(tmp_path: Any) -> None:
    file = tmp_path / "table.parquet"
    pa.parquet.write_table(pa.table({"a": [1, 2]}), file)
    for rule in (Column(one_of=(1, 2)), Column(matches="[12]"), Column(type="text")):
        assert unproven(file, {rule: ["a"]}) == {rule: ["a"]}
