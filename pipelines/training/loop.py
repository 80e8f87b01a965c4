"""A whole epoch as one graph: Keras's own training step in an in-graph loop.

The loop gathers whole batches by a shuffled index, so that Python is left out of the epoch. The
program is traced once for an architecture and serves every trial of it: weights, optimizer and
the state of dropout are set back from a freshly seeded twin, batch size and learning rate are
inputs. A trial's result therefore does not depend on which trial ran before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

VALIDATION_BATCH = 1024
"""Rows that are validated at a time; the mean over batches is weighted by their rows."""


class Program:
    """The traced epochs of one architecture over one data set.

    Args:
        model: compiled; its variables are what is trained.
        training: features (n, …) float32 and targets of the training rows, and their weights in
            the loss if they differ.
        validation: features and targets of the validation rows.
    """

    def __init__(self, model: Any, training: tuple[Any, ...], validation: tuple[Any, Any]) -> None:
        self.model = model
        self._training = tuple(tf.constant(part) for part in training)
        self._validation = tuple(tf.constant(part) for part in validation)
        self._rows = len(training[0])
        model.optimizer.build(model.trainable_variables)
        # losses and metrics make their variables when first used: once, outside of the graph
        model.test_step(tuple(part[:1] for part in self._training))
        model.reset_metrics()
        self._fit = tf.function(self._fit_epoch)
        self._check = tf.function(self._check_epoch)

    def reset(self, twin: Any) -> None:
        """Takes over every variable of a freshly built twin, the optimizer's among them."""
        twin.optimizer.build(twin.trainable_variables)
        for mine, fresh in (
            *zip(self.model.variables, twin.variables, strict=True),
            *zip(self.model.optimizer.variables, twin.optimizer.variables, strict=True),
        ):
            mine.assign(fresh)

    def epoch(self, seed: int, number: int, batch_size: int) -> dict[str, float]:
        """Trains one epoch and validates.

        Args:
            seed: of the trial.
            number: of the epoch, from 0; with the seed it decides the order of the rows.
            batch_size: rows a step.

        Returns:
            Keras's logs: `loss`, metrics, and the same with `val_`.
        """
        order = tf.constant(row_order(seed, number, self._rows))
        self.model.reset_metrics()
        logs = _numbers(self._fit(order, tf.constant(batch_size, dtype=tf.int32)))
        self.model.reset_metrics()
        checked = _numbers(self._check())
        return logs | {f"val_{name}": value for name, value in checked.items()}

    def _fit_epoch(self, order: Any, batch_size: Any) -> Any:
        for start in tf.range(0, self._rows, batch_size):
            rows = order[start : start + batch_size]
            self.model.train_step(tuple(tf.gather(part, rows) for part in self._training))
        return self.model.get_metrics_result()

    def _check_epoch(self) -> Any:
        x, y = self._validation
        for start in tf.range(0, tf.shape(x)[0], VALIDATION_BATCH):
            end = start + VALIDATION_BATCH
            self.model.test_step((x[start:end], y[start:end]))
        return self.model.get_metrics_result()


def row_order(seed: int, epoch: int, rows: int) -> npt.NDArray[np.int32]:
    """The order in which an epoch visits the training rows: (rows,) int32.

    It follows from the seed and the number of the epoch, so that a resumed epoch is the same one.
    """
    return np.random.default_rng([seed, epoch]).permutation(rows).astype(np.int32)


def _numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in logs.items()}
