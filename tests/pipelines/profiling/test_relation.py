"""One number for the relation between a column and the target."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from gristmill.pipelines.profiling.relation import (
    class_goal,
    least_relation,
    level_relation,
    number_goal,
    number_relation,
)

RNG = np.random.default_rng(0)
Y = RNG.random(2000)
LABELS = ["yes" if y > 0.7 else "no" for y in Y]


def test_for_two_classes_the_relation_is_two_auc_minus_one() -> None:
    x = Y + RNG.normal(0, 0.3, len(Y))
    area = roc_auc_score([label == "yes" for label in LABELS], x)
    assert number_relation(x, class_goal(LABELS)) == pytest.approx(2 * area - 1)
    assert number_relation(-x, class_goal(LABELS)) == pytest.approx(2 * area - 1)


def test_a_column_that_increases_with_the_target_has_relation_one() -> None:
    assert number_relation(np.exp(Y), number_goal(Y)) == pytest.approx(1)
    assert number_relation(Y, class_goal(LABELS)) == pytest.approx(1)


def test_rows_without_a_value_are_ignored() -> None:
    x = np.where(Y < 0.5, np.nan, Y)
    assert number_relation(x, number_goal(Y)) == pytest.approx(1)
    assert number_relation(np.full(len(Y), np.nan), number_goal(Y)) == 0


def test_noise_has_almost_no_relation() -> None:
    x, codes = RNG.normal(size=len(Y)), RNG.integers(0, 9, len(Y))
    for goal in (number_goal(Y), class_goal(LABELS)):
        assert number_relation(x, goal) < 0.1
        assert level_relation(codes, goal) < 0.1


def test_a_column_with_one_level_per_row_has_almost_no_relation() -> None:
    codes = np.arange(len(Y))
    assert level_relation(codes, number_goal(Y)) < 0.1
    assert level_relation(codes, class_goal(LABELS)) < 0.1


def test_levels_that_follow_the_target_have_relation_near_one() -> None:
    codes = (Y > 0.7).astype(np.int64)
    assert level_relation(codes, class_goal(LABELS)) == pytest.approx(1)
    assert level_relation((Y * 20).astype(np.int64), number_goal(Y)) > 0.98


def test_a_class_with_a_few_rows_does_not_dominate() -> None:
    labels = ["rare" if place < 3 else label for place, label in enumerate(LABELS)]
    x = np.where(np.arange(len(Y)) < 3, 10.0, RNG.normal(size=len(Y)))
    assert number_relation(x, class_goal(labels)) < 0.1


@pytest.mark.parametrize("one", [True, False])
def test_a_column_that_separates_one_of_three_classes_does_not_separate_all(one: bool) -> None:
    kinds = RNG.integers(0, 3, len(Y))
    goal = class_goal([str(kind) for kind in kinds])
    codes = np.where(kinds == 0, 0, RNG.integers(1, 3, len(Y))) if one else kinds
    assert number_relation(codes.astype(float), goal) == pytest.approx(1)
    assert level_relation(codes, goal) == pytest.approx(1)
    assert (least_relation(codes.astype(float), goal) < 0.9) == one
    assert (least_relation(codes, goal) < 0.9) == one
