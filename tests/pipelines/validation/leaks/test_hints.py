"""Hints of leaks: the skill of a single column."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from sklearn.linear_model import LinearRegression

from gristmill.pipelines.validation.leaks.hints import Learnt, skill, strength
from gristmill.pipelines.validation.leaks.reading import Values, values

ROWS = 400
TRAINING = np.arange(ROWS) < 300
RNG = np.random.default_rng(0)
X, NOISE = RNG.normal(size=ROWS), RNG.normal(size=ROWS)


def numbers(name: str, these: npt.NDArray[np.float64]) -> Values:
    made = values(name, pa.chunked_array([these]))
    assert made is not None
    return made


@pytest.mark.parametrize("offset", [0, 1000, -1000])
def test_the_skill_for_numbers_is_r_squared_on_rows_not_learnt_from(offset: float) -> None:
    y = offset + 3 * X + NOISE
    line = LinearRegression().fit(X[TRAINING, None], y[TRAINING])
    expected = line.score(X[~TRAINING, None], y[~TRAINING])
    learnt = Learnt(numbers("y", y), TRAINING, classes=False)
    assert 0.8 < expected < 0.95
    assert skill(numbers("x", X), learnt) == pytest.approx(expected)
    assert strength(numbers("x", X), learnt) is None


def test_a_constant_target_cannot_be_explained() -> None:
    y = np.where(TRAINING, NOISE, 5.0)
    assert skill(numbers("x", X), Learnt(numbers("y", y), TRAINING, classes=False)) == 0
