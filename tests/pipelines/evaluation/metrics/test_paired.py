"""One-sided tests of two models on the same rows: size, power and agreement."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from gristmill.pipelines.evaluation.labels import Given
from gristmill.pipelines.evaluation.metrics.measures import tango
from gristmill.pipelines.evaluation.metrics.paired import (
    Pair,
    flip_p,
    power_of,
    rows_enough,
    tango_p,
)

counts = st.integers(0, 60)


def turned(one: Pair) -> Pair:
    """Return the pair with the models exchanged."""
    return replace(one, mine=one.theirs, theirs=one.mine)


def pair(gained: int, lost: int, n: int, group: Any = None, metric: str = "accuracy") -> Pair:
    """The true class is the first; `gained` rows only one gets right, then `lost` the other."""
    mine, theirs = np.tile([0.8, 0.2], (n, 1)), np.tile([0.8, 0.2], (n, 1))
    theirs[:gained] = mine[gained : gained + lost] = [0.3, 0.7]
    return Pair(metric, np.zeros(n, dtype=int), Given(mine), Given(theirs), group)


@given(counts, counts, st.integers(0, 100))
def test_gain_and_deviation_of_accuracy_follow_from_the_counts(
    gained: int, lost: int, rest: int
) -> None:
    n = gained + lost + rest + 1
    made = pair(gained, lost, n)
    assert made.gain == pytest.approx((gained - lost) / n)
    assert made.deviation**2 == pytest.approx((gained + lost) / n)
    discordant = gained + lost
    mid = binom.sf(gained - 1, discordant, 0.5) - 0.5 * binom.pmf(gained, discordant, 0.5)
    assert made.better().p == pytest.approx(mid if discordant else 1.0)


@given(counts, counts, st.integers(1, 300), st.floats(0.005, 0.2))
def test_tangos_p_agrees_with_tangos_interval(
    gained: int, lost: int, rest: int, margin: float
) -> None:
    n = gained + lost + rest
    low, _ = tango(gained, lost, n)
    p = float(tango_p(gained, lost, n, margin))
    if abs(low + margin) > 1e-6:  # the end of the interval is the one-sided test at 2.5 %
        assert (p < 0.025) == (low > -margin)


@given(counts, counts, st.integers(1, 300))
def test_a_wider_margin_is_never_harder_to_meet(gained: int, lost: int, rest: int) -> None:
    n = gained + lost + rest
    p = [float(tango_p(gained, lost, n, margin)) for margin in (0.005, 0.01, 0.05)]
    assert p == sorted(p, reverse=True)


@pytest.mark.parametrize(
    ("disagreement", "rows", "power"),
    [(0.05, 800, 0.99), (0.10, 1600, 0.88), (0.15, 2400, 0.75), (0.20, 3200, 0.64)],
)
def test_rows_and_power_for_two_points_equal_connors(
    disagreement: float, rows: int, power: float
) -> None:
    deviation = disagreement**0.5
    assert rows_enough(deviation, 0.02, 0.05) == pytest.approx(rows, rel=0.05)
    assert power_of(deviation, 0.02, 2000, 0.05) == pytest.approx(power, abs=0.01)
    assert power_of(deviation, 0.02, rows_enough(deviation, 0.02, 0.05), 0.05) == pytest.approx(
        0.8, abs=0.001
    )


def test_the_sign_test_of_groups_keeps_its_size_if_rows_of_a_group_are_alike() -> None:
    rng = np.random.default_rng(0)
    alone, grouped, years = 0, 0, 300
    for _ in range(years):
        group = np.arange(600) // 10
        leaning = rng.random(60)[group] < 0.5  # whole groups favour one model
        apart = rng.random(600) < 0.2
        mine_right = np.where(rng.random(600) < 0.4, leaning, rng.random(600) < 0.5)
        gains = np.where(apart, np.where(mine_right, 1, -1), 0)
        made = pair_of(gains)
        alone += made.better().p <= 0.05
        with_group = pair_of(gains, group.astype(np.uint64))
        grouped += with_group.better().p <= 0.05
    assert grouped / years < 0.085
    assert grouped < alone


def pair_of(gains: Any, group: Any = None) -> Pair:
    mine, theirs = (np.where((gains == s)[:, None], [0.3, 0.7], [0.8, 0.2]) for s in (-1, 1))
    return Pair("accuracy", np.zeros(len(gains), dtype=int), Given(mine), Given(theirs), group)


def test_groups_of_one_row_have_no_effect() -> None:
    each = np.arange(200, dtype=np.uint64)
    assert pair(30, 10, 200, each).better() == pair(30, 10, 200).better()
    one = pair(30, 10, 200, np.zeros(200, dtype=np.uint64)).better()
    assert one.p > 0.4  # with one group either sign is equally likely


@pytest.mark.parametrize(
    "metric", ["f1_macro", "accuracy", "brier", "log_loss", "balanced_accuracy"]
)
@pytest.mark.parametrize("grouped", [False, True])
def test_a_much_better_model_is_shown_to_be_better_by_every_metric(
    metric: str, grouped: bool
) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400)
    good, bad = (
        np.eye(2)[np.where(rng.random(400) < share, truth, 1 - truth)] * 0.6 + 0.2
        for share in (0.95, 0.6)
    )
    group = np.arange(400, dtype=np.uint64) // 4 if grouped else None
    made = Pair(metric, truth, Given(good), Given(bad), group)
    assert made.gain > 0
    assert made.better().p < 0.005
    assert made.worse().p > 0.9
    assert made.no_worse(0.01).p < 0.005
    assert turned(made).no_worse(0.01).p > 0.9
    assert 0 < made.deviation < 10


def test_regressions_are_compared_by_every_metric() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200)
    near, far = truth + rng.normal(0, 0.1, 200), truth + rng.normal(0, 1, 200)
    for metric in ("rmse", "mae", "r2", "median_error"):
        for group in (None, np.arange(200, dtype=np.uint64) // 5):
            made = Pair(metric, truth, Given(near), Given(far), group)
            assert made.better().p < 0.005
            assert made.no_worse(0.01).p < 0.005
            assert turned(made).no_worse(0.01).p > 0.9


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=8))
def test_random_signs_approximate_all_signs(sums: list[int]) -> None:
    each = np.array(sums, dtype=float)
    signs = 1 - 2 * ((np.arange(2 ** len(sums))[:, None] >> np.arange(len(sums))) & 1)
    exact = float(((signs @ each) >= each.sum()).mean())
    assert flip_p(each) == pytest.approx(exact, abs=0.045)


def test_no_rows_and_no_difference_show_nothing() -> None:
    for metric in ("accuracy", "brier", "log_loss", "f1_macro"):
        made = pair(0, 0, 50, metric=metric)
        assert made.better().p == 1.0
        assert made.deviation == 0
    assert pair(1, 0, 1, metric="brier").better().p == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("metric", ["brier", "log_loss", "f1_macro"])
def test_three_rows_never_show_a_gain(metric: str) -> None:
    assert pair(3, 0, 3, metric=metric).better().p >= 0.12
    assert turned(pair(3, 0, 3, metric=metric)).worse().p >= 0.12


def null_pair(rng: Any, metric: str, n: int, *, rare: bool = False) -> Pair:
    """Return two models that are equally good: their answers were exchanged at random by row."""
    swap = rng.random(n) < 0.5
    if metric in ("rmse", "r2", "mae", "median_error"):
        shared, truth = rng.standard_t(2.5, n), rng.normal(size=n)
        each = [truth + shared + 0.7 * rng.standard_t(2.5, n) for _ in range(2)]
        both = [Given(np.where(swap, *each)), Given(np.where(swap, *each[::-1]))]
        return Pair(metric, truth, *both)
    truth = (rng.random(n) < (0.05 if rare else 0.5)).astype(int)
    lean = 2 * truth - 1 + rng.normal(size=n)
    shares = [1 / (1 + np.exp(-(lean + 0.7 * rng.normal(size=n)))) for _ in range(2)]
    mine, theirs = (np.where(swap, *order) for order in (shares, shares[::-1]))
    both = [Given(np.stack([1 - share, share], axis=1)) for share in (mine, theirs)]
    return Pair(metric, truth, *both)


@pytest.mark.parametrize("metric", ["rmse", "mae", "f1_macro", "balanced_accuracy", "roc_auc"])
@pytest.mark.parametrize("rows", [60, 150])
def test_of_equal_models_at_most_five_percent_are_shown_to_be_better_or_worse(
    metric: str, rows: int
) -> None:
    rng = np.random.default_rng(1)
    pairs = [null_pair(rng, metric, rows, rare=metric == "balanced_accuracy") for _ in range(400)]
    most = binom.ppf(0.999, len(pairs), 0.05)
    assert sum(one.better().p <= 0.05 for one in pairs) <= most
    assert sum(one.worse().p <= 0.05 for one in pairs) <= most


@pytest.mark.parametrize("metric", ["rmse", "f1_macro", "roc_auc", "average_precision", "accuracy"])
def test_a_model_is_better_than_another_exactly_as_the_other_is_worse(metric: str) -> None:
    made = null_pair(np.random.default_rng(3), metric, 90)
    assert made.better().p == pytest.approx(turned(made).worse().p, abs=0.04)
    assert made.worse().p == pytest.approx(turned(made).better().p, abs=0.04)
    assert made.better().p + made.worse().p >= 1 - 1e-9
    assert made.deviation == pytest.approx(turned(made).deviation, rel=0.1)


def test_random_exchanges_approximate_all_exchanges() -> None:
    rng = np.random.default_rng(0)
    truth, first, second = rng.normal(size=(3, 8))
    squares = (truth - first) ** 2, (truth - second) ** 2
    masks = (np.arange(2**8)[:, None] >> np.arange(8)) & 1
    sums = [np.where(masks, *order).sum(axis=1) for order in (squares[::-1], squares)]
    gains = np.sqrt(sums[1] / 8) - np.sqrt(sums[0] / 8)
    exact = float((gains >= gains[0] - 1e-9).mean())
    for metric in ("rmse", "r2"):
        made = Pair(metric, truth, Given(first), Given(second)).better()
        assert made.p == pytest.approx(exact, abs=0.045)
        assert made.method == "random exchanges"


def test_ranks_are_exchanged_so_that_the_scale_of_the_scores_does_not_matter() -> None:
    made = null_pair(np.random.default_rng(5), "average_precision", 80)
    smaller = made.mine.outputs**3
    other = replace(made, mine=Given(np.stack([1 - smaller[:, 1], smaller[:, 1]], axis=1)))
    assert other.better() == made.better()


@pytest.mark.parametrize(
    ("metric", "positives", "method"),
    [
        ("roc_auc", 100, "DeLong's test"),
        ("roc_auc", 10, "random exchanges"),
        ("average_precision", 100, "random exchanges"),
        ("accuracy", 100, "McNemar's mid-p"),
        ("brier", 100, "paired z-test"),
        ("log_loss", 100, "sign flips"),
        ("kappa", 100, "random exchanges"),
    ],
)
def test_a_test_is_chosen_that_is_valid_for_few_rows(
    metric: str, positives: int, method: str
) -> None:
    made = null_pair(np.random.default_rng(0), metric, 300)
    truth = (np.arange(300) < positives).astype(int)
    assert replace(made, truth=truth).better().method == method


def test_ten_thousand_rows_are_compared_within_a_second_by_any_metric() -> None:
    for metric in ("rmse", "mae", "r2", "median_error", "f1_macro", "roc_auc", "ece", "mcc"):
        made = null_pair(np.random.default_rng(0), metric, 10_000)
        began = time.process_time()
        made.better(), made.worse(), made.deviation
        assert time.process_time() - began < 3, metric  # a second on an idle processor
