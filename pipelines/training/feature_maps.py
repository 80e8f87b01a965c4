"""What the first layers of a network make of a picture. For workers: TensorFlow is imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from gristmill.pipelines.base import writing
from gristmill.pipelines.training.training_rows import Array

LAYERS = 3
"""Layers, from the first on, whose maps are kept."""

CHANNELS = 16
"""Maps of each that are kept."""

KINDS = ("Conv", "Pool")
"""What the names of layers say that make maps of maps."""


def write_maps(file: Path, model: keras.Model, picture: npt.NDArray[np.float32]) -> bool:
    """Writes the maps of the first convolutions and poolings for one picture, as `.npz`.

    The first array is the picture as the model takes it, (height, width, channels) float32; the
    others, each under the words that tell its layer, are (height, width, at most 16) float16.

    Args:
        file: to write.
        model: built; one whose layers do not follow from its input as a graph has no maps.
        picture: (1, …) scaled.

    Returns:
        Whether there are such layers.
    """
    layers = [layer for layer in getattr(model, "layers", ()) if _makes_maps(layer)][:LAYERS]
    if not layers or not getattr(model, "inputs", None):
        return False
    outputs = {str(place): layer.output for place, layer in enumerate(layers)}
    shown = keras.Model(model.inputs, outputs)([picture], training=False)
    first = layers[0].data_format == "channels_first"
    arrays: dict[str, Any] = {"the picture, as the network takes it": _last(picture, first)}
    for place, layer in enumerate(layers):
        maps = np.asarray(shown[str(place)], np.float32)
        whole = _last(maps, layer.data_format == "channels_first")
        height, width, count = whole.shape
        of = f", {CHANNELS} of {count} maps" if count > CHANNELS else f", {count} maps"
        name = f"{place + 1}: {type(layer).__name__}, {height} × {width}{of}"
        arrays[name] = whole[..., :CHANNELS].astype(np.float16)
    with writing(file) as aside, aside.open("wb") as out:
        np.savez_compressed(out, **arrays)
    return True


def _makes_maps(layer: keras.Layer) -> bool:
    name = type(layer).__name__
    kind = any(word in name for word in KINDS) and hasattr(layer, "data_format")
    return kind and len(getattr(getattr(layer, "output", None), "shape", ())) == 4


def _last(maps: Array, first: bool) -> Array:
    """One picture's maps with the channels last."""
    one = np.asarray(maps)[0]
    return np.moveaxis(one, 0, -1) if first else one
