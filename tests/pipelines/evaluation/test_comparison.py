"""Comparison of models: aligned row by row, measured in pairs, or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.evaluation.comparison import Answers, compare
from gristmill.pipelines.evaluation.labels import Given
from gristmill.pipelines.evaluation.metrics.differences import measure_difference
from gristmill.pipelines.evaluation.metrics.formulas import log_losses
from gristmill.pipelines.evaluation.metrics.measures import holm, tango
from gristmill.pipelines.evaluation.metrics.paired import Pair
from gristmill.pipelines.evaluation.predictions import Predictions

Z = stats.norm.ppf(0.975)


def of_classes(seed: int, sharp: float = 0.5, rows: int = 120, k: int = 3) -> Predictions:
    truth = np.random.default_rng(0).integers(0, k, rows)
    outputs = np.random.default_rng(seed).dirichlet(np.ones(k), rows) + sharp * np.eye(k)[truth]
    outputs /= outputs.sum(axis=1, keepdims=True)
    return Predictions(np.arange(rows), truth, outputs, tuple("abcdefgh"[:k]))


def of_values(seed: int, rows: int = 80) -> Predictions:
    truth = np.random.default_rng(0).normal(3, 5, rows)
    away = np.random.default_rng(seed).normal(0, 1 + seed, rows)
    return Predictions(np.arange(rows), truth, truth + away, None)


def named(*predictions: Predictions) -> list[Answers]:
    return [Answers(f"m{i}", f"e{i}", p) for i, p in enumerate(predictions)]


def test_the_order_of_rows_and_classes_has_no_effect() -> None:
    first, other = of_classes(1), of_classes(2)
    order, columns = np.random.default_rng(3).permutation(120), [2, 0, 1]
    moved = other.rows(order)
    moved = replace(
        moved,
        truth=np.argsort(columns)[moved.truth],
        outputs=moved.outputs[:, columns],
        classes=("c", "a", "b"),
    )
    plain, mixed = (compare(named(first, o), ["accuracy", "log_loss"]) for o in (other, moved))
    assert mixed.metrics == plain.metrics
    assert mixed.differences == plain.differences
    np.testing.assert_array_equal(mixed.answers, plain.answers)


@pytest.mark.parametrize("classes", [("0.0", "1.0"), ("false", "true"), (" 0", "1 ")])
def test_labels_of_another_type_are_the_same_classes(classes: tuple[str, ...]) -> None:
    first, other = (replace(of_classes(seed, k=2), classes=("0", "1")) for seed in (1, 2))
    retyped = replace(other, classes=classes)
    plain, made = (compare(named(first, o), ["accuracy", "log_loss"]) for o in (other, retyped))
    assert made.differences == plain.differences
    with pytest.raises(ConfigError, match=r"(?s)different classes.*only m0: 1, only m1: 2"):
        compare(named(first, replace(other, classes=("0", "2"))), ["accuracy"])


def test_rows_that_any_model_saw_in_training_are_left_out_for_all() -> None:
    first, other = of_classes(1), of_classes(2)
    first = replace(first, twin=np.arange(120) < 10)
    other = replace(other, twin=np.arange(120) >= 115)
    made = compare(named(first, other), ["accuracy"])
    assert made.left_out == 15
    assert made.places.tolist() == [*range(10, 115)]
    assert len(made.truth) == 105
    with pytest.raises(ConfigError, match="no test row is left"):
        compare(named(replace(first, twin=np.ones(120, bool)), other), ["accuracy"])


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (of_values(1), r"(?s)have different tasks.*m0: classification, m1: regression"),
        (
            of_classes(1, rows=90),
            r"(?s)different rows.*120 rows, m1: 90 rows, 90 of them.*\{as: e0\}",
        ),
        (
            replace(of_classes(1), classes=("a", "b", "z")),
            r"(?s)different classes.*only m0: c, only m1: z.*gristmill models",
        ),
        (of_classes(1, k=4), r"(?s)different classes.*only m0: none, only m1: d"),
        (
            replace(of_classes(1), truth=(of_classes(1).truth + 1) % 3),
            r"(?s)predict different targets.*120 of 120 rows.*data.target",
        ),
    ],
)
def test_models_without_comparable_tests_are_refused_with_the_reason(
    other: Predictions, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        compare(named(of_classes(0), other), ["accuracy"])


def test_the_error_for_older_rows_of_the_same_experiment_suggests_a_run() -> None:
    models = [Answers("e@1", "e", of_classes(0)), Answers("e@2", "e", of_classes(1, rows=99))]
    with pytest.raises(ConfigError, match="gristmill run e"):
        compare(models, ["accuracy"])


def test_disagreements_are_the_rows_with_different_answers_most_confident_mistakes_first() -> None:
    truth = np.zeros(4, dtype=int)
    first = Predictions(
        np.arange(4), truth, np.array([[0.9, 0.1], [0.2, 0.8], [0.9, 0.1], [0.4, 0.6]]), ("a", "b")
    )
    other = replace(first, outputs=np.array([[0.45, 0.55], [0.8, 0.2], [1.0, 0.0], [0.3, 0.7]]))
    made = compare(named(first, other), ["accuracy"])
    assert made.disagreements.tolist() == [1, 0]  # in row 3 both make the same mistake
    assert made.right(1).tolist() == [[1, 1], [1, 1]]
    assert made.agreement.tolist() == [[1, 0.5], [0.5, 1]]


def test_rows_are_counted_by_which_of_two_models_is_right() -> None:
    right = ([1, 1, 1, 1, 0, 0, 0, 0, 0, 0], [1, 1, 1, 0, 1, 1, 0, 0, 0, 0])
    first, other = (
        Predictions(np.arange(10), np.zeros(10, dtype=int), np.eye(2)[1 - np.array(r)], ("a", "b"))
        for r in right
    )
    made = compare(named(first, other), ["accuracy"])
    assert made.right(1).tolist() == [[3, 1], [2, 4]]
    assert made.right(0).tolist() == [[4, 0], [0, 6]]


def test_regression_answers_are_sorted_by_their_distance() -> None:
    first = Predictions(np.arange(3), np.zeros(3), np.array([0.0, 1.0, 2.0]), None)
    made = compare(named(first, replace(first, outputs=np.array([1.0, -4.0, 2.5]))), ["mae"])
    assert made.disagreements.tolist() == [1, 0, 2]


@pytest.mark.parametrize(("gained", "lost", "n"), [(1, 7, 21), (0, 5, 60), (9, 3, 400), (8, 0, 8)])
def test_tangos_interval_contains_what_a_score_test_does_not_reject(
    gained: int, lost: int, n: int
) -> None:
    """scipy maximises the restricted likelihood here, instead of Tango's formula."""

    def deviations(at: float) -> float:
        def unlikely(q: float) -> float:
            shares = np.array([q + at, q, 1 - 2 * q - at])
            counts = np.array([gained, lost, n - gained - lost])
            return -float(np.sum(counts * np.log(np.maximum(shares, 1e-300))))

        bounds = (max(0.0, -at), (1 - at) / 2)
        q = optimize.minimize_scalar(
            unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-12}
        ).x
        return (gained - lost - n * at) / np.sqrt(n * (2 * q + at * (1 - at)))

    low, high = tango(gained, lost, n)
    assert low <= (gained - lost) / n <= high
    assert deviations(low) == pytest.approx(Z, abs=1e-3)
    if gained < n:
        assert deviations(high) == pytest.approx(-Z, abs=1e-3)
    assert tango(lost, gained, n) == pytest.approx((-high, -low))


def test_models_that_never_differ_have_an_interval_around_zero() -> None:
    low, high = tango(0, 0, 100)
    assert (low, high) == pytest.approx((-(Z**2) / (100 + Z**2), Z**2 / (100 + Z**2)))


def test_tangos_interval_has_about_its_nominal_coverage() -> None:
    rng = np.random.default_rng(0)
    tables = rng.multinomial(150, [0.08, 0.04, 0.88], size=1000)
    inside = sum(
        low <= 0.04 <= high for low, high in (tango(int(b), int(c), 150) for b, c, _ in tables)
    )
    assert inside >= stats.binom.ppf(0.001, 1000, 0.95)


@pytest.mark.parametrize("name", ["accuracy", "f1_macro", "log_loss", "brier"])
def test_p_is_twice_that_of_the_gate(name: str) -> None:
    first, other = of_classes(1, 0.7), of_classes(2, 0.5)
    truth = first.truth
    made = measure_difference(name, truth, Given(other.outputs), Given(first.outputs))
    sides = [
        Pair(name, truth, *pair).better().p
        for pair in ((other.given, first.given), (first.given, other.given))
    ]
    drawn_otherwise = 0.02 if name == "f1_macro" else 1e-12
    assert made.p == pytest.approx(min(1, 2 * min(sides)), abs=drawn_otherwise)


@pytest.mark.parametrize("name", ["rmse", "mae", "r2", "median_error"])
def test_a_difference_equals_that_of_the_values_and_is_in_its_interval(name: str) -> None:
    made = compare(named(of_values(1), of_values(4)), [name])
    ((one,),) = made.differences
    (first,), (other,) = made.metrics
    assert one.value == pytest.approx(other.value - first.value)
    assert one.low is not None
    assert one.high is not None
    assert one.low < one.value < one.high
    assert one.low * one.high > 0  # five times the noise is visible on 80 rows
    assert one.p is not None
    assert one.p < 0.01


def test_a_model_compared_with_itself_has_no_difference() -> None:
    made = compare(named(of_classes(1), of_classes(1)), ["accuracy", "log_loss"])
    assert [(d.value, d.p) for d in made.differences[0]] == [(0, 1), (0, 1)]
    assert len(made.disagreements) == 0


def test_above_the_limit_only_closed_forms_are_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gristmill.pipelines.evaluation.metrics.measures.SMALL", 50)
    monkeypatch.setattr("gristmill.pipelines.evaluation.metrics.intervals.DRAWS", 0)
    ((accuracy, loss),) = compare(
        named(of_classes(1), of_classes(2)), ["accuracy", "log_loss"]
    ).differences
    assert accuracy.low is not None
    assert loss.low is not None
    assert loss.p is not None
    first, other = of_classes(1), of_classes(2)
    apart = log_losses(other.truth, other.outputs) - log_losses(first.truth, first.outputs)
    assert loss.p == pytest.approx(stats.ttest_1samp(apart, 0).pvalue, rel=0.1)


def test_areas_are_compared_by_delongs_test() -> None:
    first, other = of_classes(1), of_classes(4)
    made = measure_difference("roc_auc:a", first.truth, other.given, first.given)
    positive = first.truth == first.labels.place("a")
    parts = []
    for outputs in (other.outputs, first.outputs):
        x, y = outputs[positive, 0], outputs[~positive, 0]
        kernel = (x[:, None] > y) + 0.5 * (x[:, None] == y)
        parts.append((kernel.mean(), kernel.mean(1), kernel.mean(0)))
    (mine, up, down), (theirs, other_up, other_down) = parts
    variance = (up - other_up).var(ddof=1) / len(up) + (down - other_down).var(ddof=1) / len(down)
    assert made.value == pytest.approx(mine - theirs)
    assert made.p == pytest.approx(2 * stats.norm.sf(abs(mine - theirs) / np.sqrt(variance)))


def test_holms_correction_equals_the_textbook() -> None:
    assert holm([0.01, 0.04, 0.03, None]) == pytest.approx((0.03, 0.06, 0.06, None))
    assert holm([0.6, 0.7]) == (1.0, 1.0)
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holms_p_is_between_the_uncorrected_one_and_bonferronis(p: list[float]) -> None:
    made = holm(p)
    for plain, corrected in zip(p, made, strict=True):
        assert corrected is not None
        assert plain <= corrected <= min(1, len(p) * plain) + 1e-12
    order = np.argsort(p)
    assert np.all(np.diff(np.array(made, dtype=float)[order]) >= 0)


def test_several_models_are_corrected_separately_for_each_metric() -> None:
    models = named(of_classes(1, 0.9), of_classes(2, 0.5), of_classes(3, 0.4))
    both = compare(models, ["accuracy", "log_loss"])
    alone = [compare([models[0], one], ["accuracy", "log_loss"]) for one in models[1:]]
    for metric in range(2):
        plain = [one.differences[0][metric].p for one in alone]
        assert [d[metric].p for d in both.differences] == list(holm(plain))


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("make", [of_classes, of_values])
def test_a_comparison_is_a_picture(make: Any, count: int, tmp_path: Path) -> None:
    from gristmill.pipelines.evaluation.pictures.comparison_plots import comparison_picture

    predictions = [make(seed) for seed in range(1, count + 1)]
    names = ["accuracy", "log_loss"] if predictions[0].classes else ["rmse", "r2"]
    comparison_picture(tmp_path / "c.png", compare(named(*predictions), names))
    assert matplotlib.image.imread(tmp_path / "c.png").std() > 0.02
