"""Errors: readable blocks that survive being sent between processes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.pipelines.base.errors import (
    ConfigError,
    GristmillError,
    InputError,
    Problem,
    _family,
)

KINDS = _family(GristmillError)
texts = st.text(max_size=20)
problems = st.builds(Problem, where=texts, expected=texts, found=texts, hint=texts)


@pytest.mark.parametrize("kind", KINDS)
@given(what=texts, fields=st.tuples(texts, texts, texts), several=st.lists(problems, max_size=3))
def test_every_kind_of_error_survives_a_round_trip_through_json(
    kind: type[GristmillError], what: str, fields: tuple[str, str, str], several: list[Problem]
) -> None:
    expected, found, following = fields
    error = kind(what, expected=expected, found=found, next=following, problems=several)
    back = GristmillError.from_record(json.loads(json.dumps(error.record())))
    assert type(back) is kind
    assert back.record() == error.record()
    assert str(back) == str(error)
    assert back.exit_code == error.exit_code


def test_the_block_shows_what_failed_expected_found_and_the_next_command() -> None:
    error = InputError("it broke", expected="a\nb", found="c", next="type this\nor that")
    assert str(error) == (
        "it broke\n"
        "  expected  a\n"
        "            b\n"
        "  found     c\n"
        "  next      type this\n"
        "            or that"
    )


def test_only_the_first_problems_are_shown_and_the_others_counted() -> None:
    error = ConfigError("many", problems=[Problem(f"place {i}") for i in range(15)])
    lines = error.lines()
    assert len(lines) == 1 + GristmillError.SHOWN + 1
    assert lines[-1] == "  … and 3 more"
    assert len(error.problems) == 15
