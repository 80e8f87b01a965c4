"""Pictures of a run."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.evaluation import Predictions
from pipelines.evaluation.gallery import chosen_rows, gallery
from pipelines.evaluation.plots import confusion_matrix, learning_curves, residuals

RNG = np.random.default_rng(0)


def of_classes(k: int) -> Predictions:
    rng = np.random.default_rng(0)
    names = tuple(f"class {i}" for i in range(k))
    return Predictions(np.arange(99), rng.integers(0, k, 99), rng.dirichlet(np.ones(k), 99), names)


def assert_picture(file: Path) -> None:
    picture = matplotlib.image.imread(file)
    assert file.read_bytes().startswith(b"\x89PNG")
    assert picture.shape[0] > 200
    assert picture.shape[1] > 200
    assert picture.std() > 0.02  # there is something on it


@pytest.mark.parametrize("k", [2, 3, 12, 30])
def test_a_confusion_matrix_is_a_picture(k: int, tmp_path: Path) -> None:
    confusion_matrix(tmp_path / "c.png", of_classes(k))
    assert_picture(tmp_path / "c.png")


def test_residuals_are_a_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    residuals(tmp_path / "r.png", Predictions(np.arange(50), *rng.normal(size=(2, 50)), None), "kg")
    assert_picture(tmp_path / "r.png")


@pytest.mark.parametrize("objective", ["val_loss", "val_accuracy", "accuracy"])
@pytest.mark.parametrize("trials", [1, 9])
def test_learning_curves_are_a_picture(objective: str, trials: int, tmp_path: Path) -> None:
    history = {name: [1.0, 0.5, 0.25] for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
    learning_curves(tmp_path / "l.png", {f"units={i}": history for i in range(trials)}, objective)
    assert_picture(tmp_path / "l.png")


def test_equal_runs_give_equal_pictures(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        confusion_matrix(tmp_path / name, of_classes(3))
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_names_in_other_scripts_are_drawn_without_a_warning(tmp_path: Path) -> None:
    predictions = Predictions(
        np.arange(4), np.arange(4) % 2, np.eye(2)[[0, 1, 1, 0]], ("해지", "ꦗ")
    )
    confusion_matrix(tmp_path / "c.png", predictions)
    assert_picture(tmp_path / "c.png")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("classes", [("a", "b"), None])
def test_a_gallery_shows_the_surest_mistakes_first(
    channels: int, classes: tuple[str, ...] | None, tmp_path: Path
) -> None:
    truth = np.zeros(90)
    outputs = np.tile([0.9, 0.1], (90, 1))
    outputs[[5, 70]] = [0.4, 0.6], [0.1, 0.9]
    if classes is None:
        outputs = outputs[:, 1]
    predictions = Predictions(np.arange(90), truth.astype(int), outputs, classes)
    assert chosen_rows(predictions)[:2] == [70, 5]
    assert len({*chosen_rows(predictions)}) == 32
    pixels = [RNG.bytes(6 * channels) for _ in range(90)]
    pq.write_table(pa.table({"p": pa.array(pixels, pa.binary(6 * channels))}), tmp_path / "rows")
    form = {"name": "p", "height": 2, "width": 3, "channels": channels}
    gallery(tmp_path / "g.png", tmp_path / "rows", predictions, form)
    assert_picture(tmp_path / "g.png")
