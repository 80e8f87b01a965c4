"""Cross-column rules: a block gives the same result as Python for each row."""

from __future__ import annotations

import operator
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.pipelines.config.conditions import read_condition
from gristmill.pipelines.config.sections import Rule
from gristmill.pipelines.validation.schema.rule_checks import check_rule

NUMBERS = st.integers(-4, 4) | st.none()
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS, st.sampled_from(["x", "y", None])), min_size=1)

CHECKS = [
    "a <= b",
    "a + b * 2 > -3",
    "a - b != 1 and text == 'x'",
    "a % 3 == 1 or not b < 0",
    "0 <= a <= b <= 3",
    "-a < b",
    "a / 2 >= b",
    "missing(a) or a > 0",
    "not (missing(b) and missing(text))",
    '`a` == a and text != "z `and` z"',
]


def rows_that_break(check: str, table: dict[str, Any]) -> tuple[int, ...]:
    block = pa.record_batch(table)
    found = check_rule(block, Rule(check=check))
    return found[0].rows if found else ()


def says(check: str, row: dict[str, Any]) -> bool | None:
    """Evaluate a check with Python and the three-valued logic of SQL."""
    import ast

    def value(node: ast.expr) -> Any:
        match node:
            case ast.Name():
                return row[node.id]
            case ast.Constant():
                return node.value
            case ast.Call():
                return value(node.args[0]) is None
            case ast.UnaryOp():
                inner = value(node.operand)
                if inner is None:
                    return None
                return (not inner) if isinstance(node.op, ast.Not) else -inner
            case ast.BoolOp():
                parts = [value(part) for part in node.values]
                ends = isinstance(node.op, ast.Or)
                if ends in parts:
                    return ends
                return None if None in parts else not ends
            case ast.BinOp():
                sides = value(node.left), value(node.right)
                names = {"Add": "add", "Sub": "sub", "Mult": "mul", "Div": "truediv", "Mod": "mod"}
                way = getattr(operator, names[type(node.op).__name__])
                return None if None in sides else way(*sides)
            case ast.Compare():
                sides = [value(side) for side in (node.left, *node.comparators)]
                names = {
                    "LtE": "le",
                    "Lt": "lt",
                    "GtE": "ge",
                    "Gt": "gt",
                    "Eq": "eq",
                    "NotEq": "ne",
                }
                answers = [
                    None if None in pair else getattr(operator, names[type(op).__name__])(*pair)
                    for op, pair in zip(node.ops, pairwise(sides), strict=True)
                ]
                return False if False in answers else None if None in answers else True
        raise AssertionError(node)

    return value(ast.parse(check.replace("`a`", "a"), mode="eval").body)  # type: ignore[no-any-return]


@pytest.mark.parametrize("check", CHECKS)
@given(rows=ROWS)
def test_a_row_breaks_a_rule_if_it_is_false_in_python_and_passes_if_it_is_unknown(
    check: str, rows: list[tuple[Any, ...]]
) -> None:
    named = [dict(zip(("a", "b", "text"), row, strict=True)) for row in rows]
    table = {
        "a": pa.array([row["a"] for row in named], pa.int64()),
        "b": pa.array([row["b"] for row in named], pa.float64()),
        "text": pa.array([row["text"] for row in named], pa.string()),
    }
    broken = [place + 1 for place, row in enumerate(named) if says(check, row) is False]
    assert rows_that_break(check, table) == tuple(broken[:20])


def test_dates_are_compared_with_dates_and_texts_and_subtracted_in_days() -> None:
    table = {
        "start": pa.array([date(2020, 1, 1), date(2020, 1, 1), date(2020, 3, 1), None]),
        "the end": pa.array(
            [datetime(2020, 1, 2, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC)] * 2,
            pa.timestamp("ns", "UTC"),
        ),
    }
    assert rows_that_break("`the end` >= start", table) == (3,)
    assert rows_that_break("`the end` - start < 30", table) == (2,)
    assert rows_that_break("start > '2020-01-01' or `the end` < '2020-01-05'", table) == (2,)


def test_integers_are_exact_and_become_floats_beyond_64_bits() -> None:
    table = {"a": pa.array([2**53 + 1, 2**62]), "b": pa.array([2**53, 2**62])}
    assert rows_that_break("a - b == 1", table) == (2,)
    assert rows_that_break("a + b > 0", table) == ()


def test_a_finding_names_the_columns_and_shows_their_values() -> None:
    block = pa.record_batch({"start": [1, 5], "end": [2, 3]})
    (found,) = check_rule(block, Rule(check="end >= start", severity="warning"), before=10)
    assert (found.column, found.rule) == ("end, start", "end >= start")
    assert (found.rows, found.values) == ((12,), ("end=3 start=5",))
    assert found.severity == "warning"


def test_incompatible_column_types_are_a_finding_for_the_whole_table() -> None:
    block = pa.record_batch({"a": ["1", "many"], "b": [1, 2]})
    for check in ("a > b", "a and b > 1", "a + b > 1", "b > 'x'", "b"):
        (found,) = check_rule(block, Rule(check=check))
        assert "columns of compatible types" in found.rule, check
        assert found.count == 2
    dated = pa.record_batch({"a": [datetime(2020, 1, 1, tzinfo=UTC)]})
    (found,) = check_rule(dated, Rule(check="a > 'soon'"))
    assert "a is date" in found.rule


@pytest.mark.parametrize(
    ("check", "words"),
    [
        ("a >", "cannot be read"),
        ("a = 1", "cannot be read"),
        ("", "cannot be read"),
        ("1 < 2", "names no column"),
        ("a + 1", "must compare"),
        ("a ** 2 > 1", "must not contain .a ..+ 2."),
        ("__import__('os').system('x') == 0", "must not contain"),
        ("a.real > 1", "must not contain .a.real."),
        ("a[0] > 1", "must not contain"),
        ("missing(a, b)", "must not contain .missing"),
        ("a in (1, 2)", "must not contain"),
        ("(lambda: a)() > 1", "must not contain"),
        ("a > 1 if b else 2", "must not contain"),
        ("a > 1j", "must not contain"),
        ("a" * 2000, "longer than 1000"),
        ("-" * 900 + "a > 1", "nested more than 50"),
    ],
)
def test_an_invalid_rule_is_refused_with_the_invalid_part(check: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_condition(check)


def test_any_column_name_can_be_written_in_backticks() -> None:
    assert read_condition("`first name` == '`x`' and 나이 > 1 and `class` > 0").columns == {
        "_quoted_0": "first name",
        "나이": "나이",
        "_quoted_1": "class",
    }
