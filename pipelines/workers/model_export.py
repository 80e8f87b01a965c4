"""Write a trained model as a file, its predictions for an array, and its feature maps."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.base import read_json, writing

if TYPE_CHECKING:
    import keras

    from gristmill.pipelines.training import Programs
    from gristmill.pipelines.workers.messages import Export

Array = npt.NDArray[Any]

LAYERS = 3
"""Number of layers, from the first on, whose maps are kept."""

CHANNELS = 16
"""Largest number of maps kept per layer."""

KINDS = ("Conv", "Pool")
"""Parts of the names of layers with feature maps."""


def export_network(request: Export, programs: Programs) -> None:
    """Write a Keras model and, if requested, its outputs and feature maps."""
    import tensorflow as tf

    from gristmill.pipelines.training import set_weights

    model = programs.model(request.recipe, request.data, request.modules)
    set_weights(model, request.weights)
    with writing(request.model) as aside:
        whole = aside.with_suffix(".keras")
        model.save(whole)
        whole.replace(aside)
    if request.rows is None or request.outputs is None:
        return
    rows = np.load(request.rows, mmap_mode="r")
    scaling = programs.scaling(request.data)
    _write_outputs(request, predict(tf.function(model, autograph=False), rows, scaling))
    if request.maps is not None and len(rows):
        picture = np.asarray(rows[:1], dtype=np.float32)
        if scaling:
            picture = (picture - scaling[0]) * scaling[1]
        write_maps(request.maps, model, picture)


def export_arrays(request: Export, threads: int) -> None:
    """Write the arrays of an estimator and, if requested, its outputs."""
    from threadpoolctl import threadpool_limits

    from gristmill.pipelines.preparation import scaled
    from gristmill.pipelines.training import predictor

    with writing(request.model) as aside:
        shutil.copyfile(request.weights, aside)
    if request.rows is None:
        return
    statistics = read_json(request.data / "statistics.json")
    with threadpool_limits(limits=threads):
        model, rows = predictor.load(request.model), np.load(request.rows, mmap_mode="r")
        outputs = predictor.predict(model, scaled(rows, statistics))
    _write_outputs(request, outputs)


def _write_outputs(request: Export, outputs: Array) -> None:
    if request.outputs is not None:
        with writing(request.outputs) as aside, aside.open("wb") as file:
            np.save(file, outputs)


def predict(call: Callable[..., Any], rows: Array, scaling: tuple[Array, ...] = ()) -> Array:
    """Return the outputs for all rows, (n_rows, n_outputs) float32, in batches of one shape.

    The last batch is padded, because a batch of another size can differ in the last bit.

    Args:
        call: the model.
        rows: (n_rows, …) as stored.
        scaling: offset and factor of pixels; see `scaling_of`.
    """
    from gristmill.pipelines.training import ready, rows_together

    made = []
    batch = rows_together(rows.shape[1:])
    for start in range(0, len(rows), batch):
        part = rows[start : start + batch]
        filled = np.zeros((batch, *part.shape[1:]), part.dtype)
        filled[: len(part)] = part
        made.append(np.asarray(call(*ready([filled], scaling), training=False))[: len(part)])
    return np.concatenate(made)


def write_maps(file: Path, model: keras.Model, picture: npt.NDArray[np.float32]) -> bool:
    """Write the maps of the first convolutions and poolings for one picture, as `.npz`.

    The first array is the picture as input of the model, (height, width, channels) float32. The
    others, each named after its layer, are (height, width, at most 16) float16.

    Args:
        file: file to write.
        model: built; a subclassed model, whose layers are not a graph, has no maps.
        picture: (1, …) scaled.

    Returns:
        Whether there are maps; if not, nothing is written.
    """
    layers = [layer for layer in getattr(model, "layers", ()) if _makes_maps(layer)][:LAYERS]
    if not layers or not getattr(model, "inputs", None):
        return False
    import keras

    outputs = {str(place): layer.output for place, layer in enumerate(layers)}
    shown = keras.Model(model.inputs, outputs)([picture], training=False)
    first = layers[0].data_format == "channels_first"
    arrays: dict[str, Any] = {"the picture, as input of the network": _last(picture, first)}
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
    """Return one picture's maps with the channels last."""
    one = np.asarray(maps)[0]
    return np.moveaxis(one, 0, -1) if first else one
