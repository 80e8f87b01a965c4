"""The scan: blocks of any size give the findings of the whole table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.pipelines.config.document import Document
from gristmill.pipelines.config.sections import Column
from gristmill.pipelines.validation.schema.scan import blocks, breaks, entries, scan

SCHEMA: dict[str, Any] = {
    "columns": {
        "a": {"type": "integer", "min": 0, "max": 5, "unique": True, "missing": 0.2},
        "b*": {"type": "number", "min": -1, "missing": "never"},
        "text": {"type": "date", "min": "2020-01-02"},
        "kind": {"one_of": ["x", "y"], "matches": "[a-y]", "unique": True},
    },
    "rules": [{"check": "a <= b1"}, {"check": "not missing(b2) or kind == 'x'"}],
    "fresh": {"column": "text", "within": "1d"},
}
ROW = st.tuples(
    st.integers(-1, 7) | st.none(),
    st.sampled_from([0.0, 1.5, 9.0, -2.0, float("inf"), float("nan"), None]),
    st.integers(-3, 3) | st.none(),
    st.sampled_from(["2020-01-01", "2020-01-02", "2021-02-03T04:05", "soon", None]),
    st.sampled_from(["x", "y", "z", "xx", None]),
)
KINDS = (pa.int64(), pa.float64(), pa.int64(), pa.string(), pa.string())
NAMES = ("a", "b1", "b2", "text", "kind")


def document(schema: Any, target: str = "kind", task: str = "classification") -> Document:
    content = {
        "data": {"path": "data/a/a.csv", "target": target, "task": task},
        "schema": schema,
        "split": {},
        "features": {},
        "model": {"layers": []},
    }
    return Document.model_validate_json(json.dumps(content))


@pytest.mark.parametrize(("target", "task"), [("kind", "classification"), ("text", "regression")])
@settings(max_examples=60)
@given(
    rows=st.lists(ROW, min_size=1, max_size=30),
    size=st.integers(1, 31),
    group=st.integers(1, 31),
)
def test_blocks_of_any_size_give_the_same_findings(
    tmp_path_factory: pytest.TempPathFactory,
    target: str,
    task: str,
    rows: list[tuple[Any, ...]],
    size: int,
    group: int,
) -> None:
    columns = [pa.array(c, kind) for c, kind in zip(zip(*rows, strict=True), KINDS, strict=True)]
    table = pa.table(dict(zip(NAMES, columns, strict=True)))
    folder = tmp_path_factory.mktemp("scan")
    asked = document(SCHEMA, target, task)
    pa.parquet.write_table(table, folder / "whole.parquet")
    pa.parquet.write_table(table, folder / "parts.parquet", row_group_size=group)
    whole = scan(folder / "whole.parquet", asked)
    assert scan(folder / "parts.parquet", asked, size) == whole
    assert whole.rows == len(rows)


def test_a_block_of_a_wide_table_has_fewer_rows(tmp_path: Path) -> None:
    file = tmp_path / "wide.parquet"
    pa.parquet.write_table(pa.table({f"c{i}": range(9000) for i in range(600)}), file)
    sizes = [len(block) for block in blocks(file)]
    assert sum(sizes) == 9000
    assert max(sizes) < 7000
    assert [len(block) for block in blocks(file, ["c3"])] == [9000]


def test_equal_entries_are_merged_and_a_name_overrides_a_pattern() -> None:
    schema = document({"columns": {"b*": {"min": 0}, "b1": {"min": 1}, "a": {"min": 0}}}).schema_
    assert entries(schema, NAMES) == {Column(min=0): ["b2", "a"], Column(min=1): ["b1"]}


def test_rows_of_another_file_are_checked_by_the_rules_of_their_columns(
    tmp_path: Path,
) -> None:
    table = tmp_path / "new.parquet"
    columns = {"a": [1, 9, 1], "b1": [5.0, 5.0, None], "more": ["x"] * 3}
    pyarrow.parquet.write_table(pa.table(columns), table)
    schema = SCHEMA | {"rows": {"min": 1000}}
    found = {(one.column, one.rule): one.count for one in breaks(table, document(schema))}
    assert found == {
        ("a", "5 or less"): 1,
        ("a", "each value once"): 2,
        ("b1", "no missing value"): 1,
        ("a, b1", "a <= b1"): 1,
    }
