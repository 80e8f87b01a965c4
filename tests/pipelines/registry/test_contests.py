"""Which rows decide between two models, and the result on them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from gristmill.pipelines.config.sections import Gate
from gristmill.pipelines.evaluation.predictions import Predictions
from gristmill.pipelines.registry.contests import (
    ComparedRows,
    Contest,
    contest,
    counting,
    margin_of,
    not_worse,
    paired,
    slice_masks,
    sliced,
)
from gristmill.pipelines.registry.gate import CandidateFacts, decide

RULES = Gate()


def outcome(made: Contest) -> str:
    return decide(CandidateFacts({}), made, RULES).outcome


def predictions(right: Any, sure: float = 0.9) -> Predictions:
    """Return predictions of two classes; the true class is always the first."""
    outputs = np.array([[sure, 1 - sure] if r else [1 - sure, sure] for r in right])
    rows = len(right)
    identity = np.arange(rows, dtype=np.uint64)
    return Predictions(identity, np.zeros(rows, dtype=int), outputs, ("a", "b"))


def test_a_comparison_uses_the_same_rows_in_the_same_order() -> None:
    candidate, champion = predictions([1] * 10 + [0] * 2), predictions([0] * 10 + [1] * 2)
    made = contest("4", "accuracy", candidate, champion)
    assert (made.champion, made.metric, made.rows) == ("4", "accuracy", 12)
    assert made.values == pytest.approx((10 / 12, 2 / 12))
    assert made.p == pytest.approx((1 + 12 + 66 / 2) / 4096)
    assert made.deviation == 1.0
    back = contest("4", "accuracy", champion, candidate)
    assert back.worse == pytest.approx(made.p)
    assert made.p + back.p == pytest.approx(1)


def test_only_a_candidate_with_a_loss_can_be_significantly_worse() -> None:
    better, same = predictions([1] * 12), predictions([0] * 3 + [1] * 9)
    assert contest("4", "accuracy", better, same).worse == 1.0
    other = predictions([1] * 9 + [0] * 3)
    assert contest("4", "accuracy", same, other).worse == 1.0
    assert contest("4", "accuracy", same, better).worse < 0.1


def test_a_comparison_of_equal_models_holds() -> None:
    same = predictions([1, 0, 1, 1] * 20)
    for metric in ("accuracy", "log_loss", "brier", "f1_macro"):
        for group in (None, np.arange(80, dtype=np.uint64) // 4):
            assert outcome(contest("1", metric, same, same, ComparedRows(group=group))) == "hold"


def test_a_comparison_of_regressions_uses_the_error() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=80)
    near, far = (
        Predictions(np.arange(80), truth, truth + rng.normal(0, s, 80), None) for s in (0.1, 1)
    )
    assert outcome(contest("1", "rmse", near, far)) == "promote"
    assert outcome(contest("1", "rmse", far, near)) == "reject"


def test_rows_that_the_candidate_was_trained_on_do_not_count() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 60)
    twin = np.arange(60) < 20
    identity = np.arange(60, dtype=np.uint64)
    mine, theirs = (np.eye(2)[rng.integers(0, 2, 60)] for _ in range(2))
    mine[twin] = np.eye(2)[truth[twin]]  # it has memorised them
    candidate = Predictions(identity, truth, mine, ("no", "yes"), twin)
    champion = Predictions(identity, truth, theirs, ("no", "yes"))
    whole, kept = (p.rows(~twin) for p in (candidate, champion))
    made = contest("1", "accuracy", candidate, champion)
    plain = contest("1", "accuracy", whole, kept)
    assert (made.values, made.p, made.rows) == (plain.values, plain.p, 40)
    assert made.left_out == 20


def test_rows_that_either_model_has_seen_do_not_count() -> None:
    right = predictions([1] * 30)
    wrong_where_seen = predictions([0] * 10 + [1] * 20)
    seen = np.arange(30) < 10
    made = contest("1", "accuracy", right, wrong_where_seen, ComparedRows(seen))
    assert (made.rows, made.values, made.left_out) == (20, (1.0, 1.0), 10)
    nothing = contest(
        "1", "accuracy", right, wrong_where_seen, ComparedRows(np.ones(30, dtype=bool))
    )
    assert (nothing.rows, outcome(nothing)) == (0, "hold")


flags = st.lists(st.booleans(), min_size=1, max_size=40)


@given(flags, st.integers(1, 50), st.randoms(use_true_random=False))
def test_if_some_rows_are_newer_the_newest_rows_count(new: list[bool], most: int, rng: Any) -> None:
    n = len(new)
    seen = np.array([rng.random() < 0.3 for _ in range(n)])
    newer, same = np.array(new), predictions([1] * n)
    places = counting(same, ComparedRows(seen, newer, newest=most))
    assert not seen[places].any()
    valid = int((~seen).sum())
    grows = bool((newer & ~seen).any())
    assert len(places) == (min(most, valid) if grows else valid)
    assert list(places) == sorted({*places})
    left = np.setdiff1d(np.flatnonzero(~seen), places)
    if len(left) and newer[left].any():  # a new row is left out only for newer ones
        assert newer[places].all()
        assert places.min() > left[newer[left]].max()


def test_the_newest_rows_are_those_with_the_last_dates() -> None:
    same, newer = predictions([1] * 6), np.array([True, False, False, True, False, False])
    dates = np.array([1, 2, 9, 3, 8, 7])
    assert list(counting(same, ComparedRows(None, newer, dates, newest=3))) == [2, 4, 5]
    assert list(counting(same, ComparedRows(None, newer, newest=3))) == [0, 3, 5]
    assert len(counting(same, ComparedRows(None, np.zeros(6, dtype=bool), dates, newest=3))) == 6


@pytest.mark.parametrize(
    ("metric", "value", "margin"),
    [("accuracy", 0.9, 0.01), ("brier", 0.2, 0.01), ("rmse", 50.0, 0.5), ("log_loss", 0.3, 0.003)],
)
def test_a_margin_is_in_points_or_a_share_of_the_champions_value(
    metric: str, value: float, margin: float
) -> None:
    assert margin_of(metric, 0.01, value) == pytest.approx(margin)


def test_a_model_is_shown_not_worse_than_itself_only_on_enough_rows() -> None:
    """If no row differs, Tango's statistic is sqrt(n margin / (1 - margin))."""
    for rows in (2000, 50):
        same = predictions([1] * rows)
        made = not_worse("2", 0.01, paired("accuracy", same, same, np.arange(rows), None))
        assert made.p == pytest.approx(norm.sf(math.sqrt(rows * 0.01 / 0.99)), rel=1e-6)
        assert (made.p < 0.05) == (rows == 2000)
        assert made.rows == rows
    assert not_worse("2", 0.01, paired("accuracy", same, same, np.arange(0), None)).p == 1.0


def test_slices_are_tested_against_the_champion_and_against_a_required_share() -> None:
    columns = {"shop": ["a"] * 40 + ["b"] * 40, "day": ["1", "2"] * 40}
    masks = slice_masks({"shop": None, "shop=b": 0.9, "day=2": None}, columns)
    assert {name: int(mask.sum()) for name, (mask, _) in masks.items()} == {
        "shop=a": 40, "shop=b": 40, "day=2": 40,
    }  # fmt: skip
    mine, theirs = predictions([1] * 40 + [0] * 40), predictions([1] * 80)
    made = sliced("accuracy", masks, mine, theirs, np.arange(80))
    by = {(each.name, each.kind): each for each in made}
    assert by["shop=a", "champion"].p == 1.0
    assert by["shop=b", "champion"].p < 1e-9
    assert by["shop=b", "required"].p < 1e-9
    assert by["shop=b", "required"].bound == 0.9
    alone = sliced("accuracy", masks, theirs, None, np.arange(80))
    assert [(each.name, each.kind, each.p) for each in alone] == [("shop=b", "required", 1.0)]


def test_slices_of_a_missing_column_or_of_too_many_values_are_refused() -> None:
    with pytest.raises(ValueError, match="no column 'stop'"):
        slice_masks({"stop": None}, {"shop": ["a"]})
    with pytest.raises(ValueError, match=r"31 different values.*such as shop=0"):
        slice_masks({"shop": None}, {"shop": [str(i) for i in range(31)]})
