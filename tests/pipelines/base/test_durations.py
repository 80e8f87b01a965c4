"""Durations: a number and a unit."""

from __future__ import annotations

import pytest

from gristmill.pipelines.base import read_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90s", 90), ("1.5m", 90), ("36h", 129_600), ("30d", 2_592_000), ("2w", 1_209_600)],
)
def test_a_number_and_a_unit_are_converted_to_seconds(text: str, seconds: float) -> None:
    assert read_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "d", "30 d", "-1d", "1y", "1d2h", "1.d", "1d\n2"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number followed by one of s, m, h, d, w"):
        read_duration(text)
