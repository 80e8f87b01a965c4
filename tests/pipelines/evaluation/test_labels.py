"""Thresholds: chosen by cost or precision, stored with predictions, used for all labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_score

from gristmill.pipelines.evaluation.labels import Labels, Threshold, choose_threshold
from gristmill.pipelines.evaluation.metrics.calibration import calibrate
from gristmill.pipelines.evaluation.metrics.measures import score
from gristmill.pipelines.evaluation.predictions import (
    Predictions,
    read_predictions,
    write_predictions,
)


def scored(seed: int, rows: int = 200, steps: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    truth = (rng.random(rows) < 0.3).astype(int)
    share = 1 / (1 + np.exp(-rng.normal(2 * truth - 1.5)))
    share = np.round(share * steps) / steps if steps else share
    return truth, np.stack([1 - share, share], axis=1)


@given(st.integers(0, 10_000), st.sampled_from([0, 1, 4, 10]), st.floats(0.1, 10))
def test_no_other_threshold_has_a_lower_cost(seed: int, steps: int, missed: float) -> None:
    truth, outputs = scored(seed, 60, steps)
    made = choose_threshold(truth, outputs, 1, false_positive=1, false_negative=missed)

    def cost(threshold: float) -> float:
        called = outputs[:, 1] >= threshold
        return float((called & (truth == 0)).sum() + missed * (~called & (truth == 1)).sum())

    every = [cost(float(end)) for end in (*np.unique(outputs[:, 1]), 0.0, 1.1)]
    assert cost(made.value) == pytest.approx(min(every))


@pytest.mark.parametrize("place", [0, 1])
def test_at_a_required_precision_recall_is_maximal(place: int) -> None:
    truth, outputs = scored(0)
    made = choose_threshold(truth, outputs, place, precision=0.8)
    called = outputs[:, place] >= made.value
    assert made.reached
    assert precision_score(truth == place, called) >= 0.8
    for end in np.unique(outputs[:, place]):
        more = outputs[:, place] >= end
        if (more & (truth == place)).sum() > (called & (truth == place)).sum():
            assert precision_score(truth == place, more) < 0.8


def test_a_precision_that_no_threshold_reaches_is_reported() -> None:
    truth, outputs = scored(0, steps=3)
    made = choose_threshold(truth, outputs[:, ::-1], 1, precision=0.99)
    assert not made.reached
    assert made.rule == "highest recall at a precision of 0.99"


def test_labels_follow_the_threshold_and_rank_metrics_do_not() -> None:
    truth, outputs = scored(1)
    plain, strict = Labels(("no", "yes")), Labels(("no", "yes"), Threshold(0.8, 1))
    np.testing.assert_array_equal(strict.of(outputs), outputs[:, 1] >= 0.8)
    turned = Labels(("no", "yes"), Threshold(0.8, 0))
    np.testing.assert_array_equal(turned.of(outputs), outputs[:, 0] < 0.8)
    for name in ("accuracy", "recall:yes", "f1_macro", "mcc"):
        assert score(name, truth, outputs, plain) != score(name, truth, outputs, strict)
    for name in ("roc_auc", "log_loss", "ece"):
        assert score(name, truth, outputs, plain) == score(name, truth, outputs, strict)


def test_predictions_keep_their_threshold(tmp_path: Path) -> None:
    truth, outputs = scored(2)
    made = Predictions(np.arange(200), truth, outputs, ("no", "yes"), None, Threshold(0.3, 1))
    write_predictions(tmp_path / "p.parquet", made)
    stored = read_predictions(tmp_path / "p.parquet")
    assert stored.threshold == made.threshold
    np.testing.assert_array_equal(stored.answers, outputs[:, 1] >= 0.3)
    np.testing.assert_array_equal(stored.rows([4, 2]).answers, stored.answers[[4, 2]])
    plain = replace(made, threshold=None)
    write_predictions(tmp_path / "p.parquet", plain)
    assert read_predictions(tmp_path / "p.parquet").threshold is None


def test_a_calibrated_model_is_on_the_diagonal_and_an_overconfident_one_is_not() -> None:
    rng = np.random.default_rng(0)
    share = rng.random(4000)
    truth = (rng.random(4000) < share).astype(int)

    def of(told: Any) -> Any:
        outputs = np.stack([1 - told, told], axis=1)
        return calibrate(Predictions(np.arange(4000), truth, outputs, ("no", "yes")))

    sound, bold = of(share), of(np.where(share > 0.5, 0.99, 0.01))
    assert sound.of == "yes"
    assert [one.rows for one in sound.bins] == [400] * 10
    inside = sum(one.low <= one.confidence <= one.high for one in sound.bins)
    assert inside >= 8
    assert sound.ece.value < 0.03 < 0.2 < bold.ece.value
    assert bold.ece.low > 0.2
    assert sum(one.rows for one in bold.bins) == 4000


def test_certain_answers_and_regressions_have_no_calibration() -> None:
    truth, outputs = scored(0)
    certain = Predictions(np.arange(200), truth, np.eye(2)[outputs.argmax(axis=1)], ("no", "yes"))
    assert calibrate(certain) is None
    assert calibrate(Predictions(np.arange(2), np.zeros(2), np.ones(2), None)) is None
