"""Great Expectations: checks fail closed on any error inside them."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from gristmill.pipelines.config.document import Document
from gristmill.pipelines.config.sections import Column, Rule, Schema
from gristmill.pipelines.validation.schema.expectations import run_expectations
from gristmill.pipelines.validation.schema.rules import Finding
from gristmill.pipelines.validation.schema.scan import Scanned, scan

FRAME = pd.DataFrame({"a": pd.array([1, 2, 30], dtype="Int64"), "b": ["x", "y", "z"]})


def document(schema: Schema) -> Document:
    content = {
        "data": {"path": "data/a/a.csv", "target": "a", "task": "classification"},
        "schema": schema.model_dump(),
        "split": {},
        "features": {},
        "model": {"layers": []},
    }
    return Document.model_validate_json(json.dumps(content))


def findings(schema: Schema, folder: Path, frame: pd.DataFrame = FRAME) -> list[Finding]:
    table = folder / "table.parquet"
    frame.to_parquet(table)
    asked = document(schema)
    return run_expectations(table, asked, folder, partial(scan, table, asked))[0]


def kept(folder: Path) -> list[dict[str, Any]]:
    results = json.loads((folder / "result.json").read_text())["results"]
    return [detail for result in results for detail in result["result"].get("details", [])]


def test_the_report_of_great_expectations_contains_the_findings(tmp_path: Path) -> None:
    rules = (Rule(check="a < 20 or b == 'x'"),)
    schema = Schema(columns={"a": Column(max=10), "b": Column(matches="[x-y]")}, rules=rules)
    assert [(f.column, f.rows, f.values) for f in findings(schema, tmp_path)] == [
        ("a", (3,), ("30",)),
        ("b", (3,), ("z",)),
        ("a, b", (3,), ("a=30 b=z",)),
    ]
    assert [(d["column"], d["rows"]) for d in kept(tmp_path)] == [
        ("a", [3]),
        ("b", [3]),
        ("a, b", [3]),
    ]


def test_the_report_of_many_bad_rows_is_small_and_shows_their_number(tmp_path: Path) -> None:
    frame = pd.DataFrame({"a": range(200_000), "b": "x" * 100})
    schema = Schema(columns={"a": Column(max=-1), "b": Column(one_of=("y",), unique=True)})
    found = findings(schema, tmp_path, frame)
    assert [finding.count for finding in found] == [200_000] * 3
    assert (tmp_path / "result.json").stat().st_size < 50_000
    pages = [page for page in (tmp_path / "docs").rglob("*.html") if "validations" in str(page)]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    assert "200,000 rows, 400,000 values break the rule" in text
    assert sum(page.stat().st_size for page in pages) < 1_000_000
    assert str(tmp_path) not in text + (tmp_path / "result.json").read_text()


def test_entries_with_equal_rules_are_one_expectation(tmp_path: Path) -> None:
    schema = Schema(columns={"a": Column(missing="never"), "b": Column(missing="never")})
    assert findings(schema, tmp_path) == []
    results = json.loads((tmp_path / "result.json").read_text())["results"]
    columns = [r["expectation_config"]["kwargs"].get("columns") for r in results]
    assert columns == [["a", "b"], None]


def test_a_check_that_raises_is_a_finding(tmp_path: Path) -> None:
    def broken() -> Scanned:
        raise RuntimeError("out of luck")

    table = tmp_path / "table.parquet"
    FRAME.to_parquet(table)
    asked = document(Schema(columns={"a": Column()}))
    found, _ = run_expectations(table, asked, tmp_path, broken)
    assert [finding.column for finding in found] == ["the table"]
    assert "out of luck" in found[0].rule


def test_an_unnamed_column_is_a_finding_even_next_to_a_pattern(tmp_path: Path) -> None:
    schema = Schema(columns={"a*": Column()}, extra="forbid")
    (finding,) = findings(schema, tmp_path)
    assert (finding.column, finding.rule) == ("b", "a column named in the schema")
    assert findings(schema, tmp_path, FRAME[["a"]]) == []
