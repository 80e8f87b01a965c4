"""Names known to Keras, without importing it, and the nearest name."""

from __future__ import annotations

import subprocess
import sys

import pytest

from gristmill.pipelines.base.spelling import nearest
from gristmill.pipelines.config.known_names import (
    CLASSIFICATION_METRICS,
    LOWER_IS_BETTER,
    REGRESSION_METRICS,
    keras_classes,
    keras_names,
)


@pytest.mark.parametrize(
    ("name", "right"), [("Dens", "Dense"), ("dense", "Dense"), ("zzz", ""), ("", "")]
)
def test_the_nearest_name_is_found_regardless_of_case(name: str, right: str) -> None:
    assert nearest(name, ["Dense", "Dropout"]) == right


def test_the_lists_contain_names_of_keras() -> None:
    assert {"Dense", "Dropout", "Conv2D", "BatchNormalization"} <= keras_classes("layers")
    assert {"Adam", "SGD"} <= keras_classes("optimizers")
    assert "mean_squared_error" in keras_names("losses")
    assert "mean_squared_error" not in keras_classes("losses")


def test_listing_keras_names_does_not_import_keras() -> None:
    code = (
        "import sys; from gristmill.pipelines.config.known_names import keras_names; "
        "assert keras_names('layers'); "
        "sys.exit('keras' in sys.modules or 'tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_description_of_a_metric_states_whether_lower_is_better() -> None:
    for name, words in (CLASSIFICATION_METRICS | REGRESSION_METRICS).items():
        assert ("lower is better" in words) == (name in LOWER_IS_BETTER)
