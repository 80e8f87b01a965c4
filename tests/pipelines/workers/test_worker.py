"""A worker process carries out its requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import make_data, make_project, write_experiment

from gristmill.pipelines.config.experiment import Recipe
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.training.trial import read_result
from gristmill.pipelines.workers.bench import Bench
from gristmill.pipelines.workers.messages import Epoch, Export, Train
from gristmill.pipelines.workers.model_export import predict
from gristmill.pipelines.workers.worker import carry_out


@pytest.fixture
def home(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def recipe(project: Project, **changes: Any) -> Recipe:
    experiment = write_experiment(project, **changes)
    return experiment.recipe(experiment.document.parameters)


@pytest.mark.parametrize("rows", [1, 8, 19])
def test_outputs_do_not_depend_on_the_batch_of_a_row(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gristmill.pipelines.training.training_rows.TOGETHER", 8)
    calls: list[int] = []

    def call(batch: Any, training: bool) -> Any:
        calls.append(len(batch))
        return batch.sum(axis=1, keepdims=True)

    given = np.random.default_rng(0).normal(size=(rows, 3)).astype(np.float32)
    made = predict(call, given)
    np.testing.assert_array_equal(made, given.sum(axis=1, keepdims=True))
    assert set(calls) == {8}


@pytest.mark.parametrize(("pause", "messages"), [(0.0, 5), (60.0, 1)])
def test_messages_about_fast_epochs_are_few_and_complete(
    home: Project, monkeypatch: pytest.MonkeyPatch, pause: float, messages: int
) -> None:
    monkeypatch.setattr("gristmill.pipelines.workers.worker.PAUSE", pause)
    data = make_data(home, write_experiment(home))
    asked = recipe(home, training={"epochs": 5})
    folder = data / "trials" / "one"
    told: list[Epoch] = []
    request = Train("k", asked, data / "training", folder, home.experiments)
    done = carry_out(Bench(), request, told.append)
    result = read_result(folder)
    assert result is not None
    assert len(told) == messages
    losses = [logs["loss"] for message in told for logs in message.new]
    assert losses == result.history["loss"][: len(losses)]
    assert told[-1].number == len(losses)
    assert done.error is None
    assert 0 < done.tracing < done.seconds


def test_only_the_first_trial_of_a_program_pays_for_its_tracing(home: Project) -> None:
    data = make_data(home, write_experiment(home))
    bench = Bench()
    first, second = (
        carry_out(
            bench,
            Train(
                str(seed),
                recipe(home, training={"seed": seed}),
                data / "training",
                data / "trials" / str(seed),
                home.experiments,
            ),
            lambda message: None,
        )
        for seed in (1, 2)
    )
    assert first.tracing > second.tracing


def test_an_exported_model_gives_the_outputs_stored_beside_it(home: Project) -> None:
    import keras

    data = make_data(home, write_experiment(home))
    asked, folder = recipe(home), data / "trials" / "one"
    bench = Bench()
    bench.train(Train("k", asked, data / "training", folder, home.experiments), _ignore)
    model, outputs = folder / "model.keras", folder / "outputs.npy"
    weights, rows = folder / "weights.npz", data / "training" / "x_validation.npy"
    bench.export(Export(asked, data / "training", weights, model, home.experiments, rows, outputs))
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
