"""Rules: every violation is found with its row, and clean rows have no finding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.pipelines.config.sections import Column
from gristmill.pipelines.validation.schema import rules
from gristmill.pipelines.validation.schema.rules import SHOWN, Finding, expand, merge, unmatched


def check_block(frame: pd.DataFrame, names: list[str], rule: Column) -> list[Finding]:
    """Check a frame; the rules themselves check Arrow record batches."""
    return rules.check_block(pa.RecordBatch.from_pandas(frame, preserve_index=False), names, rule)


RULES: dict[str, tuple[dict[str, Any], str, list[Any], Any, str]] = {
    # keys of the entry, pandas' type, clean values, a value that breaks it, the rule in words
    "integer": ({"type": "integer"}, "Float64", [1.0, -3.0, None], 2.5, "a whole number"),
    "integer in text": ({"type": "integer"}, "string", ["1", "-3", None], "x", "a whole number"),
    "integer, endless": ({"type": "integer"}, "Float64", [1.0], np.inf, "a whole number"),
    "number": ({"type": "number"}, "string", ["1", "2.5", None], "x", "a number"),
    "number, endless": ({"type": "number"}, "Float64", [1.0, 2.5], -np.inf, "a number"),
    "min": ({"min": 2}, "Int64", [2, 3, None], 1, "2 or more"),
    "max": ({"max": 0.5}, "Float64", [0.5, -1.0, None], 0.51, "0.5 or less"),
    "min of a number": ({"type": "number", "min": 0}, "Float64", [0.0, 1.5], -0.1, "0 or more"),
    "max of texts": ({"max": 9}, "string", ["9", "1e0", None], "10", "9 or less"),
    "missing": ({"missing": "never"}, "Int64", [1, 2], None, "no missing value"),
    "missing text": ({"missing": "never"}, "string", ["a", ""], None, "no missing value"),
    "one of numbers": ({"one_of": (1, 2)}, "Int64", [1, 2, None], 3, "one of 1, 2"),
    "one of whole floats": ({"one_of": (1, 2)}, "Float64", [1.0, 2.0], 1.5, "one of 1, 2"),
    "one of texts": ({"one_of": ("a", "b")}, "string", ["a", None], "A", "one of a, b"),
    "one of flags": ({"one_of": (True,)}, "boolean", [True, None], False, "one of True"),
    "date in text": ({"type": "date"}, "string", ["2020-01-31", None], "2020-02-30", "a date"),
    "first date": (
        {"type": "date", "min": "2020-01-01"},
        "string",
        ["2020-01-01", "2021-05-05T10:00:00", None],
        "2019-12-31",
        "2020-01-01 or later",
    ),
    "last date": (
        {"type": "date", "max": "2020-01-01T12:00"},
        "string",
        ["2020-01-01", "2020-01-01T12:00:00", None],
        "2020-01-01T12:00:01",
        "2020-01-01T12:00 or earlier",
    ),
    "matches": ({"matches": "[a-c]+"}, "string", ["a", "cab", None], "ad", "text that matches"),
}


@pytest.mark.parametrize("case", RULES)
@given(data=st.data())
def test_a_planted_violation_is_found_with_its_row_and_clean_rows_have_none(
    case: str, data: st.DataObject
) -> None:
    keys, kind, clean, bad, words = RULES[case]
    rows, width = data.draw(st.integers(1, 30)), data.draw(st.integers(1, 3))
    names = [f"c{place}" for place in range(width)]
    frame = pd.DataFrame(
        {
            name: pd.array(
                data.draw(st.lists(st.sampled_from(clean), min_size=rows, max_size=rows)),
                dtype=kind,
            )
            for name in names
        }
    )
    rule = Column(**keys)
    assert check_block(frame, names, rule) == []
    row, name = data.draw(st.integers(0, rows - 1)), data.draw(st.sampled_from(names))
    frame.loc[row, name] = bad
    (finding,) = check_block(frame, names, rule)
    assert (finding.column, finding.count, finding.rows) == (name, 1, (row + 1,))
    assert finding.share == 1 / rows
    assert finding.rule.startswith(words)
    assert finding.values == ("nothing" if bad is None else str(bad),)


WRONG_TYPES = [
    ({"type": "text"}, pd.array([1, None], dtype="Int64"), "text"),
    ({"type": "boolean"}, pd.array(["true", None], dtype="string"), "boolean"),
    ({"type": "integer"}, pd.array([True, None], dtype="boolean"), "a whole number"),
    ({"type": "number"}, pd.array([True, None], dtype="boolean"), "a number"),
    ({"type": "date"}, pd.array([20200101, None], dtype="Int64"), "a date"),
    ({"type": "integer"}, pd.array([pd.Timestamp("2020-01-01"), None]), "a whole number"),
]


@pytest.mark.parametrize(("keys", "column", "words"), WRONG_TYPES)
def test_a_column_of_the_wrong_type_breaks_the_rule_in_every_row_with_a_value(
    keys: dict[str, Any], column: Any, words: str
) -> None:
    (finding,) = check_block(pd.DataFrame({"a": column}), ["a"], Column(**keys))
    assert (finding.rule, finding.rows) == (words, (1,))


@pytest.mark.parametrize(
    ("kind", "dtype", "value"),
    [
        ("text", "string", "x"),
        ("boolean", "boolean", True),
        ("integer", "Int64", 2**40),
        ("date", "string", "2020-02-29"),
        ("date", "datetime64[us]", pd.Timestamp("2020-02-29 12:00")),
        ("date", "datetime64[us, Asia/Seoul]", pd.Timestamp("2020-02-29", tz="Asia/Seoul")),
    ],
)
def test_a_column_of_the_right_type_has_no_finding(kind: Any, dtype: str, value: Any) -> None:
    frame = pd.DataFrame({"a": pd.array([value, None], dtype=dtype)})
    assert check_block(frame, ["a"], Column(type=kind)) == []


def test_text_in_a_number_column_is_not_reported_as_out_of_range_too() -> None:
    frame = pd.DataFrame({"a": ["5", "many", "-1"], "b": [1, 2, 3]})
    findings = check_block(frame, ["a", "b"], Column(type="number", min=0))
    assert [(f.column, f.rule, f.values) for f in findings] == [
        ("a", "a number", ("many",)),
        ("a", "0 or more", ("-1",)),
    ]


def test_all_rules_of_an_entry_are_checked() -> None:
    frame = pd.DataFrame({"a": pd.array([None, 5, 5, -1], dtype="Int64")})
    rule = Column(type="integer", min=0, missing="never", one_of=(5, 6))
    found = {finding.rule: finding.rows for finding in check_block(frame, ["a"], rule)}
    assert found == {
        "no missing value": (1,),
        "0 or more": (4,),
        "one of 5, 6": (4,),
    }


def test_a_finding_keeps_the_first_rows_and_counts_all() -> None:
    frame = pd.DataFrame({"a": np.arange(100)})
    (finding,) = check_block(frame, ["a"], Column(max=49))
    assert (finding.count, finding.share) == (50, 0.5)
    assert finding.rows == tuple(range(51, 51 + SHOWN))
    assert finding.values[0] == "50"
    assert (
        str(finding) == "50 of the rows (50.00%): rows 51, 52, 53, 54, 55… with 50, 51, 52, 53, 54"
    )


@given(values=st.lists(st.sampled_from([1, None]), min_size=1, max_size=40))
def test_missing_values_are_a_finding_only_above_the_allowed_share(
    values: list[int | None],
) -> None:
    frame = pd.DataFrame({"a": pd.array(values, dtype="Int64")})
    rule = Column(missing=0.25)
    found = merge(check_block(frame, ["a"], rule), len(values), rule)
    gaps = [place + 1 for place, value in enumerate(values) if value is None]
    assert [(f.rule, f.count, f.rows) for f in found] == (
        [("at most 0.25 of the rows missing", len(gaps), tuple(gaps[:SHOWN]))]
        if len(gaps) / len(values) > 0.25
        else []
    )


def test_a_finding_has_the_severity_of_its_rule() -> None:
    frame = pd.DataFrame({"a": [1, 2]})
    (found,) = check_block(frame, ["a"], Column(max=1, severity="warning"))
    assert found.severity == "warning"


def test_a_finding_without_rows_is_about_the_whole_table() -> None:
    assert str(Finding("the table", "more", 1234, 1.0, (), ())) == "1,234 rows"


COLUMNS = {"pixel*": Column(), "pixel3": Column(), "label": Column()}


def test_a_pattern_matches_all_columns_without_their_own_entry() -> None:
    present = ["pixel1", "label", "pixel3", "pixel2", "other"]
    assert expand(COLUMNS, present) == {
        "pixel*": ["pixel1", "pixel2"],
        "pixel3": ["pixel3"],
        "label": ["label"],
    }


def test_a_name_with_wildcard_characters_is_a_name_if_the_column_exists() -> None:
    assert expand({"s[1]": Column()}, ["s[1]", "s1"]) == {"s[1]": ["s[1]"]}
    assert expand({"s[1-2]": Column()}, ["s1", "s2", "s3"]) == {"s[1-2]": ["s1", "s2"]}


def test_entries_that_match_no_column_are_reported_with_the_nearest_name() -> None:
    hints = {"pixel3": "did you mean pixel1?", "label": "did you mean labels?"}
    assert unmatched(COLUMNS, ["pixel1", "labels"]) == hints
    assert unmatched({"Pixel*": Column()}, ["pixel1"]) == {"Pixel*": "did you mean pixel1?"}
