"""One-sided tests of two models on the same rows: size, power and agreement."""

from __future__ import annotations

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
    assert made.turned.better().p > 0.9
    assert made.no_worse(0.01).p < 0.005
    assert made.turned.no_worse(0.01).p > 0.9
    assert 0 < made.deviation < 10


def test_regressions_are_compared_by_bootstrap() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=200)
    near, far = truth + rng.normal(0, 0.1, 200), truth + rng.normal(0, 1, 200)
    for metric in ("rmse", "mae", "r2", "median_error"):
        for group in (None, np.arange(200, dtype=np.uint64) // 5):
            made = Pair(metric, truth, Given(near), Given(far), group)
            assert made.better().p < 0.005
            assert made.no_worse(0.01).p < 0.005
            assert made.turned.no_worse(0.01).p > 0.9


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
    assert pair(1, 0, 1, metric="brier").better().p == 1.0
