"""With every option, the weights equal those of Keras's `fit` on the same batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tiny import make_project, write_experiment

from gristmill.pipelines.config.experiment import Recipe
from gristmill.pipelines.training.class_weight import class_weights
from gristmill.pipelines.training.keras_model import DataTraits, build_model, targets
from gristmill.pipelines.training.loop import FitProgram, Program, make_program, row_order

TRAINED, VALIDATED, EPOCHS, BATCH = 43, 12, 2, 8

CLASSES = {"target": "kind", "task": "classification"}
VALUES = {"target": "weight", "task": "regression"}
SIGMOID = [{"Dense": {"units": 1, "activation": "sigmoid"}}]


def dense(**arguments: Any) -> dict[str, Any]:
    return {"Dense": {"units": 4, **arguments}}


def case(
    *layers: Any,
    optimizer: Mapping[str, Any] | None = None,
    shape: tuple[int, ...] = (5,),
    outputs: int = 3,
    output: Any = None,
    **training: Any,
) -> dict[str, Any]:
    if optimizer is not None:
        training["optimizer"] = optimizer
    model = {"layers": list(layers)} | ({} if output is None else {"output": output})
    data = VALUES if outputs == 1 else CLASSES
    return {
        "shape": shape,
        "outputs": outputs,
        "changes": {"data": data, "model": model, "training": training},
    }


PICTURE, SEQUENCE = (6, 6, 2), (4, 3)
WARMED = {
    "CosineDecay": {
        "initial_learning_rate": 0.0,
        "decay_steps": "1 epoch",
        "warmup_target": 0.1,
        "warmup_steps": 3,
    }
}

DAILY = {
    "SGD, sigmoid and a random uniform start": case(
        dense(activation="sigmoid", kernel_initializer="random_uniform"),
        optimizer={"SGD": {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}},
    ),
    "Adagrad, tanh, L1 and one-hot targets": case(
        dense(activation="tanh", kernel_initializer="random_normal", kernel_regularizer="l1"),
        optimizer={"Adagrad": {"learning_rate": 0.1}},
        loss="categorical_crossentropy",
    ),
    "Adadelta, relu and L2 on a number": case(
        dense(activation="relu", kernel_initializer="lecun_uniform", kernel_regularizer="l2"),
        optimizer={"Adadelta": {"learning_rate": 1.0}},
        outputs=1,
    ),
    "RMSprop, selu, L1 with L2 and one sigmoid": case(
        dense(
            activation="selu",
            kernel_initializer="lecun_normal",
            kernel_regularizer={"L1L2": {"l1": 0.01, "l2": 0.02}},
        ),
        optimizer={"RMSprop": {"learning_rate": 0.01}},
        outputs=2,
        output=SIGMOID,
        metrics=["accuracy", "Precision", "Recall", "AUC"],
    ),
    "Adam, class weights, dropout and batch normalization": case(
        dense(activation="softplus", kernel_initializer="glorot_uniform"),
        {"BatchNormalization": {}},
        {"Dropout": {"rate": 0.3}},
        {"Activation": {"activation": "linear"}},
        class_weight={"0": 0.3, "1": 4.0},
    ),
    "AdamW, clipped gradients and layer normalization": case(
        dense(kernel_initializer="he_normal"),
        {"LayerNormalization": {}},
        optimizer={"AdamW": {"weight_decay": 0.1, "clipnorm": 0.5, "learning_rate": 0.05}},
    ),
    "averaged weights and a warmed-up cosine": case(
        dense(kernel_initializer="he_uniform"),
        optimizer={"Adam": {"learning_rate": WARMED, "use_ema": True, "ema_momentum": 0.9}},
    ),
    "convolutions and augmented pictures": case(
        {"RandomFlip": {}},
        {"RandomRotation": {"factor": 0.2}},
        {"Conv2D": {"filters": 3, "kernel_size": 3, "padding": "same", "activation": "relu"}},
        {"MaxPooling2D": {"pool_size": 2, "strides": 2}},
        {"Conv2D": {"filters": 2, "kernel_size": 2, "strides": 2, "padding": "valid"}},
        {"AveragePooling2D": {"pool_size": 1}},
        {"Flatten": {}},
        shape=PICTURE,
    ),
    "mixed bfloat16": case(dense(), {"BatchNormalization": {}}, precision="mixed_bfloat16"),
    "mixed float16": case(dense(activation="relu"), precision="mixed_float16"),
}
MORE = {
    "GRU": case({"GRU": {"units": 3, "dropout": 0.2}}, shape=SEQUENCE),
    "LSTM": case({"LSTM": {"units": 3, "recurrent_dropout": 0.2}}, shape=SEQUENCE),
    "an embedding": case({"Embedding": {"input_dim": 9, "output_dim": 3}}, {"Flatten": {}}),
    "channels first": case(
        {"Conv2D": {"filters": 3, "kernel_size": 2, "data_format": "channels_first"}},
        {"Flatten": {}},
        shape=PICTURE,
    ),
    "more augmentation": case(
        {"RandomTranslation": {"height_factor": 0.2, "width_factor": 0.2}},
        {"RandomZoom": {"height_factor": 0.2}},
        {"RandomContrast": {"factor": 0.2}},
        {"GaussianNoise": {"stddev": 0.1}},
        {"SpatialDropout2D": {"rate": 0.3}},
        {"Flatten": {}},
        shape=PICTURE,
    ),
    "accumulated gradients, clipped by value": case(
        dense(kernel_initializer="glorot_normal"),
        optimizer={"Adam": {"gradient_accumulation_steps": 3, "clipvalue": 0.1}},
    ),
    "averaged weights that replace now and then": case(
        dense(), optimizer={"SGD": {"use_ema": True, "ema_overwrite_frequency": 4}}
    ),
    "global clipping and Lion": case(
        dense(activity_regularizer="l2"),
        optimizer={"Lion": {"learning_rate": 0.01, "global_clipnorm": 0.3}},
    ),
    "mixed float16 with averaged weights": case(
        dense(), optimizer={"Adam": {"use_ema": True}}, precision="mixed_float16"
    ),
    "Adafactor": case(dense(), optimizer={"Adafactor": {"learning_rate": 0.1}}),
    "a number by the logarithm of cosh": case(dense(), outputs=1, loss="log_cosh"),
    "two classes by softmax": case(dense(), outputs=2),
    "no hidden layer": case(optimizer={"SGD": {"learning_rate": 0.1}}),
    **{
        f"{name} as its schedule": case(
            optimizer={"SGD": {"learning_rate": {name: arguments}}}, outputs=1
        )
        for name, arguments in {
            "ExponentialDecay": {
                "initial_learning_rate": 0.1,
                "decay_steps": "0.5 epochs",
                "decay_rate": 0.5,
                "staircase": True,
            },
            "PiecewiseConstantDecay": {"boundaries": ["1 epoch"], "values": [0.1, 0.01]},
            "PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 7},
            "InverseTimeDecay": {
                "initial_learning_rate": 0.1,
                "decay_steps": 3,
                "decay_rate": 0.5,
            },
            "CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 4},
        }.items()
    },
}
CASES = DAILY | MORE
NOWHERE = Path()


def rows(shape: tuple[int, ...], outputs: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 9, (TRAINED + VALIDATED, *shape)).astype(np.float32) / 4
    if outputs == 1:
        return x, x.sum(axis=1)
    return x, rng.integers(0, outputs, len(x)).astype(np.int32)


def batches(parts: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield the batches that our epochs visit, in order."""
    for epoch in itertools.count():
        order = row_order(5, epoch, TRAINED)
        for start in range(0, TRAINED, BATCH):
            yield tuple(part[order[start : start + BATCH]] for part in parts)


def fitted(model: Any, parts: tuple[Any, ...], validation: tuple[Any, ...]) -> Mapping[str, Any]:
    """Train with Keras's own `fit`; return the history."""
    done = model.fit(
        batches(parts),
        steps_per_epoch=-(-TRAINED // BATCH),
        epochs=EPOCHS,
        validation_data=validation,
        shuffle=False,
        verbose=0,
    )
    return dict(done.history)


def assert_like_fit(program: Program | FitProgram, model: Any, parts: Any, validation: Any) -> None:
    logs = [program.epoch(5, epoch, BATCH) for epoch in range(EPOCHS)]
    program.finish()
    history = fitted(model, parts, validation)
    for ours, theirs in zip(program.model.variables, model.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    optimizers = (program.model.optimizer.variables, model.optimizer.variables)
    for ours, theirs in zip(*optimizers, strict=False):  # an unused optimizer is never built
        np.testing.assert_array_equal(ours, theirs, err_msg=ours.path)
    assert {*logs[0]} == {*history}
    for name, values in history.items():  # `fit` validates in smaller batches: last bits differ
        assert [told[name] for told in logs] == pytest.approx(values, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize(
    "name", [*DAILY, *(pytest.param(name, marks=pytest.mark.slow) for name in MORE)]
)
def test_weights_equal_those_of_keras_to_the_last_bit(name: str, tmp_path: Path) -> None:
    shape, outputs, changes = CASES[name].values()
    experiment = write_experiment(make_project(tmp_path / "project"), **changes)
    recipe = experiment.recipe(experiment.document.parameters)
    parts, validation = data(recipe, shape, outputs)
    program = make_program(build(recipe, shape, outputs), pytest.fail, parts, validation)
    assert program.loop == "fused"
    assert program.reusable
    assert_like_fit(program, build(recipe, shape, outputs), parts, validation)


def build(recipe: Recipe, shape: tuple[int, ...], outputs: int, folder: Path = NOWHERE) -> Any:
    return build_model(recipe, DataTraits(shape, outputs, steps=-(-TRAINED // BATCH)), folder)


def data(
    recipe: Recipe, shape: tuple[int, ...], outputs: int, folder: Path = NOWHERE
) -> tuple[Any, Any]:
    x, places = rows(shape, outputs)
    y = targets(places, build(recipe, shape, outputs, folder), recipe.task)
    weights = class_weights(recipe, range(outputs), places[:TRAINED])
    training = (x[:TRAINED], y[:TRAINED], *(() if weights is None else (weights,)))
    return training, (x[TRAINED:], y[TRAINED:])


OWN = """
import keras
import numpy as np
import tensorflow as tf


class OwnStep(keras.Model):
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            told = self(x, training=True)
            loss = self.compute_loss(x, y, told)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        self.compute_metrics(x, y, told)
        return {"loss": loss, "largest": tf.reduce_max(tf.abs(gradients[0]))}


class OwnOptimizer(keras.Model):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.other = keras.optimizers.Adam(0.01)

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.other.apply_gradients(zip(gradients, self.trainable_variables))
        return self.compute_metrics(x, y, self(x, training=False))


class Eager(keras.Model):
    def compile(self, **arguments):
        super().compile(**{**arguments, "run_eagerly": True})

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        gradients = [tf.constant(np.clip(g.numpy(), -0.1, 0.1)) for g in gradients]
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables))
        return self.compute_metrics(x, y, self(x, training=False))


class OwnFit(keras.Model):
    def fit(self, *args, **kwargs):
        return super().fit(*args, **kwargs)


@keras.saving.register_keras_serializable()
class Noise(keras.layers.Layer):
    def __init__(self, source, **kwargs):
        super().__init__(**kwargs)
        self.source = source

    def call(self, x, training=False):
        if not training:
            return x
        random = tf.random if self.source == "tensorflow" else keras.random
        return x + random.normal(tf.shape(x))


def build(shape, outputs, kind="OwnStep", noise=None):
    inputs = keras.Input(shape)
    x = keras.layers.Dense(4, activation="relu")(inputs)
    x = Noise(noise)(x) if noise else keras.layers.Dropout(0.2)(x)
    x = keras.layers.Dense(outputs, activation="softmax")(x)
    return globals()[kind](inputs, x) if kind else keras.Model(inputs, x)
"""


def own(tmp_path: Path, **arguments: Any) -> tuple[Recipe, Path]:
    project = make_project(tmp_path / "project")
    (project.experiments / "own.py").write_text(OWN)
    model = {"layers": None, "builder": "own:build", "arguments": arguments}
    averaged = {"use_ema": True} if arguments.get("kind") in ("Eager", "OwnFit") else {}
    training = {"optimizer": {"Adam": averaged}}
    experiment = write_experiment(project, data=CLASSES, model=model, training=training)
    return experiment.recipe(experiment.document.parameters), project.experiments


@pytest.mark.parametrize(
    ("kind", "loop", "reusable"),
    [
        ("OwnStep", "fused", True),
        ("OwnOptimizer", "fused", False),
        ("Eager", "fit: the model runs eagerly", False),
        ("OwnFit", "fit: the model has its own fit", False),
    ],
)
def test_a_model_with_its_own_training_is_trained_as_fit_does(
    kind: str, loop: str, reusable: bool, tmp_path: Path
) -> None:
    recipe, folder = own(tmp_path, kind=kind)
    parts, validation = data(recipe, (5,), 3, folder)
    program = make_program(build(recipe, (5,), 3, folder), pytest.fail, parts, validation)
    assert program.loop == loop
    assert program.reusable is reusable
    assert_like_fit(program, build(recipe, (5,), 3, folder), parts, validation)


@pytest.mark.parametrize(("noise", "resumable"), [("keras", True), ("tensorflow", False)])
def test_random_numbers_from_outside_the_model_are_not_part_of_its_state(
    noise: str, resumable: bool, tmp_path: Path
) -> None:
    recipe, folder = own(tmp_path, kind=None, noise=noise)
    parts, validation = data(recipe, (5,), 3, folder)

    def made() -> Program | FitProgram:
        return make_program(build(recipe, (5,), 3, folder), pytest.fail, parts, validation)

    one, other = made(), made()  # as a worker does for a program it cannot reuse
    assert (one.loop, one.reusable, one.resumable) == ("fused", False, resumable)
    kept = []
    for program in (one, other) if resumable else ():
        keras.utils.set_random_seed(99)  # earlier work of a worker has no effect
        kept.append([program.epoch(5, epoch, BATCH) for epoch in range(EPOCHS)])
        values = [np.asarray(variable) for variable in program.variables]
    assert not resumable or kept[0] == kept[1]
    if resumable:
        for mine, saved in zip(one.variables, values, strict=True):
            np.testing.assert_array_equal(mine, saved)


def test_a_model_that_cannot_be_traced_is_trained_by_fit_with_the_reason(tmp_path: Path) -> None:
    recipe, folder = own(tmp_path, kind=None)
    parts, validation = data(recipe, (5,), 3, folder)
    model = build(recipe, (5,), 3, folder)
    model.train_step = lambda data: 1 / 0
    program = make_program(model, lambda: build(recipe, (5,), 3, folder), parts, validation)
    assert program.loop == "fit: division by zero"
    assert_like_fit(program, build(recipe, (5,), 3, folder), parts, validation)
