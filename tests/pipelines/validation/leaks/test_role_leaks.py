"""Leaks between roles: near-duplicates."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.pipelines.validation.leaks.reading import Looked, Values, look, values
from gristmill.pipelines.validation.leaks.role_leaks import (
    NEAR,
    TEST,
    TRAINING,
    _near_by_chance,
    near_duplicates,
)

ROWS = 200
ROLES = np.where(np.arange(ROWS) % 4 == 0, TEST, TRAINING).astype(np.int8)


def looked_at(folder: Path, **columns: object) -> tuple[Looked, list[Values]]:
    table = pa.table({**columns, "y": np.zeros(ROWS)})
    pq.write_table(table, folder / "table.parquet")
    made = [values(name, table[name]) for name in columns]
    return look(folder / "table.parquet", [*columns], "y"), [one for one in made if one is not None]


@pytest.mark.parametrize("dimension", [1, 2, 3])
def test_evenly_spread_rows_are_near_by_chance_as_often_as_their_dimension_implies(
    dimension: int,
) -> None:
    """Among evenly spread rows, -ln P(distance > r) is proportional to r^dimension."""
    beyond = (np.arange(10_000) + 0.5) / 10_000
    distances = (-np.log(beyond)) ** (1 / dimension)
    expected = 1 - 0.5 ** (NEAR**dimension)
    assert _near_by_chance(distances.astype(np.float32)) == pytest.approx(expected, rel=0.01)


def test_rows_at_equal_distances_are_never_near_by_chance() -> None:
    assert _near_by_chance(np.ones(50, dtype=np.float32)) == 0


def test_a_column_without_finite_values_does_not_separate_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=(ROWS, 4))
    a[::4] = a[1::4] + 1e-6  # each test row beside a training row
    plain = {f"a{place}": a[:, place] for place in range(4)}
    endless = np.where(rng.random(ROWS) < 0.5, np.inf, -np.inf)
    looked, columns = looked_at(tmp_path, **plain)
    expected = near_duplicates(looked, columns, ROLES)
    assert expected is not None
    assert expected.count == 50
    looked, columns = looked_at(tmp_path, **plain, endless=endless)
    assert len(columns) == 5
    assert near_duplicates(looked, columns, ROLES) == expected
