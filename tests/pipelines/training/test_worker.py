"""What a worker process does with its requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import make_data, make_project, write_experiment

from pipelines.config import Project, Recipe
from pipelines.training import read_result
from pipelines.training.worker import Bench, Export, Train, predict


@pytest.fixture
def home(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def recipe(project: Project, **changes: Any) -> Recipe:
    experiment = write_experiment(project, **changes)
    return experiment.recipe(experiment.document.parameters)


@pytest.mark.parametrize("rows", [1, 8, 19])
def test_outputs_do_not_depend_on_the_batch_that_a_row_is_in(rows: int) -> None:
    calls: list[int] = []

    def call(batch: Any, training: bool) -> Any:
        calls.append(len(batch))
        return batch.sum(axis=1, keepdims=True)

    given = np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)
    made = predict(call, given, batch=8)
    np.testing.assert_array_equal(made, given.sum(axis=1, keepdims=True))
    assert set(calls) == {8}


def test_an_exported_model_gives_the_outputs_that_are_written_beside_it(home: Project) -> None:
    import keras

    data = make_data(home, write_experiment(home))
    asked, folder = recipe(home), data / "trials" / "one"
    bench = Bench()
    bench.train(Train("k", asked, data / "training", folder, home.experiments), _ignore)
    model, outputs = folder / "model.keras", folder / "outputs.npy"
    weights, rows = folder / "weights.npz", data / "training" / "x_validation.npy"
    bench.export(Export(asked, data / "training", weights, rows, model, outputs, home.experiments))
    loaded = keras.models.load_model(model, compile=False)
    made = np.load(outputs)
    np.testing.assert_allclose(made, loaded.predict(np.load(rows), verbose=0), rtol=1e-5)
    truth = np.load(data / "training" / "y_validation.npy")
    result = read_result(folder)
    assert result is not None
    loss = -np.log(made[np.arange(len(truth)), truth]).mean()
    assert result.scores["val_loss"] == pytest.approx(loss, rel=1e-5)


def _ignore(number: int, logs: Any) -> None:
    pass
