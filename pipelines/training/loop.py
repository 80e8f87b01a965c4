"""A whole epoch as one graph: Keras's own training step in a loop inside the graph.

The loop gathers whole batches by a shuffled index, so that an epoch runs without Python. The
program is traced once for an architecture and reused by all its trials: weights, optimizer and
the state of dropout are reset from a freshly seeded twin; batch size, learning rate and the rows
are inputs. A trial's result therefore does not depend on which trial ran before it.

A model that cannot run in such a graph is trained by Keras's `fit`, on the same batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from gristmill.pipelines.base import first_line
from gristmill.pipelines.training.training_rows import (
    Array,
    EpochRows,
    Parts,
    Tensor,
    ready,
    rows_together,
)

Traced: TypeAlias = tf.types.experimental.ConcreteFunction
Metrics = Mapping[str, Any]
Told = tuple[Metrics, Metrics]
"""Keras's metrics, and the logs of the last custom `train_step` or `test_step`."""

FUSED = "fused"
"""Value of `loop` for a program with one graph per epoch."""

DRIVEN = ("fit", "evaluate", "make_train_function", "make_test_function")
"""Methods that a model overrides if it has its own training loop."""

UNSEEDED = {
    *("EagerPyFunc", "Multinomial", "ParameterizedTruncatedNormal", "PyFunc", "PyFuncStateless"),
    *("RandomGamma", "RandomPoissonV2", "RandomShuffle", "RandomStandardNormal", "RandomUniform"),
    *("RandomUniformInt", "TruncatedNormal"),
}
"""Operations with internal state, which can be neither saved nor reset."""


class Trained:
    """A compiled model with fresh weights, about to be trained.

    Attributes:
        model: the compiled model.
        variables: the state that the next epoch depends on, besides its number.
    """

    def __init__(self, model: keras.Model) -> None:
        self.model = model
        model.optimizer.build(model.trainable_variables)
        self.variables = [*model.variables, *model.optimizer.variables]

    def finish(self) -> None:
        """Do what Keras does after the last epoch: use averaged weights if there are any."""
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)


class Program(Trained):
    """The traced epochs of one architecture.

    Args:
        model: compiled; its variables are trained in place.
        training: features (n, …) float32 or uint8, targets and optionally weights in the loss of
            the training rows.
        validation: features and targets of the validation rows; possibly no rows.
        scaling: offset and factor of stored pixels from `scaling_of`, applied to each batch; () for
            features that are scaled already.

    Attributes:
        loop: `fused`.
        reusable: whether `reset` restores the whole initial state.
        resumable: whether restoring `variables` restores the whole state.
    """

    loop = FUSED

    def __init__(
        self, model: keras.Model, training: Parts, validation: Parts, scaling: Parts = ()
    ) -> None:
        super().__init__(model)
        self.feed(training, validation, scaling)
        self._together = rows_together(training[0].shape[1:])
        self._own_steps = [
            getattr(type(model), step) is not getattr(keras.Model, step)
            for step in ("train_step", "test_step")
        ]
        fresh = [variable.numpy() for variable in model.variables]
        # losses and metrics create their variables on first use, which must be outside of the graph
        model.test_step(ready(tuple(tf.constant(part[:1]) for part in training), scaling))
        model.reset_metrics()
        _assign(model.variables, fresh)
        del fresh  # frees memory of large models before the graphs are built
        rows, one = tf.TensorSpec((None,), tf.int32), tf.TensorSpec((), tf.int32)
        scales = _specs(scaling)
        self._fit = _traced(self._fit_epoch, rows, one, _specs(training), scales)
        self._check = _traced(self._check_epoch, _specs(validation), scales)
        strays = self._strays()
        self.resumable = not UNSEEDED & _operations(self._fit)
        self.reusable = self.resumable and not strays
        self.variables += strays

    @property
    def validates(self) -> bool:
        """Whether there are validation rows."""
        return len(self._validation) > 0

    @property
    def size(self) -> int:
        """Number of values in its variables."""
        return sum(math.prod(variable.shape) for variable in self.variables)

    def feed(self, training: Parts, validation: Parts, scaling: Parts = ()) -> None:
        """Use other rows of the same shapes and dtypes; the arguments are those of the class."""
        self._training, self._validation = EpochRows(training), EpochRows(validation)
        self._scaling = tuple(map(tf.constant, scaling))

    def reset(self, twin: keras.Model) -> None:
        """Copy all variables of a freshly built twin, including the optimizer's."""
        twin.optimizer.build(twin.trainable_variables)
        _assign(self.variables, [*twin.variables, *twin.optimizer.variables])

    def epoch(self, seed: int, number: int, batch_size: int) -> dict[str, float]:
        """Train one epoch and validate.

        Args:
            seed: seed of the trial.
            number: number of the epoch, from 0; with the seed it determines the order of the rows.
            batch_size: rows per step.

        Returns:
            Keras's logs: `loss`, metrics, and the same with `val_` if there are validation rows. A
            metric with a value per class is averaged over the classes.
        """
        order = row_order(seed, number, len(self._training))
        steps = tf.constant(batch_size, dtype=tf.int32)
        logs: dict[str, float] = {}
        self.model.reset_metrics()
        for places, parts in self._training.chunks(batch_size, order):
            told = self._fit(places, steps, parts, self._scaling)
        logs |= self._logs(told)
        if self.validates:
            self.model.reset_metrics()
            for _, parts in self._validation.chunks(self._together):
                told = self._check(parts, self._scaling)
            logs |= {f"val_{name}": value for name, value in self._logs(told).items()}
        return logs

    def _fit_epoch(self, order: Tensor, batch_size: Tensor, parts: Parts, scaling: Parts) -> Told:
        def step(start: Tensor) -> Metrics:
            rows = order[start : start + batch_size]
            batch = tuple(tf.gather(part, rows) for part in parts)
            logs: Metrics = self.model.train_step(ready(batch, scaling))
            return logs

        return self._loop(step, tf.shape(order)[0], batch_size, own=self._own_steps[0])

    def _check_epoch(self, parts: Parts, scaling: Parts) -> Told:
        def step(start: Tensor) -> Metrics:
            batch = tuple(part[start : start + self._together] for part in parts)
            logs: Metrics = self.model.test_step(ready(batch, scaling))
            return logs

        rows = tf.shape(parts[0])[0]
        return self._loop(step, rows, tf.constant(self._together), own=self._own_steps[1])

    def _loop(
        self, step: Callable[[Tensor], Metrics], rows: Tensor, batch: Tensor, own: bool
    ) -> Told:
        """Run `step` on each batch; return the metrics, and the last logs of a custom step."""
        told: Metrics = {}
        if own:  # traced before the loop, which must know the shapes of the step's logs
            traced = _traced(step, tf.TensorSpec((), tf.int32))
            told = {
                name: tf.zeros(value.shape, value.dtype)
                for name, value in traced.structured_outputs.items()
            }

        def body(start: Tensor, told: Metrics) -> tuple[Tensor, Metrics]:
            new = traced(start) if own else step(start)
            return start + batch, dict(new) if own else told

        _, told = tf.while_loop(
            lambda start, told: start < rows, body, [tf.constant(0), told], parallel_iterations=1
        )
        return self.model.get_metrics_result(), told

    def _logs(self, told: Told) -> dict[str, float]:
        """Choose as Keras's `fit` does: the metrics, unless a custom step returns other logs."""
        metrics, last = told
        return _numbers(last if last and set(last) != set(metrics) else metrics)

    def _strays(self) -> list[tf.Variable]:
        """Return the variables that the graphs use but the model does not track."""
        known = [*self.variables, *self.model.metrics_variables]
        names = {variable.value.ref() for variable in known}
        found = {v.ref(): v for graph in (self._fit, self._check) for v in graph.variables}
        return [variable for name, variable in found.items() if name not in names]


class FitProgram(Trained):
    """The same epochs by Keras's `fit`, for one trial.

    Args:
        model: compiled and fresh.
        training: see `Program`.
        validation: see `Program`.
        scaling: see `Program`.
        reason: why the epoch is not one graph.
    """

    reusable = False
    resumable = False  # the model may have state outside of its variables

    def __init__(
        self, model: keras.Model, training: Parts, validation: Parts, scaling: Parts, reason: str
    ) -> None:
        super().__init__(model)
        self.loop = f"fit: {reason}"
        self._training, self._validation, self._scaling = training, validation, scaling
        self.validates = len(validation[0]) > 0

    def epoch(self, seed: int, number: int, batch_size: int) -> dict[str, float]:
        """Train one epoch and validate; see `Program.epoch`.

        Args:
            seed: seed of the trial.
            number: number of the epoch, from 0.
            batch_size: rows per step.
        """
        order = row_order(seed, number, len(self._training[0]))
        every = np.arange(len(self._validation[0]), dtype=np.int32)
        together = rows_together(self._validation[0].shape[1:])
        checked = _Batches(self._validation, every, together, self._scaling)
        kept: list[Any] = []
        keep = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: kept.extend(
                variable.numpy() for variable in self.model.trainable_variables
            )
        )
        averaged = _is_averaged(self.model.optimizer)
        fitted = self.model.fit(
            _Batches(self._training, order, batch_size, self._scaling),
            initial_epoch=number,
            epochs=number + 1,
            shuffle=False,
            verbose=0,
            validation_data=checked if self.validates else None,
            callbacks=[keep] if averaged else [],
        )
        if averaged:  # `fit` stored the averages, but the next epoch needs the trained weights
            _assign(self.model.trainable_variables, kept)
        return _numbers({name: values[0] for name, values in fitted.history.items()})


class _Batches(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of rows in a given order, for `fit`."""

    def __init__(
        self, parts: Parts, order: npt.NDArray[np.int32], size: int, scaling: Parts
    ) -> None:
        super().__init__()
        self._parts, self._order, self._size, self._scaling = parts, order, size, scaling

    def __len__(self) -> int:
        return -(-len(self._order) // self._size)

    def __getitem__(self, place: int) -> Parts:
        rows = self._order[place * self._size : (place + 1) * self._size]
        return tuple(map(np.asarray, ready([part[rows] for part in self._parts], self._scaling)))


def make_program(
    model: keras.Model,
    again: Callable[[], keras.Model],
    training: Parts,
    validation: Parts,
    scaling: Parts = (),
) -> Program | FitProgram:
    """Return a program with one graph per epoch if the model allows it, else with `fit`.

    Args:
        model: compiled and fresh.
        again: returns another fresh model, because a failed attempt at a graph changes the first.
        training: see `Program`.
        validation: see `Program`.
        scaling: see `Program`.
    """
    reason = _drives_itself(model)
    if not reason:
        try:
            return Program(model, training, validation, scaling)
        except Exception as error:  # a model can raise anything; an error in `fit` is reported
            reason = first_line(error)[:200]
            model = again()
    return FitProgram(model, training, validation, scaling, reason)


def row_order(seed: int, epoch: int, rows: int) -> npt.NDArray[np.int32]:
    """Return the order in which an epoch visits the training rows, (rows,) int32.

    It depends only on its arguments, so that a resumed epoch visits the rows in the same order.

    Args:
        seed: seed of the trial.
        epoch: number of the epoch, from 0.
        rows: number of training rows.
    """
    return np.random.default_rng([seed, epoch]).permutation(rows).astype(np.int32)


def _drives_itself(model: keras.Model) -> str:
    if model.run_eagerly:
        return "the model runs eagerly"
    own = [name for name in DRIVEN if getattr(type(model), name) is not getattr(keras.Model, name)]
    return f"the model has its own {own[0]}" if own else ""


def _is_averaged(optimizer: keras.Optimizer) -> bool:
    return bool(getattr(getattr(optimizer, "inner_optimizer", optimizer), "use_ema", False))


def _traced(function: Callable[..., Any], *signature: tf.TypeSpec) -> Traced:
    # autograph would leave a file of generated code behind if the process is killed
    return tf.function(function, autograph=False).get_concrete_function(*signature)


def _specs(parts: Parts) -> Parts:
    return tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in parts)


def _operations(graph: Traced) -> set[str]:
    whole = graph.graph.as_graph_def()
    nodes = [*whole.node, *(node for each in whole.library.function for node in each.node_def)]
    return {node.op for node in nodes}


def _assign(variables: Iterable[keras.Variable], values: Iterable[Array | keras.Variable]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _numbers(logs: Metrics) -> dict[str, float]:
    return {name: float(np.mean(value)) for name, value in logs.items()}
