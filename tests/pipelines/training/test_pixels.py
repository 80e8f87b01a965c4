"""Pictures are stored as bytes and give the same training as stored scaled arrays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from tiny import make_project, write_experiment

from gristmill.pipelines.config.experiment import Recipe, load_experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.ingestion.readers.picture_folders import picture_field
from gristmill.pipelines.ingestion.readers.picture_pixels import Form
from gristmill.pipelines.preparation.features.prepare import scale
from gristmill.pipelines.preparation.features.transforms import scaled
from gristmill.pipelines.preparation.split.cuts_file import TEST, TRAINING, VALIDATION
from gristmill.pipelines.training.keras_model import DataTraits, build_model
from gristmill.pipelines.training.loop import FitProgram
from gristmill.pipelines.training.trial import read_result
from gristmill.pipelines.workers.bench import Bench
from gristmill.pipelines.workers.messages import Export, Train

FORM = Form(height=6, width=5, channels=3)
ROWS = {TRAINING: 40, VALIDATION: 16, TEST: 9}
CONVOLUTIONS = [
    {"Conv2D": {"filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"}},
    {"BatchNormalization": {}},
    {"Flatten": {}},
]
AUGMENTED = [
    {"RandomFlip": {}},
    {"RandomContrast": {"factor": 0.3, "value_range": [-9, 9]}},
    *CONVOLUTIONS,
]


def album(folder: Path, scaling: str = "minmax", layers: Any = CONVOLUTIONS) -> Project:
    """Return a project with stored arrays of pictures whose shade shows their class."""
    project = make_project(folder)
    write_experiment(
        project,
        data={"target": "kind", "task": "classification"},
        features={"scale": scaling},
        model={"layers": layers},
        training={"epochs": 3, "batch_size": 16},
    )
    role = np.repeat([*ROWS], [*ROWS.values()]).astype(np.int8)
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, len(role))
    shape = (len(role), FORM.height, FORM.width, FORM.channels)
    shades = rng.integers(0, 86, shape) + 85 * kind[:, None, None, None]
    columns = [
        pa.array([one.tobytes() for one in shades.astype(np.uint8)], picture_field(FORM).type),
        pa.array([f"kind {k}" for k in kind]),
    ]
    schema = pa.schema([picture_field(FORM), pa.field("kind", pa.string())])
    build = project.build("tiny")
    build.mkdir(parents=True)
    pa.parquet.write_table(pa.table(columns, schema=schema), build / "table.parquet")
    roles = pa.table({"role": role, "identity": np.arange(len(role), dtype=np.uint64)})
    pa.parquet.write_table(roles, build / "roles.parquet")
    scale(project, "tiny")
    return project


def recipe_of(project: Project, **training: Any) -> Recipe:
    document = json.loads(project.experiment_file("tiny").read_text())
    document["training"] |= training
    experiment = write_experiment(project, **document)
    return experiment.recipe(experiment.document.parameters)


def as_floats(project: Project) -> Path:
    """Return the same arrays, scaled before they are stored, as those of a table are."""
    build, folder = project.build("tiny"), project.root / "floats"
    folder.mkdir()
    about = json.loads((build / "training" / "statistics.json").read_text())
    for file in [*(build / "training").glob("*.npy"), build / "test" / "x.npy"]:
        stored = np.load(file)
        np.save(folder / file.name, scaled(stored, about) if stored.dtype == np.uint8 else stored)
    (folder / "statistics.json").write_text(json.dumps({**about, "picture": None}))
    return folder


def trained(recipe: Recipe, data: Path, rows: Path, folder: Path) -> tuple[Any, ...]:
    """Train; return weights, history, loop and outputs for some rows."""
    bench, outputs = Bench(), folder / "outputs.npy"
    bench.train(Train("k", recipe, data, folder, folder), lambda number, logs: None)
    weights, model = folder / "weights.npz", folder / "model.keras"
    bench.export(Export(recipe, data, weights, model, folder, rows, outputs))
    result = read_result(folder)
    assert result is not None
    with np.load(weights) as saved:
        kept = [saved[name] for name in saved.files]
    return kept, result.history, result.loop, np.load(outputs)


@pytest.mark.parametrize(
    ("way", "scaling"), [("fused", "minmax"), ("streamed", "standard"), ("fit", "standard")]
)
def test_training_on_bytes_equals_training_on_the_scaled_array(
    way: str, scaling: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = album(tmp_path / "project", scaling, AUGMENTED)
    test = project.build("tiny") / "test" / "x.npy"
    floats = as_floats(project)
    if way == "streamed":
        monkeypatch.setattr("gristmill.pipelines.training.training_rows.MEMORY_SHARE", 0.0)
        monkeypatch.setattr("gristmill.pipelines.training.training_rows.CHUNK", 900)
    if way == "fit":

        def by_fit(model: Any, again: Any, *parts: Any) -> FitProgram:
            return FitProgram(model, *parts, "asked for")

        monkeypatch.setattr("gristmill.pipelines.training.programs.make_program", by_fit)
    stored = project.build("tiny") / "training"
    assert np.load(stored / "x_training.npy").dtype == np.uint8
    recipe = recipe_of(project)
    weights, history, loop, outputs = trained(recipe, stored, test, tmp_path / "bytes")
    others, told, _, made = trained(recipe, floats, floats / "x.npy", tmp_path / "floats")
    assert loop.startswith("fit" if way == "fit" else "fused")
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_array_equal(one, other)
    assert history == told
    np.testing.assert_array_equal(outputs, made)


def test_augmentation_happens_only_in_training(tmp_path: Path) -> None:
    project = album(tmp_path / "project", layers=AUGMENTED)
    data, folder = project.build("tiny") / "training", tmp_path / "trial"
    _, history, _, outputs = trained(recipe_of(project), data, data / "x_validation.npy", folder)
    truth = np.load(data / "y_validation.npy")
    loss = -np.log(outputs[np.arange(len(truth)), truth]).mean()
    assert history["val_loss"][-1] == pytest.approx(loss, rel=1e-5)
    plain = album(tmp_path / "plain")
    rows = plain.build("tiny") / "training" / "x_validation.npy"
    _, other, *_ = trained(recipe_of(plain), rows.parent, rows, tmp_path / "other")
    assert other["loss"] != history["loss"]


class Crash(Exception):
    pass


def test_an_interrupted_augmented_trial_gives_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gristmill.pipelines.training.trial.SAVE_EVERY", 0.0)
    monkeypatch.setattr("gristmill.pipelines.training.trial.SAVE_SHARE", np.inf)
    project = album(tmp_path / "project", layers=AUGMENTED)
    data, folder = project.build("tiny") / "training", tmp_path / "trial"
    recipe = recipe_of(project)
    whole, history, *_ = trained(recipe, data, data / "x_validation.npy", tmp_path / "whole")

    def crash(number: int, logs: Any) -> None:
        if number == 2:
            raise Crash

    with pytest.raises(Crash):
        Bench().train(Train("k", recipe, data, folder, folder), crash)
    told: list[int] = []
    monkeypatch.setattr(
        "gristmill.pipelines.training.loop.Program.reset", pytest.fail
    )  # of another process
    Bench().train(
        Train("k", recipe, data, folder, folder), lambda number, logs: told.append(number)
    )
    assert told == [2, 3]
    result = read_result(folder)
    assert result is not None
    assert result.history == history
    with np.load(folder / "weights.npz") as saved:
        for name, weight in zip(saved.files, whole, strict=True):
            np.testing.assert_array_equal(saved[name], weight)


@pytest.mark.parametrize("scaling", ["minmax", "standard", "none"])
def test_layers_have_the_range_of_scaled_pixels(scaling: str, tmp_path: Path) -> None:
    layers = [{"RandomBrightness": {"factor": 0.1}}, *CONVOLUTIONS]
    project = album(tmp_path / "project", scaling, layers)
    data = project.build("tiny") / "training"
    model = Bench().programs.model(recipe_of(project), data, tmp_path)
    about = json.loads((data / "statistics.json").read_text())
    ends = scaled(np.array([0, 255], np.uint8)[:, None, None, None].repeat(3, axis=3), about)
    assert model.layers[0].value_range == pytest.approx([ends.min(), ends.max()])


def test_channels_first_equals_channels_last(tmp_path: Path) -> None:
    """This includes the gradient of every weight, in which TensorFlow's own can differ."""
    project = make_project(tmp_path / "project")

    def layers(**layout: str) -> list[dict[str, Any]]:
        return [
            {"RandomFlip": layout},
            {"Conv2D": {"filters": 4, "kernel_size": 3, "strides": 2, "padding": "same", **layout}},
            {"MaxPooling2D": {"pool_size": 2, "strides": 1, **layout}},
            {"Conv2D": {"filters": 5, "kernel_size": 2, "padding": "valid", **layout}},
            {"Flatten": {}},
        ]

    def model(**changes: Any) -> Any:
        experiment = write_experiment(project, training={"epochs": 2}, **changes)
        recipe = experiment.recipe(experiment.document.parameters)
        return build_model(recipe, DataTraits((9, 8, 3), 3), project.experiments)

    last = model(model={"layers": layers()})
    first = model(model={"layers": layers(data_format="channels_first")})
    assert first.layers[1].output.shape == (None, 3, 9, 8)
    assert [layer.output.shape for layer in first.layers][-2:] == [(None, 30), (None, 3)]
    x = np.random.default_rng(0).random((24, 9, 8, 3)).astype(np.float32)
    y = np.arange(24) % 3
    for one, other in zip(last.weights, first.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_allclose(last.predict(x, verbose=0), first.predict(x, verbose=0), rtol=1e-4)
    for each in (last, first):
        each.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(last.weights, first.weights, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_permute_layer_of_the_user_is_not_permuted_again(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    convolution = {"Conv2D": {"filters": 2, "kernel_size": 2, "data_format": "channels_first"}}
    layers = [{"Permute": {"dims": [3, 1, 2]}}, convolution, {"GlobalAveragePooling2D": {}}]
    experiment = write_experiment(project, model={"layers": layers})
    recipe = experiment.recipe(experiment.document.parameters)
    model = build_model(recipe, DataTraits((9, 8, 3), 3), project.experiments)
    shapes = [layer.output.shape for layer in model.layers]
    assert (None, 2, 8, 7) in shapes
    assert model.layers[0].output.shape == (None, 3, 9, 8)
    assert model.layers[-2].output.shape == (None, 2)


def test_an_estimator_learns_from_scaled_pixels(tmp_path: Path) -> None:
    project = album(tmp_path / "project", "standard")
    document = json.loads(project.experiment_file("tiny").read_text())
    document |= {"model": {"sklearn": "LogisticRegression"}, "training": {}}
    project.experiment_file("tiny").write_text(json.dumps(document))
    experiment = load_experiment(project, "tiny")
    recipe = experiment.recipe(experiment.document.parameters)
    test, floats = project.build("tiny") / "test" / "x.npy", as_floats(project)
    made = []
    for rows, name in ((test, "bytes"), (floats / "x.npy", "floats")):
        data = floats if name == "floats" else test.parent.parent / "training"
        folder = tmp_path / name
        Bench().train(Train("k", recipe, data, folder, folder), lambda number, logs: None)
        weights, outputs = folder / "weights.npz", folder / "outputs.npy"
        model = folder / "model.npz"
        Bench().export(Export(recipe, data, weights, model, folder, rows, outputs))
        made.append((weights.read_bytes(), np.load(outputs)))
    assert made[0][0] == made[1][0]
    np.testing.assert_array_equal(made[0][1], made[1][1])
