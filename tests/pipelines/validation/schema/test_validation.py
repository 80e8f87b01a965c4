"""Validation: fails closed, with every finding and the full report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gristmill.pipelines.base.errors import ConfigError, DataInvalid
from gristmill.pipelines.config.document import Document
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.table import ingest
from gristmill.pipelines.validation.schema.validation import (
    ValidationResult,
    validate,
    validate_table,
)

GOOD = {
    "id": [1, 2, 3, 4],
    "pixel1": [0, 5, 9, 3],
    "pixel2": [1.0, None, 3.0, 2.0],
    "name": ["a", "b", None, "d"],
    "y": ["no", "yes", "no", "yes"],
}
SCHEMA = {
    "rows": {"min": 2, "max": 10},
    "columns": {
        "pixel*": {"type": "number", "min": 0, "max": 9},
        "pixel2": {"type": "number", "min": 0, "max": 3},
        "id": {"type": "integer", "unique": True, "missing": "never"},
        "y": {"one_of": ["yes", "no"]},
    },
}


def make(schema: object = SCHEMA, **data: object) -> Document:
    content = {
        "data": {"path": "data/a/a.csv", "target": "y", "task": "classification", **data},
        "schema": schema,
        "split": {},
        "features": {},
        "model": {"layers": []},
    }
    return Document.model_validate_json(json.dumps(content))


def checked(folder: Path, columns: dict[str, Any], document: Document) -> ValidationResult:
    table = folder / "table.parquet"
    pd.DataFrame(columns).to_parquet(table)
    return validate_table(Project(folder), table, document, folder / "report")


def test_clean_data_pass_and_the_report_is_written(tmp_path: Path) -> None:
    assert checked(tmp_path, GOOD, make()) == ValidationResult(rows=4, columns=5, rules=4)
    report = json.loads((tmp_path / "report" / "result.json").read_text(encoding="utf-8"))
    assert report["success"]
    assert (tmp_path / "report" / "docs" / "index.html").stat().st_size > 1000


def test_all_findings_are_collected_before_the_error_is_raised(tmp_path: Path) -> None:
    bad = GOOD | {"id": [1, 2, 2, 4], "pixel1": [0, 10, 9, 3], "pixel2": [1.0, None, 3.5, 2.0]}
    bad |= {"y": ["no", "yes", None, "maybe"]}
    schema = SCHEMA | {"rows": {"min": 5}, "extra": "forbid"}
    with pytest.raises(DataInvalid, match=r"7 findings") as caught:
        checked(tmp_path, bad, make(schema))
    found = {(p.where, p.expected): p.found for p in caught.value.problems}
    assert found == {
        ("pixel1", "9 or less"): "1 of the rows (25.00%): row 2 with 10",
        ("pixel2", "3 or less"): "1 of the rows (25.00%): row 3 with 3.5",
        ("id", "each value once"): "2 of the rows (50.00%): rows 2, 3 with 2, 2",
        ("y", "one of no, yes"): "1 of the rows (25.00%): row 4 with maybe",
        ("the table", "5 rows or more"): "4 rows",
        ("name", "a column named in the schema"): "not named",
        ("y", "a target in each row"): "1 of the rows (25.00%): row 3",
    }
    assert "full report: report/" in caught.value.next
    report = json.loads((tmp_path / "report" / "result.json").read_text(encoding="utf-8"))
    assert not report["success"]
    details = [d for r in report["results"] for d in r["result"].get("details", [])]
    assert {(d["column"], tuple(d["rows"])) for d in details if isinstance(d, dict)} >= {
        ("pixel1", (2,)),
        ("id", (2, 3)),
    }
    assert (tmp_path / "report" / "docs" / "index.html").is_file()


def test_an_empty_schema_has_no_rules(tmp_path: Path) -> None:
    assert checked(tmp_path, GOOD, make({})) == ValidationResult(rows=4, columns=5, rules=0)


def test_too_many_rows_are_a_finding(tmp_path: Path) -> None:
    with pytest.raises(
        DataInvalid, match=r"the table\n +expected +3 rows or less\n +found +4 rows"
    ):
        checked(tmp_path, GOOD, make({"rows": {"max": 3}}))


@pytest.mark.parametrize(
    ("y", "task", "words"),
    [
        (["no"] * 4, "classification", "two different targets or more"),
        (["1", "2", "x", "3"], "regression", "numbers, for regression"),
        ([1.0, None, 2.0, 3.0], "regression", "a target in each row\n.*row 2"),
    ],
)
def test_an_unusable_target_is_a_finding(
    tmp_path: Path, y: list[object], task: str, words: str
) -> None:
    with pytest.raises(DataInvalid, match=f"(?s)1 finding\n  y\n.*{words}"):
        checked(tmp_path, GOOD | {"y": y}, make({}, task=task))


def test_all_names_missing_from_the_data_are_listed_with_the_nearest(tmp_path: Path) -> None:
    document = make({"columns": {"pixle*": {}, "naem": {}, "id": {}}}, target="yy")
    with pytest.raises(
        ConfigError,
        match=r"(?s)schema\.columns\.pixle\*.*schema\.columns\.naem.*did you mean name\?"
        r".*data\.target.*found +yy\n.*columns id, pixel1, pixel2, name, y",
    ):
        checked(tmp_path, GOOD, document)
    assert not (tmp_path / "report").exists()


def test_missing_column_names_in_rules_and_fresh_are_listed_too(tmp_path: Path) -> None:
    schema = {"rules": [{"check": "id < nmae"}], "fresh": {"column": "when", "within": "7d"}}
    with pytest.raises(
        ConfigError,
        match=r"(?s)schema\.fresh\.column\n.*found +when"
        r".*schema\.rules\.0\.check\n.*found +nmae\n +hint +did you mean name\?",
    ):
        checked(tmp_path, GOOD, make(schema))


def test_warnings_are_recorded_and_do_not_stop_the_run(tmp_path: Path) -> None:
    columns = {"name": {"missing": 0.1, "severity": "warning"}}
    rules = [{"check": "pixel1 < 9", "severity": "warning"}]
    made = checked(tmp_path, GOOD, make({"columns": columns, "rules": rules}))
    assert str(made) == "2 rules hold for 5 columns, 2 warnings"
    assert [(f.column, f.rule, f.rows) for f in made.warnings] == [
        ("name", "at most 0.1 of the rows missing", (3,)),
        ("pixel1", "pixel1 < 9", (3,)),
    ]


def test_errors_stop_the_run_and_are_counted_without_the_warnings(tmp_path: Path) -> None:
    columns = {"name": {"missing": "never", "severity": "warning"}, "id": {"max": 3}}
    with pytest.raises(DataInvalid, match=r"1 finding\n  id\n") as caught:
        checked(tmp_path, GOOD, make({"columns": columns}))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "when",
    [
        ["2026-01-01", "2026-03-01", None, "2025-12-31"],
        list(pd.to_datetime(["2026-01-01", "2026-03-01", None, "2025-12-31"])),
    ],
)
def test_the_newest_date_is_recorded_without_a_clock(tmp_path: Path, when: list[Any]) -> None:
    schema = {"fresh": {"column": "when", "within": "1s"}}
    assert checked(tmp_path, GOOD | {"when": when}, make(schema)).newest == "2026-03-01"


def test_a_freshness_column_without_dates_is_a_finding(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match=r"name\n +expected +a date, to be fresh"):
        checked(tmp_path, GOOD, make({"fresh": {"column": "name", "within": "1d"}}))


def test_the_stage_writes_the_result_and_the_report(project: Project) -> None:
    ingest(project, "diabetes")
    assert str(validate(project, "diabetes")) == "6 rules hold for 11 columns"
    made = json.loads((project.build("diabetes") / "validation.json").read_text())
    assert made == {"rows": 442, "columns": 11, "rules": 6, "warnings": [], "newest": None}
    assert (project.build("diabetes") / "validation" / "docs" / "index.html").is_file()
