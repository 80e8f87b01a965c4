"""The cache of a worker between trials: arrays, and one traced program per architecture."""

from __future__ import annotations

import gc
import json
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from gristmill.pipelines.base import read_json
from gristmill.pipelines.config import Recipe
from gristmill.pipelines.training.class_weight import class_weights
from gristmill.pipelines.training.keras_model import DataTraits, build_model, in_steps, targets
from gristmill.pipelines.training.loop import FitProgram, Program, make_program
from gristmill.pipelines.training.training_rows import Parts, open_array, scaling_of, value_range

KEPT = 4
"""Traced programs that a worker keeps for later trials of the same architecture."""

KEPT_VALUES = 1 << 26
"""Values of weights and optimizers in kept programs, 256 MiB; above it all of them are dropped
before another one is built."""


def use_threads(threads: int) -> None:
    """Set the number of threads of this process; call it before any other use of TensorFlow."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)  # small operations in parallel
    for gpu in tf.config.list_physical_devices("GPU"):  # shared with other workers
        tf.config.experimental.set_memory_growth(gpu, True)


class Programs:
    """Models and programs for recipes; the arrays of a folder are opened once."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Program] = OrderedDict()
        self._arrays: dict[Path, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def program(self, recipe: Recipe, data: Path, modules: Path) -> Program | FitProgram:
        """Return a program with the fresh weights of a trial.

        Args:
            recipe: resolved settings of the trial.
            data: folder of its arrays and `statistics.json`.
            modules: folder of a builder's module.
        """
        arrays, twin = self._data(data), self.model(recipe, data, modules)
        training, validation = (
            (arrays[f"x_{role}"], targets(arrays[f"y_{role}"], twin, recipe.task))
            for role in ("training", "validation")
        )
        classes = arrays["statistics"]["classes"] or ()
        weights = class_weights(recipe, classes, arrays["y_training"])
        weighted = training if weights is None else (*training, weights)
        scaling = self.scaling(data)
        name = architecture(recipe, self._facts(recipe, data))
        kept = self._kept.get(name)
        if kept is not None:
            self._kept.move_to_end(name)
            kept.feed(weighted, validation, scaling)
            kept.reset(twin)
            return kept
        self._make_room()
        again = partial(self.model, recipe, data, modules)
        program = make_program(twin, again, weighted, validation, scaling)
        if isinstance(program, Program) and program.reusable:
            self._kept[name] = program
        return program

    def _make_room(self) -> None:
        """Drop the least recently used programs before another one is built."""
        large = sum(program.size for program in self._kept.values()) > KEPT_VALUES
        while self._kept and (large or len(self._kept) >= KEPT):
            self._kept.popitem(last=False)
        if large:
            gc.collect()  # a traced graph refers to itself

    def model(self, recipe: Recipe, data: Path, modules: Path) -> keras.Model:
        """Return a compiled model with fresh weights.

        Args:
            recipe: resolved settings of the trial.
            data: folder of its arrays and `statistics.json`.
            modules: folder of a builder's module.
        """
        return build_model(recipe, self._facts(recipe, data), modules)

    def scaling(self, data: Path) -> Parts:
        """Return offset and factor of the pixels in a folder's arrays; see `scaling_of`."""
        return scaling_of(self._data(data)["statistics"])

    def _facts(self, recipe: Recipe, data: Path) -> DataTraits:
        found = self._data(data)
        statistics, x = found["statistics"], found["x_training"]
        return DataTraits(
            shape=tuple(x.shape[1:]),
            outputs=len(statistics["classes"] or [0]),
            embedded=statistics["embedded"],
            steps=-(-len(x) // recipe.training.batch_size),
            value_range=value_range(statistics),
        )

    def _data(self, folder: Path) -> dict[str, Any]:
        if folder not in self._arrays:
            found = {file.stem: open_array(file) for file in folder.glob("*.npy")}
            self._arrays[folder] = found | {"statistics": read_json(folder / "statistics.json")}
        return self._arrays[folder]


def architecture(recipe: Recipe, data: DataTraits) -> str:
    """Return a text that is equal for trials that can share a traced program.

    Left out are: the learning rate, a variable of the optimizer unless it is a schedule; the batch
    size, rows and row weights, inputs of the graph; early stopping, seed and epochs, which are
    outside of the graph.
    """
    training = recipe.training
    optimizer = {
        name: {k: v for k, v in arguments.items() if k != "learning_rate" or isinstance(v, dict)}
        for name, arguments in in_steps(training.optimizer, data.steps).items()
    }
    parts = [
        recipe.model.model_dump(),
        optimizer,
        training.loss,
        training.precision,
        training.class_weight is not None,
        recipe.fit_metrics,
        [data.shape, data.outputs, data.embedded, data.value_range],
    ]
    return json.dumps(parts, sort_keys=True)
