"""The winner's answers for the validation rows: what is chosen by answers is chosen there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from gristmill.pipelines.base import EnvironmentFault, read_json
from gristmill.pipelines.config import Experiment, Project
from gristmill.pipelines.evaluation.predictions import (
    Predictions,
    from_outputs,
    read_predictions,
    write_predictions,
)
from gristmill.pipelines.evaluation.slices import column_of
from gristmill.pipelines.preparation import VALIDATION, in_own_units, read_roles
from gristmill.pipelines.tables import TableRows
from gristmill.pipelines.training import Trial
from gristmill.pipelines.workers import Export, Pool


@dataclass(frozen=True)
class ValidationAnswers:
    """The validation rows of a trial, with its answers; read when they are asked for.

    Attributes:
        weights: the beginning of the digest of the trial's weights.
    """

    project: Project
    experiment: Experiment
    trial: Trial
    pool: Pool
    weights: str

    @cached_property
    def predictions(self) -> Predictions:
        """Of all validation rows; computed once for the trial's weights, and stored.

        Raises:
            EnvironmentFault: the model gave something that is no number.
        """
        training = self.project.build(self.experiment.name) / "training"
        folder = training.parent / "trials" / self.trial.key
        stored = folder / f"validation-{self.weights}.parquet"
        if not stored.is_file():
            statistics = read_json(training / "statistics.json")
            outputs, copy = folder / "outputs.npy", folder / "model-again"
            self.pool.export(
                Export(
                    self.trial.recipe, training, folder / "weights.npz", copy,
                    self.project.experiments, training / "x_validation.npy", outputs, None,
                ),
                self.trial.threads,
            )  # fmt: skip
            given, truth = np.load(outputs), np.load(training / "y_validation.npy")
            for file in (outputs, copy):
                file.unlink()
            require_finite(given, "validation")
            if statistics["classes"] is None:
                truth = in_own_units(truth, statistics)
            identity = np.arange(len(truth), dtype=np.uint64)
            write_predictions(stored, from_outputs(given, truth, identity, statistics))
        return read_predictions(stored)

    def columns(self) -> Iterator[pd.Series[Any]]:
        """The raw columns, one by one, without the target and without pictures."""
        build = self.project.build(self.experiment.name)
        role = read_roles(build / "roles.parquet")
        rows = TableRows(build / "table.parquet", role == VALIDATION)
        for name in rows.schema.names:
            is_value = rows.storage(name) not in ("picture", "other")
            if is_value and name != self.experiment.data.target:
                yield column_of(rows, name)


def require_finite(outputs: Any, role: str) -> None:
    """Raises EnvironmentFault where a model gave something that is no number."""
    if not np.isfinite(outputs).all():
        raise EnvironmentFault(
            f"the model's outputs for the {role} rows are not all finite numbers",
            found=f"{int((~np.isfinite(outputs)).any(axis=1).sum())} rows with NaN or infinity",
            next="lower the learning rate, or look at the data's range",
        )
