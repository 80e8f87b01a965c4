"""Numbers for people: the digits they need, and no needless exponent."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.pipelines.reporting import number


@pytest.mark.parametrize(
    ("value", "digits", "written"),
    [
        (340.2, 2, "340"),
        (0.93812, 4, "0.9381"),
        (-12345.678, 4, "-12,346"),
        (0.99996, 4, "1"),
        (0.5, 4, "0.5"),
        (0.0, 4, "0"),
        (0.00012345, 3, "0.000123"),
        (3.2e-7, 3, "3.2e-07"),
        (1e20, 4, "1e+20"),
        (math.nan, 4, "nan"),
        (math.inf, 4, "inf"),
    ],
)
def test_a_number_has_its_significant_digits(value: float, digits: int, written: str) -> None:
    assert number(value, digits) == written


@given(st.floats(1e-4, 1e12), st.integers(1, 8))
def test_no_exponent_is_written_and_the_value_is_kept(value: float, digits: int) -> None:
    written = number(value, digits)
    assert "e" not in written
    assert float(written.replace(",", "")) == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))
