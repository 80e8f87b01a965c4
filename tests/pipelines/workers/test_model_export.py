"""Feature maps of the first layers, as the evaluation stores them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from gristmill.pipelines.workers.model_export import write_maps

RNG = np.random.default_rng(0)


def network(**shape: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 6, 1)),
            layers.RandomFlip(),
            layers.Conv2D(20, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(3, 3, **shape),
            layers.AveragePooling2D(1),
            layers.Flatten(),
            layers.Dense(2),
        ]
    )


def test_the_maps_are_the_outputs_of_the_first_three_layers(tmp_path: Path) -> None:
    model = network()
    picture = RNG.random((1, 8, 6, 1), dtype=np.float32)
    assert write_maps(tmp_path / "maps.npz", model, picture)
    with np.load(tmp_path / "maps.npz", allow_pickle=False) as saved:
        made = {name: saved[name] for name in saved.files}
    assert [*made] == [
        "the picture, as input of the network",
        "1: Conv2D, 8 × 6, 16 of 20 maps",
        "2: MaxPooling2D, 4 × 3, 16 of 20 maps",
        "3: Conv2D, 2 × 1, 3 maps",
    ]
    shown, first, second, third = made.values()
    np.testing.assert_array_equal(shown, picture[0])
    expected = np.asarray(model.layers[1](picture))[0]
    np.testing.assert_allclose(first, expected[..., :16], atol=1e-3)
    assert (second.shape, third.shape) == ((4, 3, 16), (2, 1, 3))


def test_channels_are_last_whatever_the_data_format_of_the_layers(tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((3, 8, 6)), keras.layers.MaxPooling2D(1, data_format="channels_first")]
    )
    picture = RNG.random((1, 3, 8, 6), dtype=np.float32)
    assert write_maps(tmp_path / "maps.npz", model, picture)
    with np.load(tmp_path / "maps.npz", allow_pickle=False) as saved:
        shown, maps = (saved[name] for name in saved.files)
    np.testing.assert_array_equal(shown, np.moveaxis(picture[0], 0, -1))
    np.testing.assert_allclose(maps, shown, atol=1e-3)


class Own(keras.Model):  # type: ignore[misc]
    """A subclassed model, which has no graph of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = keras.layers.Conv2D(2, 3)

    def call(self, x: Any) -> Any:
        return self.first(x)


@pytest.mark.parametrize("kind", ["dense", "own"])
def test_a_network_without_a_graph_of_such_layers_has_no_maps(kind: str, tmp_path: Path) -> None:
    dense = keras.Sequential([keras.Input((8, 6, 1)), keras.layers.Flatten()])
    model = Own() if kind == "own" else dense
    picture = RNG.random((1, 8, 6, 1), dtype=np.float32)
    model(picture)
    assert not write_maps(tmp_path / "maps.npz", model, picture)
    assert not (tmp_path / "maps.npz").exists()
