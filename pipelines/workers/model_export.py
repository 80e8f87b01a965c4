"""A trained model as a file, and what it answers for the rows of an array."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.base import writing

if TYPE_CHECKING:
    from gristmill.pipelines.training import Programs
    from gristmill.pipelines.workers.messages import Export

Array = npt.NDArray[Any]


def export_network(request: Export, programs: Programs) -> None:
    """Write a Keras model, its outputs and its feature maps, as far as they are asked for."""
    import tensorflow as tf

    from gristmill.pipelines.training import set_weights, write_maps

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
    """Write the arrays of an estimator, and its outputs if they are asked for."""
    from threadpoolctl import threadpool_limits

    from gristmill.pipelines.preparation import scaled
    from gristmill.pipelines.training import predictor

    with writing(request.model) as aside:
        shutil.copyfile(request.weights, aside)
    if request.rows is None:
        return
    statistics = json.loads((request.data / "statistics.json").read_text(encoding="utf-8"))
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

    The last batch is filled up, for a batch of another size may differ in the last bit.

    Args:
        call: the model.
        rows: as they are stored.
        scaling: of pixels; see `scaling_of`.
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
