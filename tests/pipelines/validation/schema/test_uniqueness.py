"""Uniqueness: every row of a repeated value is found, for blocks of any size."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.pipelines.validation.schema import uniqueness as unique
from gristmill.pipelines.validation.schema.rules import SHOWN
from gristmill.pipelines.validation.schema.uniqueness import repeated, text_keys

DAYS = [datetime(2020, 1, day, tzinfo=UTC) for day in range(1, 10)]

KINDS: dict[str, tuple[Any, Any]] = {
    "whole numbers": (pa.int64(), st.integers(-3, 9)),
    "numbers": (pa.float64(), st.sampled_from([0.0, -0.0, 1.5, -2.25, float("inf")])),
    "texts": (pa.string(), st.text("ab가", max_size=3)),
    "flags": (pa.bool_(), st.booleans()),
    "dates": (
        pa.timestamp("us", "UTC"),
        st.sampled_from(DAYS),
    ),
    "levels": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from("abcdef")),
}


def found_in(values: Any, size: int) -> list[tuple[int, tuple[int, ...]]]:
    table = pa.table({"a": values})
    findings = repeated("a", lambda: table.to_batches(max_chunksize=size), len(table))
    return [(finding.count, finding.rows) for finding in findings]


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_every_row_of_a_repeated_value_is_found(kind: str, data: st.DataObject) -> None:
    arrow, some = KINDS[kind]
    values = data.draw(st.lists(some | st.none(), min_size=1, max_size=14))
    twice = [i + 1 for i, v in enumerate(values) if v is not None and values.count(v) > 1]
    found = found_in(pa.array(values, type=arrow), data.draw(st.integers(1, 15)))
    assert found == ([(len(twice), tuple(twice[:SHOWN]))] if twice else [])


def test_texts_with_the_same_first_hash_are_separated_by_the_second(monkeypatch: Any) -> None:
    whole = unique.text_keys

    def weak(column: Any, key: str) -> Any:
        hashes = whole(column, key)
        return hashes % np.uint64(7) if key == unique.KEYS[0] else hashes

    monkeypatch.setattr(unique, "text_keys", weak)
    values = [f"name {number}" for number in range(200)]
    assert found_in(pa.array(values), 64) == []
    values[150] = "name 3"
    assert found_in(pa.array(values), 64) == [(2, (4, 151))]


def test_a_hash_depends_only_on_the_text_and_collisions_are_rare() -> None:
    texts = [f"{number:x}" for number in range(200_000)] + ["", "\0", "\0\0", "a\0", "\0a"]
    keys = text_keys(pa.array(texts), unique.KEYS[0])
    assert len(np.unique(keys)) == len(texts)
    turned = text_keys(pa.array(texts[::-1]), unique.KEYS[0])
    assert (turned[::-1] == keys).all()
    assert (text_keys(pa.array(texts).slice(500, 7), unique.KEYS[0]) == keys[500:507]).all()
