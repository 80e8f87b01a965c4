"""Names of metrics in MLflow: reversible, accepted, and those of earlier versions are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name

from gristmill.pipelines.evaluation.metrics.stored_names import (
    logged,
    names_of,
    own_name,
    values_of,
)

AWKWARD = st.text(alphabet="_x03CEF5lowhigh<>%$/. :-é\n😀", max_size=24)


@given(st.one_of(AWKWARD, st.text(max_size=12)))
def test_mlflow_accepts_the_stored_name_of_any_class_and_it_can_be_turned_back(name: str) -> None:
    metric = f"recall:{name}"
    _validate_metric_name(f"test_{logged(metric)}")
    assert own_name(logged(metric)) == metric


@pytest.mark.parametrize(
    "classes",
    [
        ("<30", ">30", "_30"),
        ("A/B", "A_B", "A:B"),
        ("100%", "100$", "100_"),
        ("<", "_x003C_", "_x003C", "x003C_"),
        ("risk", "risk_low", "risk_high", "risk_low_low"),
    ],
)
def test_no_two_classes_share_a_stored_value_or_the_end_of_an_interval(
    classes: tuple[str, ...],
) -> None:
    names = [logged(f"recall:{each}") for each in classes]
    stored = [name + end for name in names for end in ("", "_low", "_high")]
    assert len({*stored}) == len(stored)


@pytest.mark.parametrize("letter", ["a", "<", "_", "é", " "])
def test_names_beyond_the_limit_of_mlflow_are_shortened_and_found_by_their_classes(
    letter: str,
) -> None:
    same = "b" * 250
    classes = [f"{letter * 299}.", f"{same} one", f"{same} two", "short"]
    stored = {logged(f"recall:{name}"): float(place) for place, name in enumerate(classes)}
    for name in stored:
        _validate_metric_name(f"gristmill.metric.{name}_high")
    read = {own_name(name): value for name, value in stored.items()}
    assert values_of([f"recall:{name}" for name in classes], read) == {
        f"recall:{name}": place for place, name in enumerate(classes)
    }
    assert names_of(stored, classes) == [f"recall:{name}" for name in classes]


def test_a_class_that_ends_like_a_shortened_name_is_not_one() -> None:
    name = "recall:a-sha256_0123456789abcdef"
    assert own_name(logged(name)) == name != logged(name)
    shortened = logged(f"recall:{'a' * 300}")
    assert logged(shortened) != shortened


def test_plain_names_are_stored_as_they_are() -> None:
    for name in ("accuracy", "f1_macro", "top_3_accuracy", "quantile_loss:0.9", "recall:50-64 é"):
        assert logged(name) == name


def test_values_stored_by_earlier_versions_are_read_unless_two_classes_shared_the_name() -> None:
    earlier = {"accuracy": 0.9, "recall:_30": 0.5, "recall:100_": 0.7}
    assert values_of(["accuracy", "recall:<30", "recall:100%", "mcc"], earlier) == {
        "accuracy": 0.9,
        "recall:<30": 0.5,
        "recall:100%": 0.7,
    }
    assert values_of(["recall:<30", "recall:>30", "recall:100%"], earlier) == {"recall:100%": 0.7}
    now = {"recall:<30": 0.1, "recall:>30": 0.2}
    assert values_of(["recall:<30", "recall:>30"], now) == now


def test_metrics_are_found_by_their_stored_names_of_any_version() -> None:
    stored = ["top_2_accuracy", logged("f1:<30"), "f1:_30_low", "recall:_30", "accuracy"]
    assert names_of(stored, ["<30", ">30", "NO"]) == [
        "accuracy",
        "recall:<30",
        "recall:>30",
        "f1:<30",
        "top_2_accuracy",
    ]
    assert names_of(["rmse", "quantile_loss:0.9", "rmse_low"], None) == [
        "rmse",
        "quantile_loss:0.9",
    ]
