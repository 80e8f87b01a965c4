"""Each option named in the tutorials has its effect when an experiment file sets it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from tiny import grid_points, make_data, make_project, table, write_experiment

from gristmill.pipelines.base import ConfigError
from gristmill.pipelines.config.experiment import load_experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.search.space import draws
from gristmill.pipelines.training.keras_model import DataTraits, build_model, targets
from gristmill.pipelines.training.trial import read_result, set_weights
from gristmill.pipelines.workers.bench import Bench
from gristmill.pipelines.workers.messages import Train

RNG = np.random.default_rng(0)


@pytest.fixture
def home(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def build(
    project: Project, shape: Sequence[int], *entries: Any, outputs: int = 3, **more: Any
) -> Any:
    """Build a model with these hidden layers; `more` are other sections of the file."""
    model = {"layers": list(entries), **more.pop("model", {})}
    experiment = write_experiment(project, model=model, **more)
    recipe = experiment.recipe(experiment.document.parameters)
    return build_model(recipe, DataTraits(tuple(shape), outputs), project.experiments)


def answer(model: Any, rows: Any, layers: int = 1, **how: Any) -> Any:
    """Return the outputs of the first layers."""
    made = keras.ops.convert_to_tensor(np.asarray(rows, np.float32))
    for layer in model.layers[:layers]:
        made = layer(made, **how)
    return np.asarray(made)


# layers


def test_an_input_can_be_named_and_given_a_shape(home: Project) -> None:
    given = {"input": {"Input": {"shape": [5], "name": "five"}}}
    model = build(home, [5], {"Flatten": {}}, model=given)
    assert model.inputs[0].name == "five"
    assert model.input_shape == (None, 5)


@pytest.mark.parametrize(
    ("padding", "strides", "side"),
    [("valid", 1, 7), ("same", 1, 9), ("valid", 3, 3), ("same", 2, 5)],
)
def test_padding_and_stride_determine_the_output_size(
    home: Project, padding: str, strides: int, side: int
) -> None:
    layer = {"filters": 4, "kernel_size": 3, "padding": padding, "strides": strides}
    model = build(home, [9, 9, 1], {"Conv2D": layer}, {"Flatten": {}})
    assert model.layers[0].output.shape == (None, side, side, 4)


def test_a_convolution_can_have_different_strides_in_height_and_width(home: Project) -> None:
    layer = {"filters": 2, "kernel_size": [3, 5], "strides": [1, 2]}
    model = build(home, [9, 9, 1], {"Conv2D": layer}, {"Flatten": {}})
    assert model.layers[0].output.shape == (None, 7, 3, 2)
    assert model.layers[0].kernel.shape == (3, 5, 1, 2)


@pytest.mark.parametrize(
    ("pooling", "of"), [("MaxPooling2D", np.max), ("AveragePooling2D", np.mean)]
)
def test_pooling_returns_the_largest_value_or_the_mean_of_each_window(
    home: Project, pooling: str, of: Any
) -> None:
    rows = RNG.normal(size=(2, 4, 6, 3))
    model = build(home, [4, 6, 3], {pooling: {"pool_size": 2, "strides": 2}}, {"Flatten": {}})
    windows = rows.reshape(2, 2, 2, 3, 2, 3)
    np.testing.assert_allclose(answer(model, rows), of(windows, axis=(2, 4)), rtol=1e-5)


def test_flatten_keeps_every_value(home: Project) -> None:
    rows = RNG.normal(size=(2, 3, 4, 1))
    model = build(home, [3, 4, 1], {"Flatten": {}})
    np.testing.assert_allclose(answer(model, rows), rows.reshape(2, 12), rtol=1e-6)


def test_dropout_removes_a_share_only_in_training_and_keeps_the_sum(home: Project) -> None:
    rows = np.ones((1, 10_000))
    model = build(home, [10_000], {"Dropout": {"rate": 0.3}})
    trained = answer(model, rows, training=True)
    assert 0.27 < (trained == 0).mean() < 0.33
    np.testing.assert_allclose(trained[trained > 0], 1 / 0.7, rtol=1e-5)
    np.testing.assert_array_equal(answer(model, rows, training=False), rows)


def test_an_embedding_maps_each_code_to_its_vector(home: Project) -> None:
    model = build(home, [2], {"Embedding": {"input_dim": 7, "output_dim": 3}}, {"Flatten": {}})
    table_of = np.asarray(model.layers[0].embeddings)
    made = answer(model, [[0, 6], [2, 2]])
    np.testing.assert_array_equal(made, table_of[[[0, 6], [2, 2]]])
    assert model.layers[1].output.shape == (None, 6)


@pytest.mark.parametrize(
    "entry",
    [
        {"LeakyReLU": {"negative_slope": 0.2}},
        {"GaussianNoise": {"stddev": 0.1}},
        {"LayerNormalization": {}},
        {"UnitNormalization": {}},
        {"Rescaling": {"scale": 0.5}},
        "BatchNormalization",
    ],
)
def test_any_other_layer_can_be_used_by_name(home: Project, entry: Any) -> None:
    name = entry if isinstance(entry, str) else next(iter(entry))
    model = build(home, [5], entry)
    assert type(model.layers[0]) is getattr(keras.layers, name)


# activations

X = np.linspace(-3, 3, 7)
SELU = 1.0507009873554805 * np.where(X > 0, X, 1.6732632423543772 * (np.exp(X) - 1))
ACTIVATIONS = {
    "sigmoid": 1 / (1 + np.exp(-X)),
    "tanh": np.tanh(X),
    "relu": np.maximum(X, 0),
    "softmax": np.exp(X) / np.exp(X).sum(),
    "selu": SELU,
    "softplus": np.log1p(np.exp(X)),
    "linear": X,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_equals_its_formula_as_a_layer_and_as_an_argument(
    home: Project, name: str
) -> None:
    dense = {"units": 7, "kernel_initializer": "identity", "activation": name}
    model = build(home, [7], {"Dense": dense}, {"Activation": {"activation": name}})
    rows = np.asarray([X])
    np.testing.assert_allclose(answer(model, rows)[0], ACTIVATIONS[name], rtol=1e-5, atol=1e-6)
    alone = np.asarray(model.layers[1](np.asarray(rows, np.float32)))[0]
    np.testing.assert_allclose(alone, ACTIVATIONS[name], rtol=1e-5, atol=1e-6)


# losses and tasks


def loss_of(model: Any, rows: Any, y: Any, task: str = "classification") -> float:
    made = model.test_step((keras.ops.convert_to_tensor(rows), targets(y, model, task)))
    return float(made["loss"])


def test_a_loss_can_have_arguments(home: Project) -> None:
    regression = {"data": {"target": "weight", "task": "regression"}}
    for delta in (0.5, 2.0):
        loss = {"Huber": {"delta": delta}}
        model = build(home, [5], {"Dense": {"units": 4}}, training={"loss": loss}, **regression)
        assert float(model.loss([[0.0]], [[10.0]])) == pytest.approx(delta * (10 - delta / 2))
    with pytest.raises(ConfigError, match=r"(?s)training.loss: Keras rejects.*delta"):
        build(home, [5], training={"loss": {"Huber": {"delt": 1.0}}}, **regression)
    with pytest.raises(ConfigError, match=r"keras.losses has no 'Hubr'; did you mean Huber"):
        build(home, [5], training={"loss": {"Hubr": {}}}, **regression)


def test_one_hot_and_sparse_labels_give_the_same_loss_and_accuracy(home: Project) -> None:
    rows, y = RNG.normal(size=(20, 5)).astype(np.float32), RNG.integers(0, 3, 20)
    found = {}
    for loss in ("sparse_categorical_crossentropy", "categorical_crossentropy"):
        model = build(home, [5], {"Dense": {"units": 4}}, training={"loss": loss})
        made = model.test_step((rows, targets(y, model, "classification")))
        outputs = np.asarray(model(rows))
        assert float(made["accuracy"]) == pytest.approx((outputs.argmax(1) == y).mean())
        assert float(made["loss"]) == pytest.approx(-np.log(outputs[range(20), y]).mean(), rel=1e-4)
        found[loss] = float(made["loss"])
    one, other = found.values()
    assert one == pytest.approx(other, rel=1e-6)  # float32, by two formulas


def test_one_sigmoid_output_and_two_softmax_outputs_are_the_same_model(home: Project) -> None:
    rows, y = RNG.normal(size=(20, 5)).astype(np.float32), RNG.integers(0, 2, 20)
    sigmoid = [{"Dense": {"units": 1, "activation": "sigmoid"}}]
    one = build(home, [5], outputs=2, model={"output": sigmoid})
    two = build(home, [5], outputs=2)
    assert (one.output_shape, two.output_shape) == ((None, 1), (None, 2))
    assert one.loss == "binary_crossentropy"
    kernel = RNG.normal(size=(5, 1))
    one.layers[-1].set_weights([kernel, np.zeros(1)])
    two.layers[-1].set_weights([np.hstack([np.zeros((5, 1)), kernel]), np.zeros(2)])
    np.testing.assert_allclose(np.asarray(one(rows))[:, 0], np.asarray(two(rows))[:, 1], rtol=1e-5)
    assert loss_of(one, rows, y) == pytest.approx(loss_of(two, rows, y), rel=1e-5)


def test_a_regression_with_mean_squared_error_has_its_metrics(home: Project) -> None:
    rows, y = RNG.normal(size=(20, 5)).astype(np.float32), RNG.normal(size=20)
    model = build(
        home,
        [5],
        outputs=1,
        data={"target": "weight", "task": "regression"},
        training={
            "loss": "mean_squared_error",
            "metrics": ["mean_squared_error", "MeanAbsoluteError"],
        },
    )
    assert model.layers[-1].activation.__name__ == "linear"
    made = model.test_step((rows, targets(y, model, "regression")))
    wrong = np.asarray(model(rows))[:, 0] - y
    assert float(made["loss"]) == pytest.approx((wrong**2).mean(), rel=1e-4)
    assert float(made["mean_squared_error"]) == pytest.approx((wrong**2).mean(), rel=1e-4)
    assert float(made["mean_absolute_error"]) == pytest.approx(abs(wrong).mean(), rel=1e-4)


# optimizers: two steps along a gradient of 1, against the formulas

RATE = 0.1
OPTIMIZERS: dict[str, tuple[dict[str, Any], float]] = {
    "SGD": ({}, 2 * RATE),
    "momentum": ({"momentum": 0.9}, RATE * (1 + 1.9)),
    "Nesterov": ({"momentum": 0.9, "nesterov": True}, RATE * (1.9 + 0.9 * 1.9 + 1)),
    "Adagrad": ({}, RATE * (1.1**-0.5 + 2.1**-0.5)),
    "RMSprop": ({}, RATE * (0.1**-0.5 + 0.19**-0.5)),
    "Adam": ({}, 2 * RATE),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_steps_by_its_formula(home: Project, name: str) -> None:
    arguments, expected = OPTIMIZERS[name]
    kind = "SGD" if name in ("momentum", "Nesterov") else name
    entry = {kind: {"learning_rate": RATE, **arguments}}
    assert walked(home, entry) == pytest.approx(expected, rel=1e-4)


def test_adadelta_steps_by_its_formula(home: Project) -> None:
    squares = steps = walk = 0.0
    for _ in range(2):
        squares = 0.95 * squares + 0.05
        step = np.sqrt(steps + 1e-7) / np.sqrt(squares + 1e-7)
        steps = 0.95 * steps + 0.05 * step**2
        walk += RATE * step
    assert walked(home, {"Adadelta": {"learning_rate": RATE}}) == pytest.approx(walk, rel=1e-4)


def walked(home: Project, optimizer: dict[str, Any]) -> float:
    """Return the distance after two steps."""
    model = build(home, [5], training={"optimizer": optimizer})
    place = keras.Variable(0.0)
    model.optimizer.build([place])
    for _ in range(2):
        model.optimizer.apply([keras.ops.convert_to_tensor(1.0)], [place])
    return -float(place)


# initializers

INS, OUTS = 400, 100
SPREAD = {
    "random_uniform": ("uniform", 0.05),
    "random_normal": ("normal", 0.05),
    "lecun_uniform": ("uniform", (3 / INS) ** 0.5),
    "lecun_normal": ("normal", (1 / INS) ** 0.5),
    "glorot_uniform": ("uniform", (6 / (INS + OUTS)) ** 0.5),
    "glorot_normal": ("normal", (2 / (INS + OUTS)) ** 0.5),
    "he_uniform": ("uniform", (6 / INS) ** 0.5),
    "he_normal": ("normal", (2 / INS) ** 0.5),
}


@pytest.mark.parametrize("name", SPREAD)
def test_an_initializer_gives_weights_of_its_distribution(home: Project, name: str) -> None:
    dense = {"units": OUTS, "kernel_initializer": name}
    weights = np.asarray(build(home, [INS], {"Dense": dense}).layers[0].kernel).ravel()
    kind, size = SPREAD[name]
    deviation = size / 3**0.5 if kind == "uniform" else size
    assert weights.std() == pytest.approx(deviation, rel=0.03)
    assert weights.mean() == pytest.approx(0, abs=0.03 * size)
    inside = (abs(weights) < deviation).mean()  # 58 % if uniform, 68 % if normal
    assert inside == pytest.approx(0.577 if kind == "uniform" else 0.68, abs=0.03)
    if kind == "uniform":
        assert abs(weights).max() <= size


def test_an_initializer_accepts_arguments(home: Project) -> None:
    wide = {"RandomNormal": {"stddev": 3.0}}
    dense = {
        "units": OUTS,
        "kernel_initializer": wide,
        "bias_initializer": {"Constant": {"value": 2}},
    }
    layer = build(home, [INS], {"Dense": dense}).layers[0]
    assert np.asarray(layer.kernel).std() == pytest.approx(3, rel=0.03)
    np.testing.assert_array_equal(layer.bias, 2)


# against overfitting


@pytest.mark.parametrize(
    ("penalty", "expected"),
    [
        ({"L1": {"l1": 0.1}}, lambda w: 0.1 * abs(w).sum()),
        ({"L2": {"l2": 0.1}}, lambda w: 0.1 * (w**2).sum()),
        ({"L1L2": {"l1": 0.1, "l2": 0.2}}, lambda w: 0.1 * abs(w).sum() + 0.2 * (w**2).sum()),
        ("l2", lambda w: 0.01 * (w**2).sum()),
    ],
)
def test_a_weight_penalty_is_added_to_the_loss(home: Project, penalty: Any, expected: Any) -> None:
    rows, y = RNG.normal(size=(20, 5)).astype(np.float32), RNG.integers(0, 3, 20)
    plain = build(home, [5], {"Dense": {"units": 4}})
    model = build(home, [5], {"Dense": {"units": 4, "kernel_regularizer": penalty}})
    more = loss_of(model, rows, y) - loss_of(plain, rows, y)
    assert more == pytest.approx(float(expected(np.asarray(model.layers[0].kernel))), rel=1e-3)


# a trial: when it stops and what it reports


def trial(home: Project, frame: pd.DataFrame | None = None, **changes: Any) -> Any:
    experiment = write_experiment(home, **changes)
    recipe = experiment.recipe(experiment.document.parameters)
    build_folder = make_data(home, experiment, frame=frame)
    folder = build_folder / "trial"
    request = Train("k" * 32, recipe, build_folder / "training", folder, home.experiments)
    bench = Bench()
    bench.train(request, lambda number, logs: None)
    return read_result(folder), bench, recipe, build_folder / "training"


def test_early_stopping_ends_a_trial_and_keeps_its_best_epoch(home: Project) -> None:
    stopping = {"monitor": "val_loss", "patience": 2}
    optimizer = {"SGD": {"learning_rate": 3.0}}
    training = {"epochs": 60, "early_stopping": stopping, "optimizer": optimizer}
    result, *_ = trial(home, training=training)
    assert result.stopped_early
    assert result.epochs < 60
    assert result.best_epoch == int(np.argmin(result.history["val_loss"]))
    assert result.epochs == result.best_epoch + 1 + 2


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "categorical_crossentropy"])
@pytest.mark.parametrize("target", ["kind", "flag"])
def test_precision_and_recall_of_each_epoch_equal_those_of_scikit_learn(
    home: Project, target: str, loss: str
) -> None:
    from sklearn.metrics import precision_score, recall_score

    training = {"metrics": ["accuracy", "Precision", "recall"], "loss": loss, "epochs": 2}
    stopping = {"monitor": "val_precision", "patience": 5, "restore_best_weights": False}
    result, bench, recipe, data = trial(
        home,
        frame=table(150, target),
        data={"target": target},
        training={**training, "early_stopping": stopping},
    )
    again, *_ = trial(home, frame=table(150, target), data={"target": target}, training=training)
    assert set(again.history) == set(result.history)  # a second model has the same metric names
    x, y = np.load(data / "x_validation.npy"), np.load(data / "y_validation.npy")
    program = bench.programs.model(recipe, data, home.experiments)
    set_weights(program, data.parent / "trial" / "weights.npz")
    guessed = np.asarray(program(x)).argmax(1)
    how = {"average": "binary" if target == "flag" else "macro", "zero_division": 0}
    told = {name: values[-1] for name, values in result.history.items()}
    assert told["val_precision"] == pytest.approx(precision_score(y, guessed, **how), abs=1e-6)
    assert told["val_recall"] == pytest.approx(recall_score(y, guessed, **how), abs=1e-6)
    assert told["val_accuracy"] == pytest.approx((guessed == y).mean(), abs=1e-6)


def test_any_metric_can_be_monitored(home: Project) -> None:
    watched = "mean_absolute_percentage_error"
    result, *_ = trial(
        home,
        frame=table(150, "weight"),
        data={"target": "weight", "task": "regression"},
        training={
            "metrics": [watched],
            "epochs": 40,
            "optimizer": {"Adam": {"learning_rate": 0.3}},
            "early_stopping": {"monitor": f"val_{watched}", "patience": 3},
        },
    )
    assert result.stopped_early
    assert result.best_epoch == int(np.argmin(result.history[f"val_{watched}"]))


def test_one_sigmoid_output_reports_precision_and_recall_too(home: Project) -> None:
    training = {"metrics": ["precision", "recall", "accuracy"], "epochs": 30}
    result, *_ = trial(
        home,
        frame=table(150, "flag"),
        data={"target": "flag"},
        model={"output": [{"Dense": {"units": 1, "activation": "sigmoid"}}]},
        training=training,
    )
    last = {name: values[-1] for name, values in result.history.items()}
    assert last["val_accuracy"] > 0.8
    assert last["val_precision"] > 0.7
    assert last["val_recall"] > 0.7


# scaling, fitted on the training rows only


def test_minmax_scales_the_training_rows_to_0_and_1(home: Project) -> None:
    folder = make_data(home, write_experiment(home, features={"scale": "minmax"})) / "training"
    width = np.load(folder / "x_training.npy")[:, 0]
    assert (width.min(), width.max()) == pytest.approx((0, 1), abs=1e-6)


def test_standard_scales_the_training_rows_to_mean_0_and_deviation_1(home: Project) -> None:
    folder = make_data(home, write_experiment(home, features={"scale": "standard"})) / "training"
    width = np.load(folder / "x_training.npy")[:, 0]
    assert (width.mean(), width.std()) == pytest.approx((0, 1), abs=1e-5)


# hyperparameters


def test_parameters_have_defaults_and_can_be_set_searched_on_a_grid_or_sampled(
    home: Project,
) -> None:
    plain = write_experiment(home)
    assert grid_points(plain) == [{"units": 6, "learning_rate": 0.02}]
    by_hand = load_experiment(home, "tiny", {"units": 9})
    assert grid_points(by_hand) == [{"units": 9, "learning_rate": 0.02}]
    searched = write_experiment(home, search={"grid": {"units": [2, 4], "learning_rate": [0.1, 1]}})
    assert len({tuple(point.items()) for point in grid_points(searched)}) == 4
    space = {"units": [2, 4], "learning_rate": {"log_uniform": [0.01, 1]}}
    drawn = write_experiment(home, search={"strategy": "random", "space": space, "max_trials": 5})
    rates = [point["learning_rate"] for point in itertools.islice(draws(drawn.space, 0), 5)]
    assert len(set(rates)) == 5
    assert all(0.01 <= float(rate) <= 1 for rate in rates)
