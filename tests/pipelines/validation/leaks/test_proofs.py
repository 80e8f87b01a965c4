"""Proofs of leaks: identifiers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from gristmill.pipelines.validation.leaks.proofs import identifier
from gristmill.pipelines.validation.leaks.reading import values


@pytest.mark.parametrize(
    ("rows", "proved"), [((20, 20), True), ((110, 12), True), ((110, 10), False)]
)
def test_blocks_of_classes_are_a_proof_from_20_changes_expected_by_chance(
    rows: tuple[int, int], proved: bool
) -> None:
    """In random order, 2 * a * b / (a + b) rows are followed by one of the other class."""
    y = np.repeat([0.0, 1.0], rows)
    x, target = (
        values(name, pa.chunked_array([column]))
        for name, column in (("id", np.arange(len(y))), ("y", y))
    )
    assert x is not None
    assert target is not None
    leak = identifier(x, target, len(y), classes=True)
    assert (leak is not None) == proved
