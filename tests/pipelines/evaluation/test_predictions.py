"""Predictions as they are stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gristmill.pipelines.evaluation.predictions import (
    Predictions,
    from_answers,
    from_outputs,
    read_predictions,
    write_predictions,
)

IDENTITY = np.array([2**64 - 1, 7, 0], dtype=np.uint64)
SHARES = np.array([[0.2, 0.8], [0.6, 0.4], [1 / 3, 2 / 3]])
OF_CLASSES = Predictions(IDENTITY, np.array([1, 0, 1], np.int32), SHARES, ("no", "yes"))
OF_VALUES = Predictions(IDENTITY, np.array([1.5, -2, 0.1]), np.array([1.25, 1 / 3, -4]), None)


def assert_equal(one: Predictions, other: Predictions) -> None:
    assert one.classes == other.classes
    for name in ("identity", "truth", "outputs"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == getattr(other, name).dtype


@pytest.mark.parametrize("made", [OF_CLASSES, OF_VALUES])
def test_stored_predictions_are_read_back_exactly(made: Predictions, tmp_path: Path) -> None:
    write_predictions(tmp_path / "p.parquet", made)
    assert_equal(read_predictions(tmp_path / "p.parquet"), made)


def test_rows_seen_in_training_can_be_left_out(tmp_path: Path) -> None:
    made = replace(OF_CLASSES, twin=np.array([True, False, False]))
    write_predictions(tmp_path / "p.parquet", made)
    stored = read_predictions(tmp_path / "p.parquet")
    assert stored.twin.tolist() == [True, False, False]
    np.testing.assert_array_equal(stored.unseen().identity, IDENTITY[1:])
    assert OF_CLASSES.unseen() is OF_CLASSES


@pytest.mark.parametrize("keep", [np.array([True, False, True]), np.array([0, 2])])
def test_a_selection_of_rows_keeps_the_classes(keep: Any) -> None:
    some = OF_CLASSES.rows(keep)
    np.testing.assert_array_equal(some.identity, IDENTITY[[0, 2]])
    np.testing.assert_array_equal(some.outputs, SHARES[[0, 2]])
    assert some.classes == ("no", "yes")


@pytest.mark.parametrize(
    ("labels", "names"),
    [(["no", "yes"], ("no", "yes")), ([False, True], ("false", "true")), ([3, 5], ("3", "5"))],
)
@pytest.mark.parametrize("outputs", [SHARES, SHARES[:, 1:]])
def test_outputs_of_a_classifier_become_one_probability_for_each_class(
    labels: list[Any], names: tuple[str, ...], outputs: Any
) -> None:
    made = from_outputs(outputs, np.array([1, 0, 1]), IDENTITY, {"classes": labels})
    assert made.classes == names
    np.testing.assert_allclose(made.outputs, SHARES)


def test_outputs_of_a_regression_become_values() -> None:
    outputs = np.array([[1.25], [2], [3]], np.float32)
    made = from_outputs(outputs, np.array([1, 2, 3], np.float32), IDENTITY, {"classes": None})
    assert made.classes is None
    assert made.outputs.tolist() == [1.25, 2, 3]
    assert made.truth.dtype == np.float64


def test_answers_are_read_by_column_name() -> None:
    frame = pd.DataFrame({"probability_yes": SHARES[:, 1], "probability_no": SHARES[:, 0]})
    assert_equal(from_answers(frame, OF_CLASSES), OF_CLASSES)
    values = pd.DataFrame({"prediction": OF_VALUES.outputs})
    assert_equal(from_answers(values, OF_VALUES), OF_VALUES)


@pytest.mark.parametrize(
    ("classes", "names"),
    [
        (("false", "true"), ["1", "0"]),
        (("0", "1"), ["true", "false"]),
        (("0", "1"), ["1.0", "0.0"]),
    ],
)
def test_answers_are_read_whatever_the_type_of_the_labels(
    classes: tuple[str, ...], names: list[str]
) -> None:
    given = replace(OF_CLASSES, classes=classes)
    frame = pd.DataFrame(
        dict(zip([f"probability_{n}" for n in names], SHARES.T[::-1], strict=True))
    )
    assert_equal(from_answers(frame, given), given)


@pytest.mark.parametrize("names", [["no", "maybe"], ["no"], ["no", "yes", "maybe"], []])
def test_answers_of_a_model_with_other_classes_are_refused(names: list[str]) -> None:
    frame = pd.DataFrame({f"probability_{name}": [0.5] * 3 for name in names})
    with pytest.raises(ValueError, match=f"it has different classes: {', '.join(names)}"):
        from_answers(frame, OF_CLASSES)
