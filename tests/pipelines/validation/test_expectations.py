"""Great Expectations: checks fail closed, whatever goes wrong inside them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from pipelines.config import Column, Schema
from pipelines.validation import expectations
from pipelines.validation.expectations import validate_frame

FRAME = pd.DataFrame({"a": pd.array([1, 2, 30], dtype="Int64"), "b": ["x", "y", "z"]})


def test_what_great_expectations_keeps_is_what_is_found(tmp_path: Path) -> None:
    schema = Schema(columns={"a": Column(max=10), "b": Column(matches="[x-y]")})
    findings = validate_frame(FRAME, schema, tmp_path)
    assert [(f.column, f.rows, f.values) for f in findings] == [
        ("a", (3,), ("30",)),
        ("b", (3,), ("z",)),
    ]
    results = json.loads((tmp_path / "result.json").read_text())["results"]
    kept = [detail for result in results for detail in result["result"]["details"]]
    assert [(d["column"], d["rows"]) for d in kept] == [("a", [3]), ("b", [3])]


def test_a_check_that_breaks_down_is_a_finding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> list[object]:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(expectations, "check_block", broken)
    findings = validate_frame(FRAME, Schema(columns={"a": Column()}), tmp_path)
    assert [finding.column for finding in findings] == ["the table"]
    assert "out of luck" in findings[0].rule


def test_no_unnamed_column_may_hide_behind_a_pattern(tmp_path: Path) -> None:
    schema = Schema(columns={"a*": Column()}, extra="forbid")
    (finding,) = validate_frame(FRAME, schema, tmp_path)
    assert (finding.column, finding.rule) == ("b", "a column that the schema names")
    assert validate_frame(FRAME[["a"]], schema, tmp_path) == []
