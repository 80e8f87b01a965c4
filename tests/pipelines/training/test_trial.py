"""One trial: early stopping, crashes and longer budgets, on one traced program."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import make_data, make_project, write_experiment

from gristmill.pipelines.config.experiment import Recipe
from gristmill.pipelines.training.keras_model import DataTraits, build_model
from gristmill.pipelines.training.loop import row_order
from gristmill.pipelines.training.trial import TrialResult, read_result, run_trial
from gristmill.pipelines.workers.bench import Bench
from gristmill.pipelines.workers.messages import Train

STATEFUL = {
    "layers": [
        {"Dense": {"units": "$units", "activation": "relu"}},
        {"BatchNormalization": {}},
        {"Dropout": {"rate": 0.3}},
    ]
}


class Lab:
    """A tiny data set and one bench, so that traced programs are used again."""

    def __init__(self, folder: Path) -> None:
        self.project = make_project(folder)
        self.data = make_data(self.project, write_experiment(self.project)) / "training"
        self.bench = Bench()
        self.runs = 0

    def embedded(self) -> Path:
        """Return the same rows with the colour as a code, weighted by class."""
        changes = {"features": {"embed_above": 2}, "training": {"class_weight": "balanced"}}
        experiment = write_experiment(self.project, "embedded", **changes)
        return make_data(self.project, experiment) / "training"

    def recipe(self, **training: Any) -> Recipe:
        experiment = write_experiment(self.project, model=STATEFUL, training=training)
        return experiment.recipe(experiment.document.parameters)

    def request(self, recipe: Recipe, folder: Path | None = None) -> Train:
        self.runs += 1
        folder = folder or self.data.parent / "trials" / str(self.runs)
        return Train("k" * 32, recipe, self.data, folder, self.project.experiments)

    def run(self, recipe: Recipe, folder: Path | None = None, note: Any = None) -> Path:
        request = self.request(recipe, folder)
        self.bench.train(request, note or (lambda number, logs: None))
        return request.folder


@pytest.fixture
def every_epoch_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gristmill.pipelines.training.trial.SAVE_EVERY", 0.0)
    monkeypatch.setattr("gristmill.pipelines.training.trial.SAVE_SHARE", np.inf)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab") / "project")


def result_of(folder: Path) -> TrialResult:
    result = read_result(folder)
    assert result is not None
    return result


def weights_of(folder: Path) -> list[Any]:
    with np.load(folder / "weights.npz", allow_pickle=False) as saved:
        return [saved[name] for name in saved.files]


def assert_same(one: Path, other: Path) -> None:
    """Check that weights, histories and choices are the same to the last bit."""
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_array_equal(a, b)
    by_chance: dict[str, Any] = {"seconds": 0.0, "started": 0.0, "note": ""}
    assert replace(result_of(one), **by_chance) == replace(result_of(other), **by_chance)


def batches(x: Any, y: Any, seed: int, size: int) -> Iterator[tuple[Any, Any]]:
    """Yield the batches of our epochs for Keras's own `fit`."""
    for epoch in itertools.count():
        order = row_order(seed, epoch, len(x))
        for start in range(0, len(x), size):
            rows = order[start : start + size]
            yield x[rows], y[rows]


def fitted(lab: Lab, recipe: Recipe, callback: Any) -> tuple[Any, dict[str, list[float]]]:
    """Train with Keras's `fit` on the same batches; return the model and its history."""
    arrays = {file.stem: np.load(file) for file in lab.data.glob("*.npy")}
    model = build_model(recipe, DataTraits(arrays["x_training"].shape[1:], 3), Path())
    done = model.fit(
        batches(arrays["x_training"], arrays["y_training"], 0, 16),
        steps_per_epoch=-(-len(arrays["x_training"]) // 16),
        epochs=recipe.training.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[callback],
        validation_data=(arrays["x_validation"], arrays["y_validation"]),
    )
    return model, dict(done.history)


@pytest.mark.parametrize(
    "stopping",
    [
        {"monitor": "val_loss", "patience": 2},
        {"monitor": "val_accuracy", "patience": 1, "min_delta": 0.01},
        {"monitor": "val_loss", "patience": 2, "restore_best_weights": False},
        {"monitor": "loss", "mode": "max", "patience": 3, "start_from_epoch": 2},
        {"monitor": "val_loss", "patience": 2, "baseline": 0.001},
    ],
)
def test_early_stopping_stops_and_restores_as_keras_fit_does(
    lab: Lab, stopping: dict[str, Any]
) -> None:
    rate = {"Adam": {"learning_rate": 0.3}}
    recipe = lab.recipe(epochs=15, early_stopping=stopping, optimizer=rate)
    ours = lab.run(recipe)
    callback = keras.callbacks.EarlyStopping(**{"restore_best_weights": True, **stopping})
    model, history = fitted(lab, recipe, callback)
    result = result_of(ours)
    assert result.epochs == len(history["loss"]) < 15
    assert result.stopped_early
    if stopping.get("restore_best_weights", True):
        assert result.best_epoch == callback.best_epoch < result.epochs - 1
    else:
        assert result.best_epoch == result.epochs - 1
    for name, values in history.items():
        assert result.history[name] == pytest.approx(values, rel=1e-3)
        assert result.scores[name] == result.history[name][result.best_epoch]
    for mine, theirs in zip(weights_of(ours), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_trials_on_one_program_give_the_same_result_in_any_order(lab: Lab) -> None:
    recipes = [
        lab.recipe(seed=0, batch_size=16),
        lab.recipe(seed=1, batch_size=7),
        lab.recipe(seed=0, batch_size=40, optimizer={"Adam": {"learning_rate": 0.2}}),
    ]
    lab.bench = Bench()
    forward = [lab.run(recipe) for recipe in recipes]
    assert len(lab.bench.programs) == 1
    lab.bench = Bench()
    backward = [lab.run(recipe) for recipe in reversed(recipes)]
    for one, other in zip(forward, reversed(backward), strict=True):
        assert_same(one, other)
    assert not np.array_equal(weights_of(forward[0])[0], weights_of(forward[1])[0])


class Crash(Exception):
    pass


def crash_after(epochs: int) -> Any:
    def note(number: int, logs: Mapping[str, float]) -> None:
        if number == epochs:
            raise Crash

    return note


RISING = {"SGD": {"learning_rate": 0.3}}
REMEMBERED: dict[str, dict[str, Any]] = {
    "nothing": {},
    "early stopping": {"early_stopping": {"patience": 3}},
    "a baseline from a late epoch": {
        "early_stopping": {"patience": 2, "baseline": 0.001, "start_from_epoch": 2}
    },
    "plateaus": {
        "optimizer": RISING,
        "early_stopping": {"patience": 4, "min_delta": 1.0, "restore_best_weights": False},
        "reduce_lr_on_plateau": {"patience": 1, "cooldown": 2, "factor": 0.5, "min_delta": 10.0},
    },
    "a schedule": {
        "optimizer": {
            "SGD": {
                "learning_rate": {
                    "CosineDecay": {
                        "initial_learning_rate": 0.01,
                        "warmup_target": 0.3,
                        "warmup_steps": "2 epochs",
                        "decay_steps": "5 epochs",
                    }
                }
            }
        }
    },
    "averaged weights in float16": {
        "optimizer": {"Adam": {"use_ema": True}},
        "precision": "mixed_float16",
    },
}
DAILY = ("early stopping", "a schedule")


@pytest.mark.usefixtures("every_epoch_saved")
@pytest.mark.parametrize(
    "name",
    [name if name in DAILY else pytest.param(name, marks=pytest.mark.slow) for name in REMEMBERED],
)
def test_a_trial_interrupted_after_every_epoch_gives_the_same_result(
    lab: Lab, name: str, tmp_path: Path
) -> None:
    recipe = lab.recipe(
        **{"epochs": 8, "optimizer": {"Adam": {"learning_rate": 0.3}}, **REMEMBERED[name]}
    )
    epochs: list[int] = []
    whole = lab.run(recipe, note=lambda number, logs: epochs.append(number))
    for epoch in epochs:  # the state after the last epoch is not saved
        with pytest.raises(Crash):
            lab.run(recipe, tmp_path, crash_after(epoch))
        assert not (tmp_path / "result.json").exists()
    seen: list[int] = []
    lab.run(recipe, tmp_path, lambda number, logs: seen.append(number))
    assert seen == epochs[-1:]  # no epoch was repeated
    assert_same(whole, tmp_path)
    assert result_of(whole).stopped_early is ("early_stopping" in REMEMBERED[name])


def test_a_plateau_lowers_the_learning_rate_as_in_keras_fit(lab: Lab) -> None:
    plateau = {"patience": 1, "cooldown": 1, "factor": 0.5, "min_delta": 0.2, "min_lr": 0.05}
    recipe = lab.recipe(epochs=8, optimizer=RISING, reduce_lr_on_plateau=plateau)
    result = result_of(lab.run(recipe))
    callback = keras.callbacks.ReduceLROnPlateau(**plateau)
    _, history = fitted(lab, recipe, callback)
    assert result.history["learning_rate"] == history["learning_rate"]
    assert len({*result.history["learning_rate"]}) > 2
    assert "learning_rate" not in result.scores


def test_averaged_weights_replace_the_weights_at_the_end_as_in_keras_fit(lab: Lab) -> None:
    recipe = lab.recipe(epochs=2, optimizer={"Adam": {"use_ema": True, "ema_momentum": 0.9}})
    folder = lab.run(recipe)
    model, _ = fitted(lab, recipe, keras.callbacks.Callback())
    for mine, theirs in zip(weights_of(folder), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_without_validation_rows_the_plateau_is_measured_on_training_rows(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(lab.data, tmp_path / "data")
    for name in ("x_validation", "y_validation"):
        array = np.load(tmp_path / "data" / f"{name}.npy")
        np.save(tmp_path / "data" / f"{name}.npy", array[:0])
    monkeypatch.setattr(lab, "data", tmp_path / "data")
    plateau = {"patience": 1, "min_delta": 10.0}
    result = result_of(lab.run(lab.recipe(epochs=3, reduce_lr_on_plateau=plateau)))
    assert {*result.history} == {"loss", "accuracy", "learning_rate"}
    assert result.history["learning_rate"] == pytest.approx([0.02, 0.02, 0.002])


def test_a_schedule_can_count_in_epochs(lab: Lab) -> None:
    boundaries = {"boundaries": ["1 epoch", "2.5 epochs"], "values": [0.3, 0.2, 0.1]}
    optimizer = {"SGD": {"learning_rate": {"PiecewiseConstantDecay": boundaries}}}
    result = result_of(lab.run(lab.recipe(epochs=4, optimizer=optimizer)))
    assert result.history["learning_rate"] == pytest.approx([0.3, 0.2, 0.1, 0.1])


@pytest.mark.usefixtures("every_epoch_saved")
@pytest.mark.parametrize("kept", [0.0, 0.5, 0.99])
def test_an_unreadable_state_is_ignored_and_the_trial_starts_again(
    lab: Lab, kept: float, tmp_path: Path
) -> None:
    recipe = lab.recipe(epochs=3, early_stopping={"patience": 9})
    whole = lab.run(recipe)
    with pytest.raises(Crash):
        lab.run(recipe, tmp_path, crash_after(3))
    state = tmp_path / "state.npz"
    state.write_bytes(state.read_bytes()[: int(kept * state.stat().st_size)])
    seen: list[int] = []
    lab.run(recipe, tmp_path, lambda number, logs: seen.append(number))
    assert seen == [1, 2, 3]
    assert_same(whole, tmp_path)
    assert result_of(whole).note == ""
    assert "saved state cannot be read" in result_of(tmp_path).note


@pytest.mark.usefixtures("every_epoch_saved")
def test_a_state_of_another_model_is_ignored_and_the_trial_starts_again(
    lab: Lab, tmp_path: Path
) -> None:
    recipe = lab.recipe(epochs=2)
    whole = lab.run(recipe)
    with np.load(whole / "state.npz") as saved:
        arrays = {name: saved[name] for name in saved.files}
    arrays["variable 0"] = arrays["variable 0"][:, :-1]
    np.savez(tmp_path / "state.npz", **arrays)
    lab.run(recipe, tmp_path)
    assert_same(whole, tmp_path)
    assert "another model" in result_of(tmp_path).note


def test_a_flipped_byte_in_a_state_changes_no_result(lab: Lab) -> None:
    short, longer = lab.recipe(epochs=2), lab.recipe(epochs=3)
    folder, whole = lab.run(short), lab.run(longer)
    state = folder / "state.npz"
    content = state.read_bytes()
    for place in np.random.default_rng(0).integers(0, len(content), 12):
        flipped = bytearray(content)
        flipped[place] ^= 255
        state.write_bytes(flipped)
        lab.run(longer, folder)
        assert_same(whole, folder)


def test_a_result_of_an_earlier_version_is_read_and_an_incomplete_one_is_ignored(
    tmp_path: Path,
) -> None:
    about = asdict(FINISHED)
    del about["loop"]
    (tmp_path / "result.json").write_text(json.dumps(about))
    assert read_result(tmp_path) == FINISHED
    (tmp_path / "result.json").write_text(json.dumps(about)[:50])
    assert read_result(tmp_path) is None


@pytest.mark.slow
@pytest.mark.usefixtures("every_epoch_saved")
def test_an_interrupted_trial_with_embeddings_and_weights_gives_the_same_result(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lab, "data", lab.embedded())
    recipe = lab.recipe(epochs=4, class_weight="balanced")
    whole = lab.run(recipe)
    assert weights_of(whole)[0].shape == (5, 3)  # of the embedding
    with pytest.raises(Crash):
        lab.run(recipe, tmp_path, crash_after(3))
    lab.run(recipe, tmp_path)
    assert_same(whole, tmp_path)
    unweighted = lab.run(lab.recipe(epochs=4))  # on a separate program
    assert not np.array_equal(weights_of(unweighted)[-1], weights_of(whole)[-1])


@pytest.mark.parametrize("stopping", [None, {"patience": 50}])
def test_a_longer_budget_continues_a_shorter_one(lab: Lab, stopping: dict[str, Any] | None) -> None:
    short = lab.recipe(epochs=3, early_stopping=stopping)
    folder = lab.run(short)
    seen: list[int] = []
    longer = lab.recipe(epochs=7, early_stopping=stopping)
    lab.run(longer, folder, lambda number, logs: seen.append(number))
    assert seen == [4, 5, 6, 7]
    assert_same(lab.run(longer), folder)


def test_a_shorter_budget_starts_again(lab: Lab) -> None:
    folder = lab.run(lab.recipe(epochs=6))
    short = lab.recipe(epochs=2)
    lab.run(short, folder)
    assert_same(lab.run(short), folder)


def test_a_diverging_trial_fails_with_a_reason_and_leaves_no_weights(lab: Lab) -> None:
    rate = {"SGD": {"learning_rate": 1e30}}
    folder = lab.run(lab.recipe(optimizer=rate, early_stopping={"patience": 3}))
    result = result_of(folder)
    assert (result.status, result.scores) == ("failed", {})
    assert result.error.startswith(f"diverged in epoch {result.epochs + 1}: ")
    assert result.error.endswith(" is not a finite number")
    assert "loss" in result.error
    assert not (folder / "weights.npz").exists()


def test_each_epoch_is_reported_with_its_logs(lab: Lab) -> None:
    told: list[tuple[int, Mapping[str, float]]] = []
    folder = lab.run(lab.recipe(epochs=3), note=lambda number, logs: told.append((number, logs)))
    assert [number for number, _ in told] == [1, 2, 3]
    history = result_of(folder).history
    assert set(history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert [logs["val_loss"] for _, logs in told] == history["val_loss"]


def test_an_empty_folder_has_no_result(tmp_path: Path) -> None:
    assert read_result(tmp_path) is None


FINISHED = TrialResult("k", "finished", 8, 10, False, 7, {}, {}, 1, 0.0, 0.0)


@given(st.integers(1, 20), st.integers(1, 20), st.booleans(), st.booleans())
def test_a_result_satisfies_every_budget_with_the_same_last_epoch(
    epochs: int, asked: int, stopped: bool, finished: bool
) -> None:
    budget = epochs + 2 if stopped else epochs
    status = "finished" if finished else "failed"
    result = replace(FINISHED, status=status, epochs=epochs, budget=budget, stopped_early=stopped)
    ends = min(asked, epochs) if stopped else asked  # last epoch of a run with the requested budget
    assert result.satisfies(asked) == (finished and ends == epochs)


def test_run_trial_returns_the_result_it_wrote(lab: Lab, tmp_path: Path) -> None:
    recipe = lab.recipe(epochs=1)
    program = lab.bench.programs.program(recipe, lab.data, lab.project.experiments)
    result = run_trial("k" * 32, recipe, program, tmp_path, lambda number, logs: None)
    assert result == read_result(tmp_path)
    assert result.weights == program.model.count_params()
