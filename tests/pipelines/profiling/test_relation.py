"""One number for what a column tells about the target."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from gristmill.pipelines.profiling.relation import (
    class_goal,
    level_relation,
    number_goal,
    number_relation,
)

RNG = np.random.default_rng(0)
Y = RNG.random(2000)
LABELS = ["yes" if y > 0.7 else "no" for y in Y]


def test_for_two_classes_it_is_two_auc_minus_one() -> None:
    x = Y + RNG.normal(0, 0.3, len(Y))
    area = roc_auc_score([label == "yes" for label in LABELS], x)
    assert number_relation(x, class_goal(LABELS)) == pytest.approx(2 * area - 1)
    assert number_relation(-x, class_goal(LABELS)) == pytest.approx(2 * area - 1)


def test_a_column_that_rises_with_the_target_tells_all_of_it() -> None:
    assert number_relation(np.exp(Y), number_goal(Y)) == pytest.approx(1)
    assert number_relation(Y, class_goal(LABELS)) == pytest.approx(1)


def test_rows_without_a_value_do_not_count() -> None:
    x = np.where(Y < 0.5, np.nan, Y)
    assert number_relation(x, number_goal(Y)) == pytest.approx(1)
    assert number_relation(np.full(len(Y), np.nan), number_goal(Y)) == 0


def test_noise_tells_next_to_nothing() -> None:
    x, codes = RNG.normal(size=len(Y)), RNG.integers(0, 9, len(Y))
    for goal in (number_goal(Y), class_goal(LABELS)):
        assert number_relation(x, goal) < 0.1
        assert level_relation(codes, goal) < 0.1


def test_a_level_for_every_row_looks_no_better_than_it_is() -> None:
    codes = np.arange(len(Y))
    assert level_relation(codes, number_goal(Y)) < 0.1
    assert level_relation(codes, class_goal(LABELS)) < 0.1


def test_levels_that_follow_the_target_tell_it() -> None:
    codes = (Y > 0.7).astype(np.int64)
    assert level_relation(codes, class_goal(LABELS)) == pytest.approx(1)
    assert level_relation((Y * 20).astype(np.int64), number_goal(Y)) > 0.98


def test_a_class_of_a_few_rows_does_not_decide() -> None:
    labels = ["rare" if place < 3 else label for place, label in enumerate(LABELS)]
    x = np.where(np.arange(len(Y)) < 3, 10.0, RNG.normal(size=len(Y)))
    assert number_relation(x, class_goal(labels)) < 0.1
