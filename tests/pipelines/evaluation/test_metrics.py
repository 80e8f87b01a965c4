"""Metrics against scikit-learn's, intervals and p-values against known figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from pipelines.config import CLASSIFICATION_METRICS, REGRESSION_METRICS
from pipelines.evaluation import lower_is_better, measure_all, paired_p, score
from pipelines.evaluation.metrics import Metric, confusion, mcnemar_mid_p, measure, wilson

Array = np.ndarray[Any, Any]

THEIRS: dict[str, Callable[[Array, Array], float]] = {
    "accuracy": lambda t, o: sk.accuracy_score(t, o.argmax(axis=1)),
    "balanced_accuracy": lambda t, o: sk.balanced_accuracy_score(t, o.argmax(axis=1)),
    "f1_macro": lambda t, o: sk.f1_score(t, o.argmax(axis=1), average="macro", zero_division=0),
    "precision_macro": lambda t, o: sk.precision_score(
        t, o.argmax(axis=1), average="macro", zero_division=0
    ),
    "recall_macro": lambda t, o: sk.recall_score(
        t, o.argmax(axis=1), average="macro", labels=np.unique(t), zero_division=0
    ),
    "log_loss": lambda t, o: sk.log_loss(t, o, labels=range(o.shape[1])),
    "brier": lambda t, o: sk.brier_score_loss(t, o, labels=range(o.shape[1]), scale_by_half=False),
    "mae": sk.mean_absolute_error,
    "rmse": sk.root_mean_squared_error,
    "r2": sk.r2_score,
    "median_error": sk.median_absolute_error,
}


def classes(seed: int, rows: int, k: int, sharpness: float = 1.0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, rows)
    outputs = rng.dirichlet(np.ones(k), rows) + sharpness * 0.5 * np.eye(k)[truth]
    return truth, outputs / outputs.sum(axis=1, keepdims=True)


def values(seed: int, rows: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(3, 5, rows)
    return truth, truth + rng.normal(1, 2, rows)


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label")
@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(2, 6))
def test_every_metric_of_classes_is_scikit_learns(seed: int, rows: int, k: int) -> None:
    truth, outputs = classes(seed, rows, k)
    for name in CLASSIFICATION_METRICS:
        assert score(name, truth, outputs) == pytest.approx(THEIRS[name](truth, outputs)), name


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_every_metric_of_values_is_scikit_learns(seed: int, rows: int) -> None:
    truth, outputs = values(seed, rows)
    for name in REGRESSION_METRICS:
        assert score(name, truth, outputs) == pytest.approx(THEIRS[name](truth, outputs)), name


def test_a_certain_mistake_costs_much_but_not_without_end() -> None:
    truth, outputs = np.array([0]), np.array([[0.0, 1.0]])
    assert score("log_loss", truth, outputs) == pytest.approx(-np.log(1e-15))


def test_confusion_counts_truth_by_row() -> None:
    outputs = np.eye(3)[[1, 1, 0, 2]]
    made = confusion(np.array([0, 0, 0, 2]), outputs)
    np.testing.assert_array_equal(made, [[1, 2, 0], [0, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize("name", [*CLASSIFICATION_METRICS, *REGRESSION_METRICS])
def test_direction_is_that_of_scikit_learns_name(name: str) -> None:
    losses = {"log_loss", "brier", "mae", "rmse", "median_error"}
    assert lower_is_better(name) is (name in losses)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # Brown, Cai and DasGupta's formula, computed by hand
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilson_gives_the_published_intervals(
    successes: int, n: int, low: float, high: float
) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=6e-5)


def test_accuracy_has_wilsons_interval() -> None:
    truth, outputs = classes(0, 100, 3)
    made = measure("accuracy", truth, outputs)
    assert (made.low, made.high) == wilson(round(made.value * 100), 100)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [n for n in THEIRS if n != "accuracy"])
def test_an_interval_is_ordered_and_holds_the_value(name: str, seed: int) -> None:
    truth, outputs = values(seed, 80) if name in REGRESSION_METRICS else classes(seed, 80, 3)
    made = measure(name, truth, outputs)
    assert made.low is not None
    assert made.high is not None
    assert made.low < made.value < made.high
    assert measure(name, truth, outputs) == made  # it is not drawn anew


def test_an_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(60):
        made = measure("mae", np.zeros(60), rng.normal(size=60))
        assert made.low is not None
        assert made.high is not None
        covered += made.low <= np.sqrt(2 / np.pi) <= made.high
    assert covered >= 51  # 95 % of 60, less three standard deviations


def test_a_perfect_model_has_no_bootstrap_interval_and_no_warning() -> None:
    truth = np.arange(30) % 3
    made = measure_all(["f1_macro", "log_loss", "accuracy"], truth, np.eye(3)[truth])
    assert [m.value for m in made] == [1, 0, 1]
    assert [(m.low, m.high) for m in made[:2]] == [(None, None)] * 2
    assert made[2].low == wilson(30, 30)[0]
    assert [str(m) for m in made[:1]] == ["1"]
    assert str(Metric("accuracy", 0.51234, 0.4, 0.6)) == "0.5123 [0.4, 0.6]"


@pytest.mark.parametrize(("limit", "rows"), [("LARGE", 50), ("LARGE", 1)])
def test_very_many_rows_and_a_single_one_have_closed_forms_only(
    limit: str, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"pipelines.evaluation.metrics.{limit}", 49)
    truth, outputs = classes(0, rows, 3)
    assert measure("log_loss", truth, outputs).low is None
    assert measure("accuracy", truth, outputs).low is not None


def test_many_rows_have_percentile_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    truth, outputs = values(0, 60)
    monkeypatch.setattr("pipelines.evaluation.metrics.SMALL", 59)
    made = measure("rmse", truth, outputs)
    rng = np.random.default_rng(1)
    drawn = [
        score("rmse", truth[rows], outputs[rows])
        for rows in (rng.integers(0, 60, 60) for _ in range(2000))
    ]
    assert (made.low, made.high) == pytest.approx(np.percentile(drawn, [2.5, 97.5]), rel=0.03)


@pytest.mark.parametrize(
    ("gained", "lost", "p"),
    [
        (10, 2, (220 + 66 + 12 + 1 - 66 - 220 + 66 / 2) / 4096),  # P(X ≥ 11) + ½P(X = 10)
        (2, 10, 1 - (1 + 12 + 66 / 2) / 4096),
        (3, 1, (1 + 4 / 2) / 16),
        (1, 0, 0.25),
        (0, 1, 0.75),
        (5, 5, 0.5),
        (0, 0, 1.0),
    ],
)
def test_mid_p_is_what_one_computes_by_hand(gained: int, lost: int, p: float) -> None:
    assert mcnemar_mid_p(gained, lost) == pytest.approx(p)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mid_p_of_the_two_directions_is_one_together(gained: int, lost: int) -> None:
    if gained + lost:
        assert mcnemar_mid_p(gained, lost) + mcnemar_mid_p(lost, gained) == pytest.approx(1)


def test_mid_p_rejects_equals_in_five_percent_of_cases_or_less() -> None:
    rng = np.random.default_rng(0)
    for rows, disagreement in ((200, 0.1), (400, 0.1), (400, 0.3), (2000, 0.05)):
        tables = rng.multinomial(rows, [disagreement / 2] * 2 + [1 - disagreement], size=4000)
        p = [mcnemar_mid_p(int(gained), int(lost)) for gained, lost, _ in tables]
        rejected = int((np.array(p) <= 0.05).sum())
        # what a right test of 5 % stays under in 99.9 % of such simulations
        assert rejected <= stats.binom.ppf(0.999, 4000, 0.05)


def test_paired_p_of_accuracy_is_mcnemars() -> None:
    truth = np.zeros(20, dtype=int)
    right, wrong = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    mine = np.array([right] * 10 + [wrong] * 2 + [right] * 8)
    other = np.array([wrong] * 10 + [right] * 2 + [right] * 8)
    assert paired_p("accuracy", truth, mine, other) == mcnemar_mid_p(10, 2)


@pytest.mark.parametrize("name", ["log_loss", "f1_macro"])
def test_a_better_model_has_a_small_p_and_the_worse_one_a_large(name: str) -> None:
    truth, sharp = classes(1, 200, 3, sharpness=2.0)
    _, blunt = classes(1, 200, 3, sharpness=0.5)
    better, worse = paired_p(name, truth, sharp, blunt), paired_p(name, truth, blunt, sharp)
    assert better < 0.01
    assert worse > 0.99


@pytest.mark.parametrize("name", ["rmse", "r2"])
def test_a_better_forecast_has_a_small_p_and_the_worse_one_a_large(name: str) -> None:
    truth, given_ = values(0, 100)
    near = (truth + given_) / 2
    assert paired_p(name, truth, near, given_) < 0.01
    assert paired_p(name, truth, given_, near) > 0.99


@pytest.mark.parametrize("name", ["accuracy", "log_loss", "f1_macro", "brier"])
def test_equal_answers_are_no_gain(name: str) -> None:
    truth, outputs = classes(0, 50, 3)
    assert paired_p(name, truth, outputs, outputs.copy()) == 1.0


def test_a_gain_that_cannot_be_computed_is_none() -> None:
    truth = np.ones(20)  # R² has no value on a constant target
    assert paired_p("r2", truth, truth, truth + 1) == 1.0
