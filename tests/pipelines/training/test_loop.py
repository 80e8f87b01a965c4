"""The fused loop against Keras's own training on the very same batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import make_project, write_experiment

from pipelines.config import Recipe
from pipelines.training.loop import Program, row_order
from pipelines.training.model import build_model, class_weights, targets

ROWS, COLUMNS, EPOCHS, BATCH = 90, 5, 3, 16

CLASSES = {"target": "kind", "task": "classification"}
VALUES = {"target": "weight", "task": "regression"}
DENSE = {"Dense": {"units": 6, "activation": "relu"}}

MODELS: dict[str, tuple[int, dict[str, Any]]] = {
    "dropout, batch normalization and Adam": (
        3,
        {
            "data": CLASSES,
            "model": {
                "layers": [DENSE, {"BatchNormalization": {}}, {"Dropout": {"rate": 0.4}}, DENSE]
            },
            "training": {"optimizer": {"Adam": {"learning_rate": 0.03}}},
        },
    ),
    "Nesterov's momentum": (
        3,
        {
            "data": CLASSES,
            "training": {
                "optimizer": {"SGD": {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}}
            },
        },
    ),
    "a regularizer": (
        3,
        {
            "data": CLASSES,
            "model": {
                "layers": [{"Dense": {"units": 6, "kernel_regularizer": {"L2": {"l2": 0.1}}}}]
            },
        },
    ),
    "RMSprop on one-hot targets": (
        3,
        {
            "data": CLASSES,
            "training": {
                "optimizer": {"RMSprop": {"learning_rate": 0.01}},
                "loss": "categorical_crossentropy",
            },
        },
    ),
    "one sigmoid for two classes": (
        2,
        {
            "data": {**CLASSES, "target": "flag"},
            "model": {"output": [{"Dense": {"units": 1, "activation": "sigmoid"}}]},
        },
    ),
    "regression with a schedule": (
        1,
        {
            "data": VALUES,
            "training": {
                "optimizer": {
                    "SGD": {
                        "learning_rate": {
                            "ExponentialDecay": {
                                "initial_learning_rate": 0.05,
                                "decay_steps": 5,
                                "decay_rate": 0.7,
                            }
                        }
                    }
                }
            },
        },
    ),
}


@pytest.fixture
def made(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Recipe, int]:
    outputs, changes = MODELS[request.param]
    experiment = write_experiment(make_project(tmp_path / "project"), **changes)
    return experiment.recipe(experiment.document.parameters), outputs


def rows(outputs: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    if outputs == 1:
        return x, x.sum(axis=1)
    return x, rng.integers(0, outputs, ROWS).astype(np.int32)


def build(recipe: Recipe, outputs: int) -> Any:
    return build_model(recipe, (COLUMNS,), outputs, Path())


@pytest.mark.parametrize("made", MODELS, indirect=True)
def test_weights_and_logs_are_those_of_keras_on_the_same_batches(
    made: tuple[Recipe, int],
) -> None:
    recipe, outputs = made
    x, y = rows(outputs)
    mine = build(recipe, outputs)
    y = targets(y, mine, recipe.task)
    program = Program(mine, (x[:70], y[:70]), (x[70:], y[70:]))
    program.reset(build(recipe, outputs))
    keras_own = build(recipe, outputs)
    for epoch in range(EPOCHS):
        logs = program.epoch(5, epoch, BATCH)
        order = row_order(5, epoch, 70)
        fitted = keras_own.fit(
            x[order],
            y[order],
            batch_size=BATCH,
            shuffle=False,
            validation_data=(x[70:], y[70:]),
            verbose=0,
        )
        expected = {name: values[0] for name, values in fitted.history.items()}
        assert logs == pytest.approx(expected, rel=1e-4)
    pairs = zip(mine.variables, keras_own.variables, strict=True)
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5, err_msg=ours.path)
    assert int(mine.optimizer.iterations) == EPOCHS * 5


@pytest.mark.parametrize(
    "made", ["dropout, batch normalization and Adam", "one sigmoid for two classes"], indirect=True
)
def test_class_weights_act_as_in_keras_on_the_same_batches(made: tuple[Recipe, int]) -> None:
    recipe, outputs = made
    by_class = {"0": 0.3, "1": 4.0}
    asked = recipe.training.model_copy(update={"class_weight": by_class})
    recipe = replace(recipe, training=asked)
    x, places = rows(outputs)
    mine, keras_own = build(recipe, outputs), build(recipe, outputs)
    y = targets(places, mine, recipe.task)
    weights = class_weights(recipe, range(outputs), places[:70])
    program = Program(mine, (x[:70], y[:70], weights), (x[70:], y[70:]))
    program.reset(build(recipe, outputs))
    for epoch in range(EPOCHS):
        logs = program.epoch(5, epoch, BATCH)
        order = row_order(5, epoch, 70)
        fitted = keras_own.fit(
            x[order],
            y[order],
            batch_size=BATCH,
            shuffle=False,
            class_weight={int(name): weight for name, weight in by_class.items()},
            validation_data=(x[70:], y[70:]),
            verbose=0,
        )
        expected = {name: values[0] for name, values in fitted.history.items()}
        assert logs == pytest.approx(expected, rel=1e-4)
    for ours, theirs in zip(mine.variables, keras_own.variables, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5, err_msg=ours.path)


@pytest.mark.parametrize("made", ["regression with a schedule"], indirect=True)
def test_validation_in_parts_gives_the_mean_over_all_rows(
    made: tuple[Recipe, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.training.loop.VALIDATION_BATCH", 32)
    recipe, _ = made
    x, y = rows(1)
    model = build(recipe, 1)
    program = Program(model, (x[:10], y[:10, None]), (x, y[:, None]))
    logs = program.epoch(0, 0, 10)
    wrong = model.predict(x, verbose=0)[:, 0] - y
    assert logs["val_loss"] == pytest.approx((wrong**2).mean(), rel=1e-5)
    assert logs["val_mean_absolute_error"] == pytest.approx(np.abs(wrong).mean(), rel=1e-5)


@given(st.integers(0, 2**31 - 1), st.integers(0, 1000), st.integers(1, 200))
def test_an_epoch_visits_every_row_once_in_an_order_from_seed_and_epoch_alone(
    seed: int, epoch: int, rows: int
) -> None:
    order = row_order(seed, epoch, rows)
    assert sorted(order) == list(range(rows))
    np.testing.assert_array_equal(order, row_order(seed, epoch, rows))


def test_orders_differ_by_epoch_and_by_seed() -> None:
    orders = {tuple(row_order(seed, epoch, 50)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16
