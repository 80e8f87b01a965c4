"""Baselines that a model must exceed."""

from __future__ import annotations

import numpy as np
import pytest

from gristmill.pipelines.evaluation.baselines import baseline_outputs
from gristmill.pipelines.evaluation.metrics.measures import score


def test_probabilities_of_both_baselines_sum_to_one_and_the_linear_one_learns() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4)).astype(np.float32)
    y = np.digitize(x[:, 0] + x[:, 1], [-1, 1]).astype(np.int32)
    made = baseline_outputs(x[:200], y[:200], x[200:], 3)
    for outputs in made.values():
        assert outputs.shape == (100, 3)
        np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-6)
    most = np.bincount(y[:200]).argmax()
    assert set(made["dummy"].argmax(axis=1)) == {most}
    assert score("accuracy", y[200:], made["linear"]) > 0.9


def test_a_class_without_rows_in_the_sample_has_probability_zero() -> None:
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    made = baseline_outputs(x, np.array([0, 2, 0, 2, 0, 2], np.int32), x[:2], 4)
    for outputs in made.values():
        assert outputs.shape == (2, 4)
        np.testing.assert_array_equal(outputs[:, [1, 3]], 0)
        np.testing.assert_allclose(outputs.sum(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("classes", [2, None])
def test_the_linear_model_has_one_column_for_each_code(
    classes: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gristmill.pipelines.evaluation.baselines.PART", 7)
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=300), rng.integers(0, 6, 300)], axis=1).astype(np.float32)
    y = (x[:, 1] % 2).astype(np.int32 if classes else np.float32)  # not linear in the codes
    made = baseline_outputs(x[:200], y[:200], x[200:], classes, [6])["linear"]
    assert score("accuracy" if classes else "r2", y[200:], made) > 0.95


def test_pictures_are_flattened_and_regressions_predicted() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2, 3)).astype(np.float32)
    y = x.sum(axis=(1, 2))
    made = baseline_outputs(x[:50], y[:50], x[50:], None)
    np.testing.assert_allclose(made["dummy"], np.full(10, y[:50].mean()), rtol=1e-5)
    assert score("r2", y[50:], made["linear"]) > 0.99


def test_baselines_of_many_rows_are_fitted_on_evenly_spaced_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gristmill.pipelines.evaluation.baselines.MOST_ROWS", 5)
    y = np.array([0, 9, 9] * 4, np.float32)  # every third row is 0
    made = baseline_outputs(np.zeros((12, 1), np.float32), y, np.zeros((1, 1), np.float32), None)
    assert made["dummy"].tolist() == [0]
