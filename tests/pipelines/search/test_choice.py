"""Choosing the best trial."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.pipelines.base.errors import EnvironmentFault
from gristmill.pipelines.config.known_names import keras_classes
from gristmill.pipelines.search.points import choose
from gristmill.pipelines.training.trial import TrialResult, more_is_better

BASE = TrialResult("k", "finished", 3, 3, False, 2, {}, {}, 10, 0.0, 0.0)


def ended(key: str, accuracy: float, loss: float = 0.5, weights: int = 10) -> TrialResult:
    scores = {"val_accuracy": accuracy, "val_loss": loss}
    return replace(BASE, key=key, scores=scores, weights=weights)


def test_the_best_objective_wins() -> None:
    results = [ended("a", 0.8, 0.1), ended("b", 0.9, 0.2), ended("c", 0.7, 0.05)]
    assert choose(results, "val_accuracy").key == "b"
    assert choose(results, "val_loss").key == "c"


def test_ties_are_decided_by_val_loss_then_weights_then_key() -> None:
    results = [ended("b", 0.9, 0.2, 5), ended("c", 0.9, 0.1, 9), ended("e", 0.9, 0.1, 7)]
    assert choose(results, "val_accuracy").key == "e"
    assert choose([*results, ended("d", 0.9, 0.1, 7)], "val_accuracy").key == "d"


few = st.sampled_from([0.1, 0.2, 0.3])


@given(st.data(), st.lists(st.tuples(few, few, st.integers(1, 3)), min_size=1, max_size=8))
def test_the_order_of_results_has_no_effect(
    data: st.DataObject, scores: list[tuple[float, float, int]]
) -> None:
    results = [ended(str(i), *score) for i, score in enumerate(scores)]
    shuffled = data.draw(st.permutations(results))
    assert choose(shuffled, "val_accuracy") == choose(results, "val_accuracy")


def test_failed_trials_cannot_win() -> None:
    failed = replace(BASE, key="a", status="failed", error="diverged")
    assert choose([failed, ended("b", 0.1)], "val_accuracy").key == "b"


def test_if_every_trial_failed_the_error_lists_each_reason() -> None:
    failed = [replace(BASE, key=f"{i}" * 32, status="failed", error=f"no {i}") for i in range(2)]
    with pytest.raises(
        EnvironmentFault, match=r"(?s)every trial failed.*00000000: no 0.*11111111: no 1"
    ):
        choose(failed, "val_accuracy")


BARE = ("Metric", "MeanMetricWrapper")
ARGUMENTS = {"IoU": (2, [0]), "OneHotIoU": (2, [0]), "MeanIoU": (2,), "OneHotMeanIoU": (2,)}


def test_the_direction_of_every_metric_is_that_of_keras() -> None:
    import keras

    directions = {}
    for name in keras_classes("metrics"):
        kind = getattr(keras.metrics, name)
        takes_a_share = issubclass(kind, keras.metrics.PrecisionAtRecall.__base__)
        made = kind(*ARGUMENTS.get(name, (0.5,) * takes_a_share)) if name not in BARE else None
        if getattr(made, "_direction", None) is not None:
            directions[name] = made._direction
    assert len(directions) > 30
    assert {n: more_is_better(f"val_{n}") for n in directions} == {
        name: direction == "up" for name, direction in directions.items()
    }


@pytest.mark.parametrize(
    ("metric", "more"),
    [
        ("val_loss", False),
        ("accuracy", True),
        ("val_categorical_accuracy", True),
        ("val_mean_absolute_error", False),
        ("val_pearson_correlation", True),
        ("TruePositives", True),
        ("FalsePositives", False),
    ],
)
def test_the_direction_is_derived_from_the_name(metric: str, more: bool) -> None:
    assert more_is_better(metric) is more
