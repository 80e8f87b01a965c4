"""Great Expectations' own expectations: listed in the experiment file, or in a suite it saved."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gristmill.pipelines.base.errors import ConfigError, DataInvalid, EnvironmentFault
from gristmill.pipelines.config.experiment_file import check_sections
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.sections.schema import ValidateSections
from gristmill.pipelines.validation.schema.given_expectations import (
    GivenExpectation,
    frame_for,
    given_expectations,
)
from gristmill.pipelines.validation.schema.gx import core, gx
from gristmill.pipelines.validation.schema.validation import ValidationResult, validate_table
from tests.conftest import BIN, clean_environment

FRAME = pd.DataFrame(
    {
        "age": [20.0, 30.0, 40.0, None, 90.0],
        "name": ["a", "b", "c", "d", "e"],
        "day": pd.to_datetime(["2024-01-01"] * 4 + ["2030-01-01"]),
        "y": ["no", "yes", "no", "yes", "no"],
    }
)


def sections(*expectations: Any, **schema: Any) -> ValidateSections:
    raw = {
        "data": {"path": "data/a/a.csv", "target": "y", "task": "classification"},
        "schema": {"expectations": list(expectations), **schema},
        "split": {},
    }
    return check_sections(ValidateSections, "a", raw)


def validated(folder: Path, *expectations: Any, **schema: Any) -> ValidationResult:
    (folder / "experiments" / "expectations").mkdir(parents=True, exist_ok=True)
    table = folder / "table.parquet"
    FRAME.to_parquet(table)
    document = sections(*expectations, **schema)
    return validate_table(Project(folder), table, document, folder / "report")


def refused(folder: Path, *expectations: Any, **schema: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        given_expectations(Project(folder), sections(*expectations, **schema).schema_)
    return str(caught.value)


def save_suite(folder: Path, *expectations: Any) -> None:
    """Save a suite with Great Expectations in a separate project, and copy it."""
    context = gx.get_context(mode="file", project_root_dir=folder / "elsewhere")
    context.suites.add(gx.ExpectationSuite("churn", expectations=list(expectations)))
    place = folder / "experiments" / "expectations" / "churn.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes((folder / "elsewhere" / "gx" / "expectations" / "churn.json").read_bytes())


def test_expectations_that_hold_are_counted_among_the_rules(tmp_path: Path) -> None:
    median = {"ExpectColumnMedianToBeBetween": {"column": "age", "min_value": 20, "max_value": 60}}
    result = validated(tmp_path, median, columns={"age": {"min": 0}})
    assert str(result) == "2 rules hold for 4 columns"
    kept = json.loads((tmp_path / "report" / "result.json").read_text(encoding="utf-8"))
    assert {part["expectation_config"]["type"] for part in kept["results"]} >= {
        "expect_column_median_to_be_between"
    }


def test_expectations_that_do_not_hold_are_findings_with_rows_and_values(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="5 findings") as caught:
        validated(
            tmp_path,
            {"ExpectColumnMedianToBeBetween": {"column": "age", "max_value": 30}},
            {"ExpectColumnValuesToBeBetween": {"column": "age", "max_value": 60}},
            {"ExpectColumnValuesToBeBetween": {"column": "day", "max_value": "2025-01-01"}},
            {"ExpectTableRowCountToEqual": {"value": 3}},
            columns={"name": {"one_of": ["a", "b", "c", "d"]}},
        )
    assert caught.value.exit_code == 2
    assert {(p.where, p.expected, p.found) for p in caught.value.problems} == {
        ("name", "one of a, b, c, d", "1 of the rows (20.00%): row 5 with e"),
        ("age", "median must be less than or equal to 30", "35"),
        (
            "age",
            "values must be less than or equal to 60",
            "1 of the rows (20.00%): row 5 with 90",
        ),
        (
            "day",
            "values must be less than or equal to 2025-01-01",
            "1 of the rows (20.00%): row 5 with 2030-01-01",
        ),
        ("the table", "Must have exactly 3 rows", "5"),
    }


def test_a_warning_is_recorded_and_does_not_stop_the_run(tmp_path: Path) -> None:
    asked = {"column": "age", "max_value": 30, "severity": "warning"}
    (found,) = validated(tmp_path, {"ExpectColumnMedianToBeBetween": asked}).warnings
    assert (found.column, found.values, found.severity) == ("age", ("35",), "warning")


@pytest.mark.parametrize(("mostly", "holds"), [(0.7, True), (0.9, False)])
def test_mostly_allows_a_share_of_the_rows(tmp_path: Path, mostly: float, holds: bool) -> None:
    asked = {"column": "age", "max_value": 60, "mostly": mostly, "severity": "warning"}
    result = validated(tmp_path, {"ExpectColumnValuesToBeBetween": asked})
    assert (result.warnings == ()) is holds


def test_an_expectation_that_cannot_be_computed_stops_the_run_even_as_a_warning(
    tmp_path: Path,
) -> None:
    asked = {"column": "name", "max_value": 3, "severity": "warning"}
    with pytest.raises(
        DataInvalid, match=r"name\n +expected +a check without an error: median must be"
    ):
        validated(tmp_path, {"ExpectColumnMedianToBeBetween": asked})


def test_ranges_of_quantiles_are_computed_and_reported(tmp_path: Path) -> None:
    ranges = {"quantiles": [0.5], "value_ranges": [[30, 50]]}
    asked = {"column": "age", "quantile_ranges": ranges}
    assert not validated(tmp_path, {"ExpectColumnQuantileValuesToBeBetween": asked}).warnings
    ranges["value_ranges"] = [[80, 90]]
    with pytest.raises(DataInvalid, match=r"quantile values to be between \(quantile_ranges"):
        validated(tmp_path, {"ExpectColumnQuantileValuesToBeBetween": asked})


def test_a_misspelt_name_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        ConfigError, match=r"has no 'ExpectColumMedianToBe'; did you mean ExpectColumnM\w+\?"
    ):
        sections({"ExpectColumMedianToBe": {"column": "age"}})


def test_all_wrong_arguments_are_listed_before_anything_runs(tmp_path: Path) -> None:
    said = refused(
        tmp_path,
        {"ExpectColumnMedianToBeBetween": {"column": "age", "max_vlaue": 3}},
        {"ExpectColumnMedianToBeBetween": {"min_value": 3}},
        {"ExpectColumnValuesToBeBetween": {"column": "age", "max_value": 3, "mostly": 2}},
        {"ExpectColumnValuesToBeBetween": {"column": "age"}},
        {"ExpectColumnMedianToBeBetween": {"column": "age", "severity": "error"}},
        {"ExpectColumnMedianToBeBetween": {"column": "age", "max_value": {"$PARAMETER": "top"}}},
        {"ExpectColumnValuesToMatchLikePattern": {"column": "name", "like_pattern": "a%"}},
        {"UnexpectedRowsExpectation": {"unexpected_rows_query": "SELECT 1"}},
        {"ExpectColumnMedianToBeBetween": {"column": "age", "windows": [{}]}},
    )
    assert said.startswith("the expectations are not valid: 9 problems")
    for words in (
        "unknown argument 'max_vlaue'\n    hint      did you mean max_value?",
        "schema.expectations.1.ExpectColumnMedianToBeBetween.column\n    expected  a value",
        "mostly\n    expected  ensure this value is less than or equal to 1.0\n    found     2",
        "min_value and max_value cannot both be None",
        "permitted: 'critical', 'warning', 'info'\n    found     'error'",
        "the suite parameter top, which has no value",
        "schema.expectations.6.ExpectColumnValuesToMatchLikePattern\n    expected  an expectation",
        "found     one that needs a SQL database",
        "windows, which need a store of earlier results",
        "next      correct schema.expectations",
    ):
        assert words in said


def test_columns_missing_from_the_table_are_refused_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"(?s)schema\.expectations\.0.*did you mean name\?"):
        validated(tmp_path, {"ExpectColumnValuesToBeUnique": {"column": "naem"}})
    with pytest.raises(DataInvalid, match="is a required field"):
        validated(tmp_path, {"ExpectColumnToExist": {"column": "naem"}})


def test_a_suite_saved_by_great_expectations_is_run(tmp_path: Path) -> None:
    save_suite(
        tmp_path,
        core.ExpectColumnMedianToBeBetween(column="age", max_value=30, severity="warning"),
        core.ExpectColumnValuesToBeUnique(column="name"),
    )
    result = validated(tmp_path, suite="expectations/churn.json")
    assert (result.rules, [found.column for found in result.warnings]) == (2, ["age"])


@pytest.mark.parametrize(
    "suite",
    ["/etc/suite.json", "../suite.json", "expectations/../a.json", "a.json", "expectations"],
)
def test_a_suite_must_be_in_the_folder_that_dvc_watches(suite: str) -> None:
    with pytest.raises(ConfigError, match=r"must be a JSON file in experiments/expectations/"):
        sections(suite=suite)


def test_a_missing_or_invalid_suite_is_refused(tmp_path: Path) -> None:
    save_suite(tmp_path, core.ExpectColumnValuesToBeUnique(column="name"))
    said = refused(tmp_path, suite="expectations/chrun.json")
    assert "next      schema: {suite: expectations/churn.json}" in said
    place = tmp_path / "experiments" / "expectations" / "churn.json"
    for content in ("{", "[]", '{"expectations": {}}'):
        place.write_text(content)
        said = refused(tmp_path, suite="expectations/churn.json")
        assert "is not a suite that Great Expectations saved" in said
    place.write_text('{"expectations": [{"type": "expect_colum_to_exist", "kwargs": {}}]}')
    assert "did you mean expect_column_to_exist?" in refused(
        tmp_path, suite="expectations/churn.json"
    )
    outside = tmp_path / "outside.json"
    outside.write_text('{"expectations": []}')
    place.unlink()
    place.symlink_to(outside)
    assert "there is no suite" in refused(tmp_path, suite="expectations/churn.json")


def test_only_the_named_columns_are_read(tmp_path: Path) -> None:
    table = tmp_path / "table.parquet"
    FRAME.to_parquet(table)

    def read(kind: str, **arguments: Any) -> list[str]:
        given = [GivenExpectation("here", getattr(core, kind)(**arguments))]
        return list(frame_for(table, given).columns)

    assert read("ExpectColumnMedianToBeBetween", column="age") == ["age"]
    assert read("ExpectCompoundColumnsToBeUnique", column_list=["y", "name"]) == ["name", "y"]
    condition = {"row_condition": 'col("day").notNull()', "condition_parser": "great_expectations"}
    assert read("ExpectColumnValuesToBeUnique", column="name", **condition) == ["name", "day"]
    assert read("ExpectTableRowCountToEqual", value=5) == list(FRAME.columns)
    assert frame_for(table, []).empty


def test_columns_larger_than_half_of_the_free_memory_are_refused_with_their_size(
    tmp_path: Path,
) -> None:
    table = tmp_path / "table.parquet"
    pd.DataFrame({"a": range(1 << 20)}).to_parquet(table)
    given = [GivenExpectation("here", core.ExpectColumnMedianToBeBetween(column="a", max_value=1))]
    size = 8 << 20
    assert len(frame_for(table, given, free=3 * size)) == 1 << 20
    with pytest.raises(
        EnvironmentFault, match=r"(?s)not enough memory.*with 1 columns.*0\.0 GiB.*fewer"
    ):
        frame_for(table, given, free=size)


def test_names_are_checked_without_importing_great_expectations() -> None:
    code = (
        "import sys; from gristmill.pipelines.config import Schema, Project\n"
        "Schema(expectations=({'ExpectColumnToExist': {'column': 'a'}},))\n"
        "from gristmill.pipelines.validation import check_expectations\n"
        "check_expectations(Project.find(), Schema())\n"
        "sys.exit('great_expectations' in sys.modules)"
    )
    subprocess.run([sys.executable, "-P", "-c", code], check=True)


def test_the_data_docs_show_rules_as_sentences_with_the_rows_that_break_them(
    tmp_path: Path,
) -> None:
    with pytest.raises(DataInvalid):
        validated(
            tmp_path,
            {"ExpectColumnMedianToBeBetween": {"column": "age", "max_value": 30}},
            columns={"age": {"type": "number", "min": 0, "max": 60, "missing": "never"}},
            rules=[{"check": "age >= 0", "severity": "warning"}],
            rows={"min": 2},
        )
    pages = (tmp_path / "report" / "docs").rglob("*.html")
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    for words in (
        "age: numbers from 0 to 60, never missing",
        "each row: age &gt;= 0 (only a warning)",
        "the table: 2 rows or more",
        "row 5: 90",
        "1 (20.00%)",
        "median must be less than or equal to",
        'i.fa-times::before { content: "✗"',  # icons without a network
    ):
        assert words in text or words.replace("&gt;", ">") in text
    assert "{&#34;type&#34;" not in text
    assert '{"type"' not in text


@pytest.mark.slow
def test_a_changed_suite_runs_validate_again_under_dvc_repro(reproduced: Project) -> None:
    def reproduce() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(BIN / "dvc"), "repro", "-s", "validate@digits"],
            cwd=reproduced.root,
            env=clean_environment(),
            capture_output=True,
            text=True,
        )

    save_suite(reproduced.root, core.ExpectColumnMedianToBeBetween(column="digit", max_value=9))
    file = reproduced.experiment_file("digits")
    asking = "schema:\n  suite: expectations/churn.json\n"
    file.write_text(file.read_text().replace("schema:\n", asking, 1))
    assert "3 rules hold" in reproduce().stdout
    assert "didn't change" in reproduce().stdout
    suite = reproduced.experiments / "expectations" / "churn.json"
    suite.write_text(suite.read_text().replace('"max_value": 9', '"max_value": 1'))
    done = reproduce()
    assert done.returncode != 0
    assert "median must be less than or equal to 1" in done.stdout + done.stderr
