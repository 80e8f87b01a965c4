"""The schema's rules as sentences."""

from __future__ import annotations

from typing import Any

import pytest

from gristmill.pipelines.config.sections import Column
from gristmill.pipelines.validation.schema.sentences import column_said, columns_said, rows_said


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (
            {"type": "integer", "min": 0, "max": 16, "missing": "never"},
            "whole numbers from 0 to 16, never missing",
        ),
        ({"type": "number", "min": 0.5}, "numbers, 0.5 or more"),
        ({"max": 1000}, "numbers, 1,000 or less"),
        ({"type": "date", "max": "2026-01-31"}, "dates, 2026-01-31 or earlier"),
        (
            {"type": "date", "min": "2020-01-01", "max": "2026-01-31"},
            "dates from 2020-01-01 to 2026-01-31",
        ),
        ({"type": "text", "matches": "[a-z]+"}, "texts, each matches [a-z]+"),
        ({"one_of": [1, 2], "unique": True}, "one of 1, 2, each value once"),
        ({"missing": 0.05}, "missing in at most 0.05 of the rows"),
        ({}, "any values"),
    ],
)
def test_a_rule_is_a_sentence(rule: dict[str, Any], words: str) -> None:
    assert column_said(Column(**rule | {"one_of": tuple(rule.get("one_of", ())) or None})) == words


def test_many_columns_are_counted_and_few_are_named() -> None:
    assert columns_said([f"pixel_{i}" for i in range(64)]) == "64 columns pixel_0 … pixel_63"
    assert columns_said(["a", "b", "c"]) == "a, b and c"
    assert columns_said(["a"]) == "a"


def test_the_number_of_rows_is_a_range() -> None:
    assert rows_said(1000, None) == "1,000 rows or more"
    assert rows_said(None, 5) == "5 rows or fewer"
    assert rows_said(2, 5) == "2 to 5 rows"
