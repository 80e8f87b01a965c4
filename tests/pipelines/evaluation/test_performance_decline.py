"""A decline on new rows is reported if it matters and is significant."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from gristmill.pipelines.evaluation import performance_decline as module
from gristmill.pipelines.evaluation.labels import Threshold
from gristmill.pipelines.evaluation.performance_decline import decline, measured
from gristmill.pipelines.evaluation.predictions import Predictions

RNG = np.random.default_rng


def classes(rng: Any, rows: int, right: float) -> Predictions:
    """Return answers for three classes, a share `right` of them correct, probabilities 0.5 to 1."""
    truth = rng.integers(0, 3, rows)
    given = np.where(rng.random(rows) < right, truth, (truth + 1) % 3)
    sure = rng.uniform(0.5, 1, rows)
    outputs = np.repeat((1 - sure)[:, None] / 2, 3, axis=1)
    outputs[np.arange(rows), given] = sure
    return Predictions(np.zeros(rows, np.uint64), truth, outputs, ("a", "b", "c"))


def values(rng: Any, rows: int, error: float) -> Predictions:
    truth = rng.normal(10, 3, rows)
    return Predictions(np.zeros(rows, np.uint64), truth, truth + rng.normal(0, error, rows), None)


def test_a_model_with_unchanged_performance_rarely_raises_an_alarm() -> None:
    rng, alarms = RNG(0), 0
    for _ in range(400):
        test, new = classes(rng, 360, 0.95), classes(rng, 200, 0.95)
        (one,) = decline(["accuracy"], test, new)
        alarms += one.declined
    assert alarms <= 9  # 1 % of 400 is 4; at most 9 in 99 of 100 cases


@pytest.mark.parametrize(("right", "rows", "found"), [(0.7, 200, True), (0.945, 20_000, False)])
def test_a_decline_must_be_both_relevant_and_significant(
    right: float, rows: int, found: bool
) -> None:
    rng = RNG(1)
    test, new = classes(rng, 20_000, 0.95), classes(rng, rows, right)
    (one,) = decline(["accuracy"], test, new)
    assert one.p is not None
    assert one.declined is found
    assert one.p < 0.05  # in the second case the loss is real but too small to matter
    (few,) = decline(["accuracy"], test, classes(rng, 10, 0.9))
    assert few.worse > few.matters
    assert not few.declined


def test_metrics_that_depend_on_a_threshold_equal_those_of_the_evaluation() -> None:
    rng = RNG(4)
    shares = rng.random(300)
    truth = (rng.random(300) < shares).astype(int)
    outputs, calls = np.stack([1 - shares, shares], axis=1), shares >= 0.2
    given = Predictions(
        np.zeros(300, np.uint64), truth, outputs, ("no", "yes"), threshold=Threshold(0.2, 1)
    )
    accuracy, recall = measured(["accuracy", "recall:yes"], given)
    assert accuracy.value == (calls == truth).mean()
    assert recall.value == calls[truth == 1].mean()
    assert all(not one.declined for one in decline(["accuracy", "recall:yes"], given, given))


def test_the_underlying_interval_equals_newcombes() -> None:
    """56 of 70 less 48 of 80: 0.0524 to 0.3339 (Newcombe 1998, method 10)."""

    def right(k: int, n: int) -> Predictions:
        outputs = np.eye(2)[[*[0] * k, *[1] * (n - k)]]
        return Predictions(np.zeros(n, np.uint64), np.zeros(n, int), outputs, ("a", "b"))

    before, after = right(56, 70), right(48, 80)
    (fell,) = decline(["accuracy"], before, after)
    assert fell.p == pytest.approx(norm.sf(0.2 * norm.isf(0.025) / (0.2 - 0.0524)), rel=0.01)
    (rose,) = decline(["accuracy"], after, before)
    assert rose.p == pytest.approx(norm.cdf(0.2 * norm.isf(0.025) / (0.3339 - 0.2)), rel=0.01)
    (again,) = decline(["accuracy"], before, before)
    assert again.p == pytest.approx(0.5)


def test_a_growing_error_is_a_decline_and_a_shrinking_one_is_not() -> None:
    rng = RNG(2)
    test = values(rng, 300, 1.0)
    worse = decline(["mae", "r2"], test, values(rng, 300, 1.6))
    assert [one.declined for one in worse] == [True, True]
    assert worse[0].matters == pytest.approx(worse[0].test.value / 10)
    better = decline(["mae", "r2"], test, values(rng, 300, 0.5))
    assert [one.declined for one in better] == [False, False]
    assert all(one.worse < 0 for one in better)


def test_errors_on_few_rows_are_not_judged_but_shares_are() -> None:
    rng = RNG(5)
    (one,) = decline(["mae"], values(rng, 300, 1.0), values(rng, 3, 9.0))
    assert (one.p, one.declined) == (None, False)
    found = decline(["accuracy", "log_loss"], classes(rng, 360, 0.99), classes(rng, 20, 0.1))
    assert [(one.declined, one.p is None) for one in found] == [(True, False), (False, True)]


@pytest.mark.filterwarnings("ignore:.*(invalid value|divide by zero)")
def test_a_metric_without_an_interval_is_not_judged() -> None:
    rng = RNG(3)
    (one,) = decline(["r2"], values(rng, 100, 1.0), values(rng, 1, 1.0))
    assert (one.p, one.declined) == (None, False)


def test_test_rows_seen_in_training_do_not_inflate_the_reference(monkeypatch: Any) -> None:
    rng = RNG(4)
    test = classes(rng, 400, 0.8)
    right = test.outputs.argmax(axis=1) == test.truth
    flattered = Predictions(test.identity, test.truth, test.outputs, test.classes, right)
    (one,) = decline(["accuracy"], flattered, test)
    assert one.test.value == 0
    monkeypatch.setattr(module, "MOST", 101)  # a prime: no other number of rows gives such a share
    (metric,) = measured(["accuracy"], test)
    assert metric.value * 101 == pytest.approx(round(metric.value * 101))
    assert 0 < metric.value < 1
    assert metric.value == pytest.approx(0.8, abs=0.15)
