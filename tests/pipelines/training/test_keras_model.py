"""Keras models from experiment files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tiny import make_project, write_experiment

from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.training.class_weight import class_weights
from gristmill.pipelines.training.keras_model import DataTraits, build_model, targets


@pytest.fixture
def home(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def build(project: Project, shape: Sequence[int] = (5,), outputs: int = 3, **changes: Any) -> Any:
    experiment = write_experiment(project, **changes)
    recipe = experiment.recipe(experiment.document.parameters)
    return build_model(recipe, DataTraits(tuple(shape), outputs), project.experiments)


def layers(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": {"layers": list(entries), **more}}


def test_input_and_output_are_derived_from_the_data_and_the_task(home: Project) -> None:
    model = build(home)
    assert (model.input_shape, model.output_shape) == ((None, 5), (None, 3))
    assert model.layers[-1].activation.__name__ == "softmax"
    assert model.loss == "sparse_categorical_crossentropy"
    value = build(home, outputs=1, data={"target": "weight", "task": "regression"})
    assert value.layers[-1].activation.__name__ == "linear"
    assert value.loss == "mean_squared_error"


def test_output_replaces_the_last_layer(home: Project) -> None:
    output = [{"Dense": {"units": 1, "activation": "sigmoid"}}]
    model = build(home, outputs=2, model={"output": output})
    assert model.output_shape == (None, 1)
    assert model.loss == "binary_crossentropy"


def test_arguments_can_contain_keras_objects(home: Project) -> None:
    dense = {
        "units": 4,
        "kernel_regularizer": {"L2": {"l2": 0.5}},
        "kernel_initializer": {"Constant": {"value": 2.0}},
        "kernel_constraint": {"MaxNorm": {"max_value": 3}},
    }
    rate = {"ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 9, "decay_rate": 0.5}}
    model = build(
        home, **layers({"Dense": dense}), training={"optimizer": {"Adam": {"learning_rate": rate}}}
    )
    assert float(model.layers[0].kernel_regularizer.l2) == 0.5
    assert model.layers[0].kernel_constraint.max_value == 3
    np.testing.assert_array_equal(model.layers[0].kernel, np.full((5, 4), 2.0))
    assert type(model.optimizer._learning_rate).__name__ == "ExponentialDecay"


def embedded(home: Project, **changes: Any) -> Any:
    experiment = write_experiment(home, **changes)
    recipe = experiment.recipe(experiment.document.parameters)
    return build_model(recipe, DataTraits((5,), 3, [(4, 2), (9, 3)]), home.experiments)


def test_codes_are_embedded_before_the_layers_also_in_a_saved_model(
    home: Project, tmp_path: Path
) -> None:
    model = embedded(home)
    assert (model.input_shape, model.output_shape) == ((None, 5), (None, 3))
    assert model.layers[0].output_shape == (None, 3 + 2 + 3)
    rows = np.array([[0.5, 1, 2, 0, 8], [0.5, 1, 2, 3, 8], [0.5, 1, 2, 0, 8]], np.float32)
    made = np.asarray(model(rows))
    assert not np.array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], made[2])
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras", compile=False, safe_mode=True)
    np.testing.assert_array_equal(loaded(rows), made)


def test_a_model_with_only_codes_is_built(home: Project) -> None:
    experiment = write_experiment(home)
    recipe = experiment.recipe(experiment.document.parameters)
    model = build_model(recipe, DataTraits((1,), 3, [(4, 2)]), home.experiments)
    assert model.layers[0].output_shape == (None, 2)


@pytest.mark.parametrize(("numbers", "codes"), [(0, 2), (1, 1), (1, 2)])
def test_numbers_and_the_vectors_of_all_codes_are_the_input_of_the_layers(
    home: Project, numbers: int, codes: int
) -> None:
    experiment = write_experiment(home)
    recipe = experiment.recipe(experiment.document.parameters)
    traits = DataTraits((numbers + codes,), 3, [(4, 2), (9, 3)][:codes])
    model = build_model(recipe, traits, home.experiments)
    assert model.layers[0].output_shape == (None, numbers + sum([2, 3][:codes]))


def test_a_builder_receives_the_rows_with_their_codes(home: Project) -> None:
    (home.experiments / "my_models.py").write_text(BUILDER)
    model = embedded(home, model={"layers": None, "builder": "my_models:build"})
    assert [type(layer).__name__ for layer in model.layers] == ["Dense", "Dense"]


def weighted(home: Project, asked: Any, classes: Sequence[Any] = ("low", "top")) -> list[float]:
    experiment = write_experiment(home, training={"class_weight": asked})
    recipe = experiment.recipe(experiment.document.parameters)
    found = class_weights(recipe, classes, np.array([0, 0, 0, 1], np.int32))
    return [] if found is None else found.tolist()


def test_balanced_classes_have_equal_total_weight_as_in_scikit_learn(home: Project) -> None:
    from sklearn.utils.class_weight import compute_sample_weight

    expected = compute_sample_weight("balanced", [0, 0, 0, 1])
    np.testing.assert_allclose(weighted(home, "balanced"), expected, rtol=1e-6)


def test_classes_have_the_weights_of_the_file_and_1_by_default(home: Project) -> None:
    assert weighted(home, None) == []
    assert weighted(home, {"top": 5.0}) == [1, 1, 1, 5]
    assert weighted(home, {"true": 2.0}, [False, True]) == [1, 1, 1, 2]
    assert weighted(home, {"3": 0.5, "7": 2.0}, [3, 7]) == [0.5, 0.5, 0.5, 2]


def test_case_matters_in_a_class_name_only_where_classes_differ_in_nothing_else(
    home: Project,
) -> None:
    assert weighted(home, {"LOW": 3.0}) == [3, 3, 3, 1]
    assert weighted(home, {"Low": 3.0}, ["low", "Low"]) == [1, 1, 1, 3]
    assert weighted(home, {"low": 3.0}, ["low", "Low"]) == [3, 3, 3, 1]


def test_a_weight_for_an_unknown_class_is_an_error_with_the_closest_name(home: Project) -> None:
    with pytest.raises(ConfigError, match=r"(?s)class_weight: there is no class 'tip'.*mean top\?"):
        weighted(home, {"tip": 2.0})


def test_one_seed_gives_one_model(home: Project) -> None:
    first, again = build(home).get_weights(), build(home).get_weights()
    other = build(home, training={"seed": 1}).get_weights()
    np.testing.assert_array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            layers({"Dense": {"unit": 4}}),
            r"(?s)model\.layers\.0: Keras rejects .* for Dense.*did you mean units\?",
        ),
        (
            layers({"Dense": {"units": 4}}, {"Dropout": {"rat": 0.1}}),
            r"(?s)model\.layers\.1: .* for Dropout.*did you mean rate\?",
        ),
        (
            layers({"Dense": {"units": 4, "kernel_regularizer": {"L3": {}}}}),
            r"(?s)model\.layers\.0\.Dense\.kernel_regularizer: there is no L3",
        ),
        (
            {"training": {"optimizer": {"Adam": {"learning_rat": 0.1}}}},
            r"(?s)training\.optimizer: .* for Adam.*did you mean learning_rate\?",
        ),
        (
            layers({"Conv2D": {"filters": 2, "kernel_size": 3}}),
            r"(?s)model\.layers\.0: Conv2D does not fit .*inputs of shape \(None, 5\)",
        ),
    ],
)
def test_what_keras_refuses_is_named_with_its_place(
    home: Project, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build(home, **changes)


@pytest.mark.parametrize(
    ("task", "target", "units", "outputs", "expected"),
    [
        ("classification", "kind", 1, 3, "3 outputs"),
        ("classification", "kind", 2, 3, "3 outputs"),
        ("classification", "kind", 4, 3, "3 outputs"),
        ("classification", "flag", 3, 2, "2 outputs, or 1"),
        ("regression", "weight", 2, 1, "1 output"),
    ],
)
def test_a_model_whose_number_of_outputs_differs_from_the_data_is_refused(
    home: Project, task: str, target: str, units: int, outputs: int, expected: str
) -> None:
    output = {"output": [{"Dense": {"units": units}}]}
    with pytest.raises(ConfigError, match=rf"(?s){expected}\b.*shape \(None, {units}\)"):
        build(home, outputs=outputs, data={"target": target, "task": task}, model=output)


BUILDER = """
import keras

def build(shape, outputs, units=4):
    return keras.Sequential([
        keras.Input(shape),
        keras.layers.Dense(units, activation="relu"),
        keras.layers.Dense(outputs, activation="softmax"),
    ])

def gives_text(shape, outputs):
    return "model"

def stumbles(shape, outputs):
    raise ValueError("no such thing")

constant = 5
"""


def by_hand(home: Project, function: str, **arguments: Any) -> Any:
    (home.experiments / "my_models.py").write_text(BUILDER)
    changes = {"layers": None, "builder": f"my_models:{function}", "arguments": arguments}
    return build(home, model=changes)


def test_a_builder_creates_the_model(home: Project) -> None:
    model = by_hand(home, "build", units="$units")
    assert [layer.units for layer in model.layers] == [6, 3]
    assert model.loss == "sparse_categorical_crossentropy"


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        ("absent", {}, r"experiments/my_models\.py has no function 'absent'"),
        ("constant", {}, r"has no function 'constant'"),
        ("build", {"unit": 3}, r"(?s)builder my_models:build failed.*unexpected keyword"),
        ("stumbles", {}, r"(?s)builder my_models:stumbles failed.*no such thing"),
        ("gives_text", {}, r"(?s)my_models:gives_text did not return a model.*str"),
    ],
)
def test_a_builder_that_fails_is_named(
    home: Project, function: str, arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        by_hand(home, function, **arguments)


@pytest.mark.parametrize(
    ("loss", "units", "expected"),
    [
        (None, 3, [0, 2, 1]),
        ("categorical_crossentropy", 3, [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
        ("SparseCategoricalCrossentropy", 3, [0, 2, 1]),
    ],
)
def test_the_target_has_the_form_that_the_loss_expects(
    home: Project, loss: str | None, units: int, expected: list[Any]
) -> None:
    model = build(home, training={"loss": loss})
    made = targets(np.array([0, 2, 1], dtype=np.int32), model, "classification")
    np.testing.assert_array_equal(made, expected)


def test_the_target_of_one_output_is_one_column(home: Project) -> None:
    model = build(home, outputs=1, data={"target": "weight", "task": "regression"})
    assert targets(np.array([0.5, 2], np.float32), model, "regression").shape == (2, 1)
