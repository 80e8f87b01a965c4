"""What a worker process does with its requests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import make_data, make_project, write_experiment

from pipelines.config import Project, Recipe
from pipelines.training import read_result
from pipelines.training.worker import (
    Bench,
    Epoch,
    Export,
    Train,
    architecture,
    carry_out,
    predict,
)

SCHEDULE = {"ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 9, "decay_rate": 0.5}}


@pytest.fixture
def home(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def recipe(project: Project, **changes: Any) -> Recipe:
    experiment = write_experiment(project, **changes)
    return experiment.recipe(experiment.document.parameters)


def optimizer(name: str, **arguments: Any) -> dict[str, Any]:
    return {"training": {"optimizer": {name: arguments}}}


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"learning_rate": 0.5}},
        {"training": {"batch_size": 5}},
        {"training": {"seed": 9}},
        {"training": {"epochs": 50}},
        {"training": {"early_stopping": {"patience": 1}}},
        {"training": {"threads": 2}},
    ],
)
def test_one_program_serves_what_differs_outside_of_its_graph(
    home: Project, changes: dict[str, Any]
) -> None:
    data = Path("data")
    assert architecture(recipe(home, **changes), data) == architecture(recipe(home), data)


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"units": 7}},
        {"model": {"layers": [{"Dense": {"units": 6, "activation": "tanh"}}]}},
        {"training": {"loss": "categorical_crossentropy"}},
        {"training": {"metrics": ["accuracy", "AUC"]}},
        optimizer("RMSprop", learning_rate=0.02),
        optimizer("Adam", learning_rate=0.02, beta_1=0.8),
        optimizer("Adam", learning_rate=SCHEDULE),
    ],
)
def test_another_graph_is_another_program(home: Project, changes: dict[str, Any]) -> None:
    data = Path("data")
    assert architecture(recipe(home, **changes), data) != architecture(recipe(home), data)
    assert architecture(recipe(home), data) != architecture(recipe(home), Path("other"))


def test_schedules_that_differ_are_other_programs(home: Project) -> None:
    slow = {"ExponentialDecay": {**SCHEDULE["ExponentialDecay"], "decay_rate": 0.9}}
    one, other = (recipe(home, **optimizer("Adam", learning_rate=s)) for s in (SCHEDULE, slow))
    assert architecture(one, Path("data")) != architecture(other, Path("data"))


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


def test_a_bench_keeps_few_programs_and_the_result_does_not_depend_on_it(
    home: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.training.worker.PROGRAMS", 2)
    data = make_data(home, write_experiment(home))
    bench, found = Bench(), []
    for units in (4, 5, 6, 4):
        asked = recipe(home, parameters={"units": units}, training={"epochs": 1})
        folder = data / "trials" / str(len(found))
        bench.train(Train("k", asked, data / "training", folder, home.experiments), _ignore)
        found.append(read_result(folder))
    assert len(bench._programs) == 2
    first, last = found[0], found[-1]
    assert first is not None
    assert last is not None
    assert first.history == last.history


@pytest.mark.parametrize(("pause", "messages"), [(0.0, 5), (60.0, 1)])
def test_messages_about_fast_epochs_are_few_and_leave_none_out(
    home: Project, monkeypatch: pytest.MonkeyPatch, pause: float, messages: int
) -> None:
    monkeypatch.setattr("pipelines.training.worker.PAUSE", pause)
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
    assert first.tracing > 2 * second.tracing


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
