"""Epochs: their order, their validation, and the files they leave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import make_data, make_project, write_experiment

from gristmill.pipelines.config.experiment import Recipe
from gristmill.pipelines.training.keras_model import DataTraits, build_model
from gristmill.pipelines.training.loop import FitProgram, Program, row_order
from gristmill.pipelines.workers.bench import Bench
from gristmill.pipelines.workers.messages import Export, Train

ROWS, COLUMNS, BATCH = 90, 5, 16

VALUES = {"target": "weight", "task": "regression"}


def rows(outputs: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    if outputs == 1:
        return x, x.sum(axis=1)
    return x, rng.integers(0, outputs, ROWS).astype(np.int32)


def build(recipe: Recipe, outputs: int) -> Any:
    return build_model(recipe, DataTraits((COLUMNS,), outputs), Path())


def test_validation_in_parts_gives_the_mean_over_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gristmill.pipelines.training.training_rows.TOGETHER", 32)
    experiment = write_experiment(make_project(tmp_path / "project"), data=VALUES)
    recipe = experiment.recipe(experiment.document.parameters)
    x, y = rows(1)
    model = build(recipe, 1)
    program = Program(model, (x[:10], y[:10, None]), (x, y[:, None]))
    logs = program.epoch(0, 0, 10)
    wrong = model.predict(x, verbose=0)[:, 0] - y
    assert logs["val_loss"] == pytest.approx((wrong**2).mean(), rel=1e-5)
    assert logs["val_mean_absolute_error"] == pytest.approx(np.abs(wrong).mean(), rel=1e-5)


@given(st.integers(0, 2**31 - 1), st.integers(0, 1000), st.integers(1, 200))
def test_an_epoch_visits_every_row_once_in_an_order_set_by_seed_and_epoch(
    seed: int, epoch: int, rows: int
) -> None:
    order = row_order(seed, epoch, rows)
    assert sorted(order) == list(range(rows))
    np.testing.assert_array_equal(order, row_order(seed, epoch, rows))


def test_orders_differ_by_epoch_and_by_seed() -> None:
    orders = {tuple(row_order(seed, epoch, 50)) for seed in range(4) for epoch in range(4)}
    assert len(orders) == 16


def test_no_generated_code_is_left_in_the_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    project = make_project(tmp_path / "project")
    experiment = write_experiment(project)
    recipe = experiment.recipe(experiment.document.parameters)
    data, folder = make_data(project, experiment) / "training", tmp_path / "trial"
    bench = Bench()
    bench.train(Train("k", recipe, data, folder, project.experiments), lambda number, logs: None)
    weights, model, outputs = (folder / name for name in ("weights.npz", "m.keras", "o.npy"))
    rows = data / "x_validation.npy"
    bench.export(Export(recipe, data, weights, model, project.experiments, rows, outputs))
    program = FitProgram(build(recipe, 3), rows_of(3, 0, 20), rows_of(3, 20, 30), (), "asked for")
    program.epoch(0, 0, BATCH)
    assert not list(tmp_path.glob("__autograph_generated_file*"))


def rows_of(outputs: int, start: int, end: int) -> tuple[Any, Any]:
    x, y = rows(outputs)
    return x[start:end], y[start:end]
