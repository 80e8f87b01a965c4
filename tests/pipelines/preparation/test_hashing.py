"""Hashes of rows: equal for equal content, even over [0, 1), and the same for ever."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pipelines.preparation.hashing import combine, occurrences, row_hashes, uniform

N = 100_000
PINNED = [12374758092038616437, 10224648517387011154]
PINNED_U = 0.545245862148322
FRAME = pd.DataFrame({"n": [1, 2, 2], "t": ["a", "b", "b"], "m": [0.5, None, None]})


def test_equal_rows_hash_alike_and_others_do_not() -> None:
    first, second, third = row_hashes(FRAME, ["n", "t", "m"])
    assert second == third
    assert first != second


@given(
    values=st.lists(st.integers(-(2**50), 2**50) | st.none(), min_size=1, max_size=8),
    order=st.permutations(["a", "b", "c"]),
)
def test_numbers_of_equal_value_hash_alike_whatever_their_type_or_the_order_of_columns(
    values: list[int | None], order: list[str]
) -> None:
    whole = pd.DataFrame({"a": pd.array(values, dtype="Int64"), "b": 1, "c": "x"})
    real = pd.DataFrame({"a": pd.array(values, dtype="Float64"), "b": 1.0, "c": "x"})[order]
    plain = pd.DataFrame({"a": np.array(values, dtype="float64"), "b": np.int8(1), "c": "x"})
    expected = row_hashes(whole, ["a", "b", "c"])
    assert (row_hashes(real, order) == expected).all()
    assert (row_hashes(plain, ["a", "b", "c"]) == expected).all()


def test_the_sign_of_zero_does_not_count_and_a_missing_value_is_no_zero() -> None:
    frame = pd.DataFrame({"a": [0.0, -0.0, None]})
    zero, minus, missing = row_hashes(frame, ["a"])
    assert zero == minus
    assert zero != missing


def test_a_value_in_another_column_is_another_row() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [2, 1]})
    first, second = row_hashes(frame, ["a", "b"])
    assert first != second


def test_hashes_are_the_same_in_every_version() -> None:
    assert [int(h) for h in row_hashes(FRAME, ["n", "t", "m"])[:2]] == PINNED
    assert uniform(row_hashes(FRAME, ["n"]), 0)[0] == PINNED_U


def test_occurrences_count_equal_hashes_in_the_order_of_rows() -> None:
    hashes = np.array([7, 8, 7, 7, 8], dtype=np.uint64)
    assert occurrences(hashes).tolist() == [0, 0, 1, 2, 1]
    assert len(set(combine(hashes, occurrences(hashes)).tolist())) == 5


@pytest.mark.parametrize("kind", ["whole numbers", "close numbers", "texts"])
@pytest.mark.parametrize("seed", range(3))
def test_the_numbers_are_even_over_0_to_1(kind: str, seed: int) -> None:
    steps = np.arange(N)
    column = {
        "whole numbers": steps,
        "close numbers": 1 + steps * 1e-12,
        "texts": steps.astype(str),
    }
    u = uniform(row_hashes(pd.DataFrame({"a": column[kind]}), ["a"]), seed)
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.histogram(u, bins=100, range=(0, 1))[0]
    assert stats.chisquare(counts).pvalue > 0.001
    assert stats.kstest(u, "uniform").pvalue > 0.001


def test_another_seed_gives_unrelated_numbers() -> None:
    hashes = row_hashes(pd.DataFrame({"a": np.arange(N)}), ["a"])
    first, second = uniform(hashes, 0), uniform(hashes, 1)
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(N)
