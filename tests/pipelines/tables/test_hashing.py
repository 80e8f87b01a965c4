"""Row hashes: equal for equal content, uniform on [0, 1), stable across versions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from gristmill.pipelines.tables.hashing import (
    Hashes,
    column_hashes,
    combine,
    distinct_share,
    occurrences,
    row_hashes,
    uniform,
)

N = 100_000
PINNED = [12374758092038616437, 10224648517387011154]
PINNED_U = 0.545245862148322


def hashes_of(frame: pd.DataFrame, columns: list[str]) -> Hashes:
    return row_hashes(pa.Table.from_pandas(frame, preserve_index=False), columns)


FRAME = pd.DataFrame({"n": [1, 2, 2], "t": ["a", "b", "b"], "m": [0.5, None, None]})


def test_rows_have_equal_hashes_only_if_their_values_are_equal() -> None:
    first, second, third = hashes_of(FRAME, ["n", "t", "m"])
    assert second == third
    assert first != second


@given(
    values=st.lists(st.integers(-(2**50), 2**50) | st.none(), min_size=1, max_size=8),
    order=st.permutations(["a", "b", "c"]),
)
def test_the_hash_does_not_depend_on_number_types_or_column_order(
    values: list[int | None], order: list[str]
) -> None:
    whole = pd.DataFrame({"a": pd.array(values, dtype="Int64"), "b": 1, "c": "x"})
    real = pd.DataFrame({"a": pd.array(values, dtype="Float64"), "b": 1.0, "c": "x"})[order]
    plain = pd.DataFrame({"a": np.array(values, dtype="float64"), "b": np.int8(1), "c": "x"})
    expected = hashes_of(whole, ["a", "b", "c"])
    assert (hashes_of(real, order) == expected).all()
    assert (hashes_of(plain, ["a", "b", "c"]) == expected).all()


def test_minus_zero_equals_zero_and_a_missing_value_does_not() -> None:
    frame = pd.DataFrame({"a": [0.0, -0.0, None]})
    zero, minus, missing = hashes_of(frame, ["a"])
    assert zero == minus
    assert zero != missing


def test_swapped_values_of_two_columns_change_the_hash() -> None:
    frame = pd.DataFrame({"a": [1, 2], "b": [2, 1]})
    first, second = hashes_of(frame, ["a", "b"])
    assert first != second


def test_hashes_are_the_same_in_every_version() -> None:
    assert [int(h) for h in hashes_of(FRAME, ["n", "t", "m"])[:2]] == PINNED
    assert uniform(hashes_of(FRAME, ["n"]), 0)[0] == PINNED_U


def test_occurrences_number_equal_hashes_in_row_order() -> None:
    hashes = np.array([7, 8, 7, 7, 8], dtype=np.uint64)
    assert occurrences(hashes).tolist() == [0, 0, 1, 2, 1]
    assert len(set(combine(hashes, occurrences(hashes)).tolist())) == 5


def test_occurrences_of_an_empty_array_are_empty() -> None:
    assert occurrences(np.array([], dtype=np.uint64)).tolist() == []


@given(
    first=st.integers(-(2**63), 2**63 - 1),
    second=st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2),
)
def test_integers_of_any_size_have_equal_hashes_only_if_they_are_equal(
    first: int, second: int
) -> None:
    second = first + second if abs(second) <= 2 and abs(first + second) < 2**63 else second
    one, other = column_hashes(pa.array([first, second], pa.int64()))
    assert (one == other) == (first == second)
    real = float(first)
    (as_real,) = column_hashes(pa.array([real], pa.float64()))
    assert (as_real == one) == (real == first)


@given(value=st.integers(2**53, 2**64 - 1))
def test_an_integer_has_the_same_hash_in_every_integer_type(value: int) -> None:
    (wide,) = column_hashes(pa.array([value], pa.uint64()))
    if value < 2**63:
        assert column_hashes(pa.array([value], pa.int64()))[0] == wide


def test_a_timestamp_has_the_same_hash_in_every_unit_but_not_that_of_its_number() -> None:
    day = pd.Timestamp("2026-01-31")
    kinds = [pa.date32(), pa.date64(), *(pa.timestamp(unit) for unit in ("s", "ms", "us", "ns"))]
    made = {int(column_hashes(pa.array([day], kind))[0]) for kind in kinds}
    zone = pa.array([day.tz_localize("UTC").tz_convert("Asia/Seoul")])
    assert made == {int(column_hashes(zone)[0])}
    number = pa.array([day.value // 1000])
    assert made != {int(column_hashes(number)[0])}


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary()])
def test_a_string_has_the_same_hash_in_every_type_and_dictionary(kind: pa.DataType) -> None:
    plain = column_hashes(pa.array(["a", None, "한", "a"], pa.string()))
    other = pa.array(["a", None, "한", "a"], pa.string()).cast(kind)
    assert (column_hashes(other) == plain).all()
    assert (column_hashes(other.dictionary_encode()) == plain).all()
    assert plain[0] == plain[3] != plain[1]


def test_binary_values_that_are_not_utf_8_are_hashed_by_their_bytes() -> None:
    picture = pa.array([bytes([255, 0, 1]), bytes([255, 0, 2]), bytes([255, 0, 1])])
    first, second, third = column_hashes(picture.cast(pa.binary(3)))
    assert first == third != second


def test_nan_and_null_have_the_same_hash_in_every_type() -> None:
    missing = column_hashes(pa.array([None, None], pa.null()))
    assert (column_hashes(pa.array([np.nan, None])) == missing).all()
    assert (column_hashes(pa.array([None, None], pa.string())) == missing).all()


def test_distinct_share_is_distinct_hashes_over_rows() -> None:
    assert distinct_share(np.array([3, 3, 4, 5], dtype=np.uint64)) == 0.75


@pytest.mark.parametrize("kind", ["whole numbers", "close numbers", "texts"])
@pytest.mark.parametrize("seed", range(3))
def test_the_numbers_are_uniform_on_0_to_1(kind: str, seed: int) -> None:
    steps = np.arange(N)
    column = {
        "whole numbers": steps,
        "close numbers": 1 + steps * 1e-12,
        "texts": steps.astype(str),
    }
    u = uniform(hashes_of(pd.DataFrame({"a": column[kind]}), ["a"]), seed)
    assert u.min() >= 0
    assert u.max() < 1
    counts = np.histogram(u, bins=100, range=(0, 1))[0]
    assert stats.chisquare(counts).pvalue > 0.001
    assert stats.kstest(u, "uniform").pvalue > 0.001


def test_another_seed_gives_uncorrelated_numbers() -> None:
    hashes = hashes_of(pd.DataFrame({"a": np.arange(N)}), ["a"])
    first, second = uniform(hashes, 0), uniform(hashes, 1)
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(N)
