"""Values, names, bounds and comments in a drafted experiment file."""

from __future__ import annotations

import fnmatch
import glob
import io

from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from gristmill.pipelines.profiling.yaml_text import (
    WIDTH,
    aligned,
    broad,
    comment,
    listed,
    number,
    outward,
    quoted,
    scalar,
    short,
    stems,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def read(text: str) -> object:
    return YAML(typ="safe", pure=True).load(io.StringIO(text))


@given(TEXTS)
def test_any_text_is_read_back_as_key_and_value(text: str) -> None:
    assert read(f"{{{quoted(text)}: [{quoted(text)}]}}") == {text: [text]}


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**17), 10**17))
def test_any_number_is_read_back(value: float) -> None:
    assert read(number(value)) == value


def test_a_dollar_sign_in_a_value_is_escaped() -> None:
    assert scalar("$5") == '"$$5"'


@given(TEXTS)
def test_a_comment_is_one_line_of_valid_yaml(text: str) -> None:
    assert read(f"a: 1  # {comment(text)}\n") == {"a": 1}


@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12))
def test_bounds_contain_the_range_and_keep_its_sign(one: float, two: float) -> None:
    low, high = sorted((one, two))
    least, most = outward(low, high)
    assert least <= low <= high <= most
    assert least >= 0 or low < 0
    assert most <= 0 or high > 0


def test_bounds_are_round_and_one_range_width_away() -> None:
    assert outward(18, 89) == (0, 160)
    assert outward(-3.2, 2.8) == (-9.2, 8.8)
    assert outward(7, 7) == (0, 14)


@given(st.lists(st.from_regex(r"[ab\[*]{1,2}[0-9]{0,3}", fullmatch=True), unique=True))
def test_a_pattern_matches_its_group_and_no_other_column(names: list[str]) -> None:
    for pattern, members in stems(names[: len(names) // 2 + 3], names).items():
        assert fnmatch.filter(names, pattern) == members
    assert all(fnmatch.filter(names, glob.escape(name)) == [name] for name in names)


def test_numbered_columns_are_one_pattern_even_next_to_a_similar_name() -> None:
    pixels = [f"pixel{i}" for i in range(9)]
    assert stems(pixels, pixels) == {"pixel*": pixels}
    assert stems(pixels, [*pixels, "pixels"]) == {"pixel[0-9]*": pixels}
    assert stems(pixels[:4], pixels[:4]) == {}


def test_comments_are_aligned_or_on_the_line_above() -> None:
    lines = aligned([("a: 1", "one"), ("만족도: 2", "two"), ("b" * 90, "three " * 5)], "  ")
    assert {broad(line[: line.index("#")]) for line in lines[:2]} == {13}
    assert lines[2].startswith("  # three")
    assert lines[3] == "  " + "b" * 90


@given(st.lists(st.from_regex(r"[a-z]{1,30}", fullmatch=True), min_size=1))
def test_a_list_is_wrapped_at_the_line_width(entries: list[str]) -> None:
    entries = [quoted(entry) for entry in entries]
    lines = listed(entries, "exclude: ", "  ")
    assert all(len(line) <= WIDTH for line in lines)
    assert read("\n".join(lines)) == {"exclude": [entry.strip('"') for entry in entries]}


def test_numbers_are_displayed_briefly() -> None:
    shown = [short(value) for value in (0, 1984, 25_000, 0.123456, 1234.5, 1.5e12, 2e-7)]
    assert shown == ["0", "1984", "25,000", "0.1235", "1,234", "1.50e+12", "2.00e-07"]
