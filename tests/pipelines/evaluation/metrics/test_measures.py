"""Metrics compared with scikit-learn's; intervals and p-values compared with known values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from gristmill.pipelines.config.known_names import CLASSIFICATION_METRICS, REGRESSION_METRICS
from gristmill.pipelines.evaluation.labels import Given, Labels
from gristmill.pipelines.evaluation.metrics.formulas import found_early, ranked
from gristmill.pipelines.evaluation.metrics.intervals import newcombe, wilson
from gristmill.pipelines.evaluation.metrics.measures import (
    Metric,
    lower_is_better,
    mcnemar_mid_p,
    measure,
    measure_all,
    score,
    statistic,
)
from gristmill.pipelines.evaluation.metrics.paired import Pair
from gristmill.pipelines.evaluation.metrics.sufficient_statistics import confusion

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
    "f1_weighted": lambda t, o: sk.f1_score(
        t, o.argmax(axis=1), average="weighted", zero_division=0
    ),
    "precision_weighted": lambda t, o: sk.precision_score(
        t, o.argmax(axis=1), average="weighted", zero_division=0
    ),
    "kappa": lambda t, o: sk.cohen_kappa_score(t, o.argmax(axis=1)),
    "mcc": lambda t, o: sk.matthews_corrcoef(t, o.argmax(axis=1)),
    "roc_auc": lambda t, o: sk.roc_auc_score(
        t, o[:, 1] if o.shape[1] == 2 else o, multi_class="ovr"
    ),
    "average_precision": lambda t, o: sk.average_precision_score(
        t if o.shape[1] == 2 else np.eye(o.shape[1])[t], o[:, 1] if o.shape[1] == 2 else o
    ),
    "ece": lambda t, o: calibration_error(t, o),
    "mae": sk.mean_absolute_error,
    "mape": sk.mean_absolute_percentage_error,
    "max_error": sk.max_error,
    "rmse": sk.root_mean_squared_error,
    "r2": sk.r2_score,
    "median_error": sk.median_absolute_error,
}


def calibration_error(truth: Array, outputs: Array) -> float:
    """Compute the calibration error from scikit-learn's curve and the counts of its bins."""
    so, sure = truth == outputs.argmax(axis=1), outputs.max(axis=1)
    if outputs.shape[1] == 2:
        so, sure = truth == 1, outputs[:, 1]
    shares, means = calibration_curve(so, sure, n_bins=10, strategy="quantile")
    edges = np.percentile(sure, np.linspace(0, 1, 11) * 100)[1:-1]
    rows = np.bincount(np.searchsorted(edges, sure))
    return float((rows[rows > 0] * np.abs(shares - means)).sum() / len(truth))


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
@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(2, 6))
def test_every_classification_metric_equals_scikit_learns_or_is_undefined(
    seed: int, rows: int, k: int
) -> None:
    truth, outputs = classes(seed, rows, k)
    for name in CLASSIFICATION_METRICS:
        found = score(name, truth, outputs)
        if np.isnan(found):  # where scikit-learn warns or returns 0
            assert name in ("roc_auc", "average_precision", "kappa", "mcc")
            assert len(np.unique(truth)) < k or len(np.unique(outputs.argmax(axis=1))) == 1
        else:
            assert found == pytest.approx(THEIRS[name](truth, outputs)), name


@pytest.mark.parametrize("k", [2, 4])
def test_metrics_of_one_class_and_top_k_equal_scikit_learns(k: int) -> None:
    truth, outputs = classes(3, 90, k)
    labels = Labels(tuple("abcd"[:k]))
    answers = outputs.argmax(axis=1)
    for place, name in enumerate(labels.classes):
        of = {"labels": [place], "average": "macro"}
        expected = {
            "precision": sk.precision_score(truth, answers, **of),
            "recall": sk.recall_score(truth, answers, **of),
            "f1": sk.f1_score(truth, answers, **of),
            "roc_auc": sk.roc_auc_score(truth == place, outputs[:, place]),
            "average_precision": sk.average_precision_score(truth == place, outputs[:, place]),
        }
        for kind, value in expected.items():
            assert score(f"{kind}:{name}", truth, outputs, labels) == pytest.approx(value), kind
    for count in range(1, k):
        expected_top = sk.top_k_accuracy_score(
            truth, outputs if k > 2 else outputs[:, 1], k=count, labels=range(k)
        )
        assert score(f"top_{count}_accuracy", truth, outputs) == pytest.approx(expected_top)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.9])
def test_quantile_loss_equals_scikit_learns(quantile: float) -> None:
    truth, outputs = values(0, 50)
    expected = sk.mean_pinball_loss(truth, outputs, alpha=quantile)
    assert score(f"quantile_loss:{quantile}", truth, outputs) == pytest.approx(expected)


UNDEFINED = [
    ("roc_auc", [1, 1, 1], "the test rows have a single class"),
    ("average_precision", [0, 0, 0], "the test rows have a single class"),
    ("roc_auc:b", [1, 1, 1], "every test row is of class b"),
    ("average_precision:b", [0, 0, 0], "no test row is of class b"),
    ("recall:b", [0, 0, 0], "no test row is of class b"),
    ("precision:b", [0, 0, 1], "no test row is predicted as b"),
    ("f1:b", [0, 0, 0], "no test row is of class b or predicted as it"),
    ("kappa", [0, 0, 0], "a single class"),
    ("mcc", [0, 0, 1], "a single class"),
]


@pytest.mark.parametrize(("name", "truth", "why"), UNDEFINED)
def test_an_undefined_metric_has_a_reason_and_is_never_zero(
    name: str, truth: list[int], why: str
) -> None:
    outputs = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]])
    made = measure(name, np.array(truth), outputs, Labels(("a", "b")))
    assert np.isnan(made.value)
    assert (made.low, made.high) == (None, None)
    assert why in made.why
    assert str(made) == f"undefined: {made.why}"


def test_a_class_missing_from_the_test_rows_is_named() -> None:
    truth, outputs = classes(0, 40, 3)
    made = measure("roc_auc", np.minimum(truth, 1), outputs, Labels(("a", "b", "c")))
    assert made.why == "no test row is of class c"


def test_relative_regression_metrics_are_undefined_if_the_denominator_is_zero() -> None:
    truth = np.array([0.0, 0, 3, 4])
    assert measure("mape", truth, truth + 1).why == "2 of 4 test rows have a target of 0"
    for constant in (0.0, 0.1, 1e9 / 3):
        same = np.full(10, constant)
        assert measure("r2", same, same + 1).why == "all test rows have the same target"


def test_with_a_single_class_the_metrics_that_need_no_other_class_are_defined() -> None:
    truth, (_, outputs) = np.zeros(40, dtype=int), classes(0, 40, 2)
    made = {m.name: m for m in measure_all([*CLASSIFICATION_METRICS], truth, Given(outputs))}
    assert made["accuracy"].value == made["balanced_accuracy"].value > 0
    assert {name for name, m in made.items() if m.why} == {"roc_auc", "average_precision"} | {
        name for name in ("kappa", "mcc") if made[name].why
    }


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60))
def test_every_regression_metric_equals_scikit_learns(seed: int, rows: int) -> None:
    truth, outputs = values(seed, rows)
    for name in REGRESSION_METRICS:
        assert score(name, truth, outputs) == pytest.approx(THEIRS[name](truth, outputs)), name


def test_a_mistake_with_certainty_has_a_large_but_finite_loss() -> None:
    truth, outputs = np.array([0]), np.array([[0.0, 1.0]])
    assert score("log_loss", truth, outputs) == pytest.approx(-np.log(1e-15))


def test_rows_of_the_confusion_matrix_are_the_true_classes() -> None:
    outputs = np.eye(3)[[1, 1, 0, 2]]
    made = confusion(np.array([0, 0, 0, 2]), outputs.argmax(axis=1), 3)
    np.testing.assert_array_equal(made, [[1, 2, 0], [0, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize("name", [*CLASSIFICATION_METRICS, *REGRESSION_METRICS])
def test_the_direction_agrees_with_scikit_learn(name: str) -> None:
    losses = {"log_loss", "brier", "ece", "mae", "rmse", "mape", "median_error", "max_error"}
    assert lower_is_better(name) is (name in losses)


def test_a_metric_with_a_parameter_has_the_direction_of_its_kind() -> None:
    assert lower_is_better("quantile_loss:0.9")
    assert not any(map(lower_is_better, ["recall:log_loss", "top_3_accuracy", "roc_auc:a"]))


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # computed by hand with the formula of Brown, Cai and DasGupta
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (29, 29, 0.8830, 1.0),
    ],
)
def test_wilson_returns_the_published_intervals(
    successes: int, n: int, low: float, high: float
) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=6e-5)


def test_accuracy_has_a_wilson_interval() -> None:
    truth, outputs = classes(0, 100, 3)
    made = measure("accuracy", truth, outputs)
    assert (made.low, made.high) == wilson(round(made.value * 100), 100)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", [n for n in THEIRS if n not in ("accuracy", "max_error")])
def test_an_interval_is_ordered_and_contains_the_value(name: str, seed: int) -> None:
    truth, outputs = values(seed, 80) if name in REGRESSION_METRICS else classes(seed, 80, 3)
    made = measure(name, truth, outputs)
    assert made.low is not None
    assert made.high is not None
    assert made.low < made.value < made.high
    assert measure(name, truth, outputs) == made  # it is not resampled


def test_an_interval_has_about_its_nominal_coverage() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(60):
        made = measure("mae", np.zeros(60), rng.normal(size=60))
        assert made.low is not None
        assert made.high is not None
        covered += made.low <= np.sqrt(2 / np.pi) <= made.high
    assert covered >= 51  # 95 % of 60, minus three standard deviations


def test_a_perfect_model_has_no_bootstrap_interval_and_no_warning() -> None:
    truth = np.arange(30) % 3
    made = measure_all(["f1_macro", "log_loss", "accuracy"], truth, Given(np.eye(3)[truth]))
    assert [m.value for m in made] == [1, 0, 1]
    assert [(m.low, m.high) for m in made[:2]] == [(None, None)] * 2
    assert made[2].low == wilson(30, 30)[0]
    assert [str(m) for m in made[:1]] == ["1"]
    assert str(Metric("accuracy", 0.51234, 0.4, 0.6)) == "0.5123 [0.4, 0.6]"


def test_a_single_row_has_only_closed_form_intervals() -> None:
    truth, outputs = classes(0, 1, 3)
    assert measure("log_loss", truth, outputs).low is None
    assert measure("accuracy", truth, outputs).low is not None


@pytest.mark.parametrize("name", ["mae", "rmse", "r2", "log_loss", "ece", "median_error"])
def test_above_a_size_a_closed_form_replaces_the_bootstrap_with_nearly_the_same_interval(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_values = name in REGRESSION_METRICS
    truth, outputs = values(1, 1500) if of_values else classes(1, 1500, 3)
    drawn = measure(name, truth, outputs)
    monkeypatch.setattr("gristmill.pipelines.evaluation.metrics.measures.SMALL", 1000)
    monkeypatch.setattr("gristmill.pipelines.evaluation.metrics.measures.SMOOTH", 1000)
    monkeypatch.setattr(
        "gristmill.pipelines.evaluation.metrics.intervals.DRAWS", 0
    )  # disables the bootstrap
    closed = measure(name, truth, outputs)
    assert drawn.low is not None
    assert drawn.high is not None
    width = drawn.high - drawn.low
    assert (closed.low, closed.high) == pytest.approx((drawn.low, drawn.high), abs=0.1 * width)


@pytest.mark.parametrize("name", ["f1_macro", "kappa", "mcc", "balanced_accuracy", "f1:b"])
def test_resampling_the_cells_gives_the_interval_of_resampled_rows(name: str) -> None:
    truth, outputs = classes(2, 150, 3)
    labels = Labels(("a", "b", "c"))
    made = measure(name, truth, outputs, labels)
    theirs = stats.bootstrap(
        (np.arange(150),), statistic(name, truth, outputs, labels), n_resamples=2000,
        vectorized=False, method="BCa", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    assert (made.low, made.high) == pytest.approx(tuple(theirs), abs=0.012)


@pytest.mark.parametrize("name", ["rmse", "r2", "ece", "brier"])
def test_the_interval_of_a_mean_equals_scipys(name: str) -> None:
    truth, outputs = values(0, 100) if name in REGRESSION_METRICS else classes(0, 100, 2)
    made = measure(name, truth, outputs)
    theirs = stats.bootstrap(
        (np.arange(100),), statistic(name, truth, outputs), n_resamples=2000,
        vectorized=False, method="BCa", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert made.low is not None
    assert made.high is not None
    width = made.high - made.low
    assert (made.low, made.high) == pytest.approx(tuple(theirs), abs=0.15 * width)


def test_a_median_has_the_interval_of_order_statistics() -> None:
    truth, outputs = values(0, 100)
    errors = np.sort(np.abs(truth - outputs))
    made = measure("median_error", truth, outputs)
    assert (made.low, made.high) == (errors[39], errors[60])  # Conover's table: 40th and 61st
    assert measure("median_error", truth[:5], outputs[:5]).low is None


def test_rows_of_one_group_make_intervals_wider() -> None:
    truth, outputs = classes(0, 40, 2)
    t, o, group = np.repeat(truth, 5), np.repeat(outputs, 5, axis=0), np.repeat(np.arange(40), 5)
    for name in ("accuracy", "f1_macro", "log_loss", "roc_auc"):
        alone, grouped = measure(name, t, o), measure(name, t, o, group=group)
        assert alone.low is not None
        assert alone.high is not None
        assert grouped.low is not None
        assert grouped.high is not None
        # five copies of each row carry the information of one: √5 times as wide
        assert 1.8 < (grouped.high - grouped.low) / (alone.high - alone.low) < 2.8, name


def test_intervals_of_areas_follow_newcombe() -> None:
    for area, m, n in ((0.8, 20, 30), (0.95, 10, 200), (0.5, 8, 8)):
        low, high = newcombe(area, m, n)
        for end in (low, high):
            star = (m + n) / 2 - 1
            spread = end * (1 - end) * (1 + star * (1 - end) / (2 - end) + star * end / (1 + end))
            assert abs(area - end) == pytest.approx(1.959964 * np.sqrt(spread / (m * n)), rel=1e-6)
        assert low < area < high
    assert newcombe(1.0, 12, 15)[0] < 1.0 == newcombe(1.0, 12, 15)[1]


def test_an_area_and_its_variance_equal_delongs() -> None:
    rng = np.random.default_rng(0)
    positive, scores = rng.random(60) < 0.3, rng.integers(0, 12, 60) / 4.0
    area, moves = ranked(positive, scores)
    x, y = scores[positive], scores[~positive]
    kernel = (x[:, None] > y) + 0.5 * (x[:, None] == y)
    variance = kernel.mean(1).var(ddof=1) / len(x) + kernel.mean(0).var(ddof=1) / len(y)
    assert area == pytest.approx(kernel.mean())
    assert (moves**2).sum() == pytest.approx(variance)


def test_the_influence_of_a_row_on_average_precision_is_its_derivative() -> None:
    rng = np.random.default_rng(1)
    positive, scores = rng.random(15) < 0.4, rng.integers(0, 9, 15)
    average, moves = found_early(positive, scores)
    assert moves.sum() == pytest.approx(0, abs=1e-12)
    for row in range(15):
        weights = np.full(15, 4000)
        weights[row] += 1
        places = np.repeat(np.arange(15), weights)
        more, _ = found_early(positive[places], scores[places])
        assert (more - average) * 4000 == pytest.approx(moves[row], rel=2e-3, abs=1e-4)


@pytest.mark.parametrize(("positives", "apart"), [(12, 1.5), (60, 0.8)])
def test_intervals_of_ranks_have_about_their_nominal_coverage(positives: int, apart: float) -> None:
    rng, labels = np.random.default_rng(3), Labels(("a", "b"))
    truth = np.repeat([0, 1], [150, positives])
    exact = {"roc_auc": stats.norm.cdf(apart / np.sqrt(2))}
    many = np.repeat([0, 1], [150_000, 1000 * positives])
    exact["average_precision"] = found_early(many == 1, rng.normal(size=len(many)) + apart * many)[
        0
    ]
    inside = dict.fromkeys(exact, 0)
    for _ in range(200):
        share = stats.norm.cdf((rng.normal(size=len(truth)) + apart * truth) / 3)
        outputs = np.stack([1 - share, share], axis=1)
        for name, value in exact.items():
            made = measure(name, truth, outputs, labels)
            assert made.low is not None
            assert made.high is not None
            inside[name] += made.low <= value <= made.high
    assert inside["roc_auc"] >= 181  # 95 % of 200, minus three standard deviations
    assert inside["average_precision"] >= 172  # with few positives it covers about 0.92


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
def test_mid_p_equals_the_value_computed_by_hand(gained: int, lost: int, p: float) -> None:
    assert mcnemar_mid_p(gained, lost) == pytest.approx(p)


@given(st.integers(0, 200), st.integers(0, 200))
def test_mid_p_values_of_the_two_directions_sum_to_one(gained: int, lost: int) -> None:
    if gained + lost:
        assert mcnemar_mid_p(gained, lost) + mcnemar_mid_p(lost, gained) == pytest.approx(1)


def test_mid_p_rejects_equal_models_in_at_most_five_percent_of_cases() -> None:
    rng = np.random.default_rng(0)
    for rows, disagreement in ((200, 0.1), (400, 0.1), (400, 0.3), (2000, 0.05)):
        tables = rng.multinomial(rows, [disagreement / 2] * 2 + [1 - disagreement], size=4000)
        p = [mcnemar_mid_p(int(gained), int(lost)) for gained, lost, _ in tables]
        rejected = int((np.array(p) <= 0.05).sum())
        # 99.9 % of simulations of a correct 5 % test stay below this
        assert rejected <= stats.binom.ppf(0.999, 4000, 0.05)


def test_paired_p_of_accuracy_equals_mcnemars() -> None:
    truth = np.zeros(20, dtype=int)
    right, wrong = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    mine = np.array([right] * 10 + [wrong] * 2 + [right] * 8)
    other = np.array([wrong] * 10 + [right] * 2 + [right] * 8)
    assert Pair("accuracy", truth, Given(mine), Given(other)).better().p == mcnemar_mid_p(10, 2)


@pytest.mark.parametrize("name", ["log_loss", "f1_macro"])
def test_a_better_model_has_a_small_p_and_a_worse_one_a_large_p(name: str) -> None:
    truth, sharp = classes(1, 200, 3, sharpness=2.0)
    _, blunt = classes(1, 200, 3, sharpness=0.5)
    better, worse = (
        Pair(name, truth, Given(sharp), Given(blunt)).better().p,
        Pair(name, truth, Given(blunt), Given(sharp)).better().p,
    )
    assert better < 0.01
    assert worse > 0.99


@pytest.mark.parametrize("name", ["rmse", "r2"])
def test_a_better_forecast_has_a_small_p_and_a_worse_one_a_large_p(name: str) -> None:
    truth, given_ = values(0, 100)
    near = (truth + given_) / 2
    assert Pair(name, truth, Given(near), Given(given_)).better().p < 0.01
    assert Pair(name, truth, Given(given_), Given(near)).better().p > 0.99


@pytest.mark.parametrize("name", ["accuracy", "log_loss", "f1_macro", "brier"])
def test_equal_answers_have_no_gain(name: str) -> None:
    truth, outputs = classes(0, 50, 3)
    assert Pair(name, truth, Given(outputs), Given(outputs.copy())).better().p == 1.0


def test_a_gain_that_cannot_be_computed_is_none() -> None:
    truth = np.ones(20)  # R² is undefined on a constant target
    assert Pair("r2", truth, Given(truth), Given(truth + 1)).better().p == 1.0
