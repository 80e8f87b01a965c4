"""The examples match their originals layer by layer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny import make_project

from gristmill.pipelines.config.experiment import Experiment, load_experiment
from gristmill.pipelines.config.project import Project
from tests.conftest import ROOT

EXAMPLES = {file.stem: file for file in sorted((ROOT / "examples").glob("*.yaml"))}

NAMES = {
    *("alexnet", "diabetes", "fashion_best", "fashion_cnn"),
    *("mnist_fcl", "mnist_logreg", "mnist_mlp", "mnist_softmax"),
}

SHAPES = {
    "alexnet": ((227, 227, 3), 2),
    "diabetes": ((10,), 1),
    "fashion_best": ((28, 28, 1), 10),
    "fashion_cnn": ((28, 28, 1), 10),
    "mnist_fcl": ((28, 28, 1), 10),
    "mnist_mlp": ((784,), 10),
    "mnist_softmax": ((784,), 10),
}
"""Input shape and number of outputs of the examples that Keras trains."""

LAYERS: dict[str, list[tuple[str, tuple[int, ...], int]]] = {
    "fashion_cnn": [
        ("Conv2D", (28, 28, 32), 320),
        ("MaxPooling2D", (14, 14, 32), 0),
        ("Conv2D", (14, 14, 64), 18_496),
        ("MaxPooling2D", (7, 7, 64), 0),
        ("Conv2D", (7, 7, 32), 18_464),
        ("MaxPooling2D", (3, 3, 32), 0),
        ("Flatten", (288,), 0),
        ("Dense", (64,), 18_496),
        ("Dense", (32,), 2_080),
        ("Dense", (16,), 528),
        ("Dense", (10,), 170),
    ],
    "diabetes": [("Dense", (2,), 22), ("Dense", (1,), 3)],
    "mnist_fcl": [
        ("Flatten", (784,), 0),
        ("Dense", (512,), 401_920),
        ("Dense", (256,), 131_328),
        ("Dense", (128,), 32_896),
        ("Dense", (64,), 8_256),
        ("Dense", (10,), 650),
    ],
    "alexnet": [
        ("Conv2D", (55, 55, 96), 34_944),
        ("MaxPooling2D", (27, 27, 96), 0),
        ("Conv2D", (27, 27, 256), 614_656),
        ("MaxPooling2D", (13, 13, 256), 0),
        ("Conv2D", (13, 13, 384), 885_120),
        ("Conv2D", (13, 13, 384), 1_327_488),
        ("Conv2D", (13, 13, 256), 884_992),
        ("MaxPooling2D", (6, 6, 256), 0),
        ("Flatten", (9_216,), 0),
        ("Dense", (4096,), 37_752_832),
        ("Dense", (4096,), 16_781_312),
        ("Dense", (1000,), 4_097_000),
        ("Dense", (2,), 2_002),
    ],
    "mnist_softmax": [("Dense", (10,), 7_850)],
    "mnist_mlp": [
        ("Dense", (512,), 401_920),
        ("Dense", (256,), 131_328),
        ("Dense", (128,), 32_896),
        ("Dense", (10,), 1_290),
    ],
}
"""Kind, output shape and number of weights of each layer of the originals."""

ADDED = {"alexnet": ("RandomFlip", "RandomTranslation", "BatchNormalization")}
"""Layers that the example adds, as its file says."""

OPTIMIZERS = {
    "alexnet": ("Adam", 0.001),
    "diabetes": ("Adam", 0.1),
    "fashion_cnn": ("Adam", 0.001),
    "mnist_fcl": ("Adam", 0.001),
    "mnist_mlp": ("Adam", 0.0001),
    "mnist_softmax": ("Adam", 0.1),
}

LOSSES = {
    "alexnet": "categorical_crossentropy",
    "diabetes": "mean_squared_error",
    "fashion_cnn": "sparse_categorical_crossentropy",
    "mnist_fcl": "sparse_categorical_crossentropy",
    "mnist_mlp": "categorical_crossentropy",
    "mnist_softmax": "categorical_crossentropy",
}

SPLITS = {  # test share of all rows, validation share of the rest, batch size, epochs
    "alexnet": (0.2, 0.25, 32, 30),
    "diabetes": (0.2, 0.2, 32, 20),
    "fashion_best": ("given", 0.05, 128, 26),
    "fashion_cnn": ("given", 0.1, 32, 200),
    "mnist_fcl": ("given", 0.2, 32, 10),
    "mnist_logreg": (0.3, 0.2, None, None),
    "mnist_mlp": (0.3, 0.2, 100, 100),
    "mnist_softmax": (0.3, 0.2, 100, 100),
}

SCALES = {"diabetes": "standard", "fashion_best": "standard"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = make_project(tmp_path_factory.mktemp("examples") / "project")
    for name, file in EXAMPLES.items():
        shutil.copyfile(file, project.experiment_file(name))
    return project


def build(experiment: Experiment) -> Any:
    from gristmill.pipelines.training.keras_model import DataTraits, build_model

    recipe = experiment.recipe(experiment.document.parameters)
    return build_model(recipe, DataTraits(*SHAPES[experiment.name]), Path())


def test_the_listed_examples_exist() -> None:
    assert set(EXAMPLES) == NAMES


@pytest.mark.parametrize("name", LAYERS)
def test_an_example_matches_its_original_layer_by_layer(home: Project, name: str) -> None:
    model = build(load_experiment(home, name))
    layers = [(type(layer).__name__, layer) for layer in model.layers]
    found = [
        (kind, tuple(layer.output.shape[1:]), layer.count_params())
        for kind, layer in layers
        if kind not in ADDED.get(name, ())
    ]
    assert found == LAYERS[name]
    task = load_experiment(home, name).data.task
    last = "linear" if task == "regression" else "softmax"
    hidden = [layer for kind, layer in layers if kind in ("Dense", "Conv2D")]
    assert {layer.activation.__name__ for layer in hidden[:-1]} <= {"relu"}
    assert hidden[-1].activation.__name__ == last


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_example_has_the_optimizer_and_loss_of_its_original(home: Project, name: str) -> None:
    training = load_experiment(home, name).document.training
    (optimizer,) = training.optimizer
    assert (optimizer, training.optimizer[optimizer]["learning_rate"]) == OPTIMIZERS[name]
    assert training.loss == LOSSES[name]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("alexnet", ["Conv2D"]), ("mnist_mlp", ["Dense"]), ("fashion_best", ["Conv2D"])],
)
def test_he_initialisation_is_used_where_the_original_uses_it(
    home: Project, name: str, kinds: list[str]
) -> None:
    layers = load_experiment(home, name).document.model.layers or ()
    named = [
        v.get("kernel_initializer") for layer in layers for k, v in layer.items() if k in kinds
    ]
    assert named
    assert set(named) == {"he_normal"}


@pytest.mark.parametrize("name", SPLITS)
def test_an_example_has_the_split_scaling_batch_size_and_epochs_of_its_original(
    home: Project, name: str
) -> None:
    document = load_experiment(home, name).document
    owner = load_experiment(home, document.split.as_ or name).document
    test, validation, batch, epochs = SPLITS[name]
    assert owner.split.test == test
    rest = 1 if isinstance(owner.split.test, str) else 1 - owner.split.test
    assert owner.split.validation / rest == pytest.approx(validation)
    assert document.features.scale == SCALES.get(name, "minmax")
    if batch is not None:
        assert document.training.batch_size == batch
    if epochs is not None:
        assert document.training.epochs == epochs


def test_fashion_and_mnist_examples_keep_the_given_test_rows(
    home: Project,
) -> None:
    for name in ("fashion_best", "fashion_cnn", "mnist_fcl"):
        assert load_experiment(home, name).document.split.test == "given"


def test_the_three_models_of_one_table_share_their_split(home: Project) -> None:
    for name in ("mnist_logreg", "mnist_mlp"):
        assert load_experiment(home, name).document.split.as_ == "mnist_softmax"


@pytest.mark.parametrize("name", sorted(NAMES))
def test_an_example_starts_with_a_description(name: str) -> None:
    lines = EXAMPLES[name].read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# yaml-language-server: $schema=")
    assert lines[1].startswith("# ")


@pytest.mark.parametrize("name", sorted(SHAPES))
def test_an_example_can_run_for_one_epoch_from_the_command_line(home: Project, name: str) -> None:
    tried = load_experiment(home, name, {"epochs": 1})
    assert tried.document.training.epochs == 1
