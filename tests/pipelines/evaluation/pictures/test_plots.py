"""Plots of a run."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from gristmill.pipelines.evaluation.pictures.galleries import (
    COLUMNS,
    ROWS,
    chosen_rows,
    gallery,
    table_gallery,
)
from gristmill.pipelines.evaluation.pictures.plots import (
    confusion_matrix,
    feature_maps,
    learning_curves,
    residuals,
    shortened,
)
from gristmill.pipelines.evaluation.predictions import Predictions

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
    assert picture.std() > 0.02  # the picture is not blank


@pytest.mark.parametrize("k", [2, 3, 12, 100])
def test_a_confusion_matrix_is_a_picture(k: int, tmp_path: Path) -> None:
    confusion_matrix(tmp_path / "c.png", of_classes(k))
    assert_picture(tmp_path / "c.png")


def test_a_class_without_test_rows_and_a_perfect_model_of_many_classes_are_drawn(
    tmp_path: Path,
) -> None:
    truth = np.arange(1, 30)
    names = tuple(f"a rather long name of the class {i} of these" for i in range(30))
    perfect = Predictions(truth, truth, np.eye(30)[truth], names)
    confusion_matrix(tmp_path / "c.png", perfect)
    assert_picture(tmp_path / "c.png")


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    assert shortened("short", 8) == "short"
    made = shortened("mnist_as_a_table_with_softmax@12", 16)
    assert (len(made), made) == (16, "mnist_as_a…ax@12")


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
def test_a_gallery_shows_the_most_confident_mistakes_first(
    channels: int, classes: tuple[str, ...] | None, tmp_path: Path
) -> None:
    truth = np.zeros(90)
    outputs = np.tile([0.9, 0.1], (90, 1))
    outputs[[5, 70]] = [0.4, 0.6], [0.1, 0.9]
    if classes is None:
        outputs = outputs[:, 1]
    predictions = Predictions(np.arange(90), truth.astype(int), outputs, classes)
    assert chosen_rows(predictions)[:2] == [70, 5]
    assert len({*chosen_rows(predictions)}) == COLUMNS * ROWS
    pixels = [RNG.bytes(6 * channels) for _ in range(90)]
    pq.write_table(pa.table({"p": pa.array(pixels, pa.binary(6 * channels))}), tmp_path / "rows")
    form = {"name": "p", "height": 2, "width": 3, "channels": channels}
    gallery(tmp_path / "g.png", tmp_path / "rows", predictions, form)
    assert_picture(tmp_path / "g.png")


@pytest.mark.parametrize("classes", [("a", "b"), None])
def test_a_gallery_of_a_table_shows_the_most_confident_mistakes_first_and_whole_rows_as_csv(
    classes: tuple[str, ...] | None, tmp_path: Path
) -> None:
    outputs = np.tile([0.9, 0.1], (50, 1))
    outputs[[5, 30]] = [0.4, 0.6], [0.1, 0.9]
    outputs = outputs if classes else outputs[:, 1]
    predictions = Predictions(np.arange(50), np.zeros(50, dtype=int), outputs, classes)
    frame = pd.DataFrame({f"column {i}": np.arange(50) + i for i in range(40)})
    frame["row"], frame["city"] = "taken", "서울의\n긴 이름"
    frame.assign(y="a").to_parquet(tmp_path / "rows.parquet")
    table_gallery(tmp_path / "g.png", tmp_path / "rows.parquet", predictions, "y")
    assert_picture(tmp_path / "g.png")
    made = pd.read_csv(tmp_path / "g.csv")
    assert made["row"].tolist() == chosen_rows(predictions)
    assert made["row"][:2].tolist() == [30, 5]
    assert made["column 39"].tolist() == [39 + row for row in made["row"]]
    assert "y" not in made
    assert made["answer"][0] == ("b (90%)" if classes else 0.9)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_feature_maps_are_a_picture(channels: int, tmp_path: Path) -> None:
    arrays = {
        "picture": RNG.random((9, 7, channels), dtype=np.float32),
        "1: Conv2D": RNG.random((9, 7, 16), dtype=np.float32).astype(np.float16),
        "2: Conv2D": np.zeros((2, 3, 5), dtype=np.float16),  # of a filter with no response
    }
    np.savez(tmp_path / "maps.npz", **arrays)  # type: ignore[arg-type]
    feature_maps(tmp_path / "f.png", tmp_path / "maps.npz")
    assert_picture(tmp_path / "f.png")
