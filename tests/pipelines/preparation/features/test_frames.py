"""Batches of a table as data frames."""

from __future__ import annotations

import pyarrow as pa

from gristmill.pipelines.preparation.features.frames import to_frame


def test_whole_numbers_beyond_2_to_the_53_become_the_nearest_float() -> None:
    batch = pa.RecordBatch.from_pydict({"self": [2**53 + 1, None], "a": ["x", None]})
    frame = to_frame(batch)
    assert frame["self"][0] == 2.0**53
    assert frame["self"].isna().tolist() == [False, True]
