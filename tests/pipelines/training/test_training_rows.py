"""Rows that do not fit into memory are streamed with the same results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import make_data, make_project, write_experiment

from gristmill.pipelines.training.loop import row_order
from gristmill.pipelines.training.training_rows import EpochRows, open_array
from gristmill.pipelines.training.trial import read_result
from gristmill.pipelines.workers.bench import Bench
from gristmill.pipelines.workers.messages import Train


def visited(rows: EpochRows, batch: int, order: Any = None) -> tuple[list[Any], list[int]]:
    """Return the features in the order of the visits, and the number of rows in each chunk."""
    seen, sizes = [], []
    for places, (x, y) in rows.chunks(batch, order):
        here = np.asarray(places)
        seen += [*np.asarray(x)[here]]
        np.testing.assert_array_equal(np.asarray(x)[here][:, 0], np.asarray(y)[here])
        sizes.append(len(here))
    return seen, sizes


@given(
    st.integers(1, 60), st.integers(1, 9), st.integers(1, 3000), st.integers(0, 99), st.booleans()
)
def test_streamed_chunks_are_whole_batches_of_the_same_rows_in_the_same_order(
    count: int, batch: int, limit: int, seed: int, shuffled: bool
) -> None:
    x = np.arange(count * 3, dtype=np.float32).reshape(count, 3)
    y = x[:, 0].copy()
    order = row_order(seed, 0, count) if shuffled else None
    in_memory, sizes = visited(EpochRows((x, y)), batch, order)
    assert sizes == [count]
    fixed = x.copy()
    fixed.flags.writeable = False
    rows = EpochRows((fixed, y))
    assert rows.streamed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gristmill.pipelines.training.training_rows.CHUNK", limit)
        streamed, sizes = visited(rows, batch, order)
    np.testing.assert_array_equal(streamed, in_memory)
    assert all(size % batch == 0 for size in sizes[:-1])
    assert max(sizes) <= max(batch, limit // x[0].nbytes)


def test_a_trial_on_streamed_rows_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "project")
    training = {"epochs": 2, "class_weight": "balanced"}
    experiment = write_experiment(project, training=training)
    data = make_data(project, experiment) / "training"
    recipe = experiment.recipe(experiment.document.parameters)

    def train(name: str) -> Any:
        folder = tmp_path / name
        request = Train("k", recipe, data, folder, project.experiments)
        Bench().train(request, lambda number, logs: None)
        with np.load(folder / "weights.npz") as saved:
            weights = [saved[each] for each in saved.files]
        result = read_result(folder)
        assert result is not None
        return weights, result.history

    in_memory, history = train("memory")
    monkeypatch.setattr("gristmill.pipelines.training.training_rows.MEMORY_SHARE", 0.0)
    monkeypatch.setattr("gristmill.pipelines.training.training_rows.CHUNK", 900)
    monkeypatch.setattr("gristmill.pipelines.training.training_rows.TOGETHER", 7)
    chunks = []
    read = EpochRows.chunks

    def counted(self: EpochRows, *arguments: Any) -> Any:
        for chunk in read(self, *arguments):
            chunks.append(chunk)
            yield chunk

    monkeypatch.setattr(EpochRows, "chunks", counted)
    streamed, told = train("streamed")
    assert len(chunks) > 8
    for one, other in zip(in_memory, streamed, strict=True):
        np.testing.assert_array_equal(one, other)
    assert told["loss"] == history["loss"]
    assert told["val_loss"] == pytest.approx(history["val_loss"], rel=1e-6)


def test_a_file_is_neither_copied_nor_changed(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones((64, 3, 2**16), np.float32))  # 48 MiB
    np.save(tmp_path / "y.npy", np.ones(64, np.float32))
    x, y = (open_array(tmp_path / f"{name}.npy") for name in "xy")
    process = psutil.Process()
    list(EpochRows((x[:1], y[:1])).chunks(8))  # memory that TensorFlow allocates at the start
    before = process.memory_info().rss
    rows = EpochRows((x, y))
    (_, (tensor, _)) = next(iter(rows.chunks(8)))
    assert process.memory_info().rss - before < 16 * 2**20
    x[0, 0, 0] = 7  # only in this process
    assert float(tensor[0, 0, 0]) == 7
    assert np.load(tmp_path / "x.npy", mmap_mode="r")[0, 0, 0] == 1
