"""The winner of a search: what is chosen by its answers is chosen on validation rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from gristmill.pipelines.base import EnvironmentFault, file_digest, read_json
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

Outputs = npt.NDArray[Any]


@dataclass(frozen=True)
class Winner:
    """The trial that a search has chosen: its files, outputs, and answers for validation rows."""

    project: Project
    experiment: Experiment
    trial: Trial
    pool: Pool

    @property
    def build(self) -> Path:
        return self.project.build(self.experiment.name)

    @property
    def folder(self) -> Path:
        return self.build / "trials" / self.trial.key

    @cached_property
    def weights(self) -> str:
        """The beginning of their digest: a trial with a longer budget ends with other weights."""
        return file_digest(self.folder / "weights.npz")[:12]

    @cached_property
    def statistics(self) -> dict[str, Any]:
        """Of the training rows."""
        made: dict[str, Any] = read_json(self.build / "training" / "statistics.json")
        return made

    def outputs(self, role: str, rows: Path, model: Path, maps: Path | None = None) -> Outputs:
        """What the model gives for the rows of an array; it is written on the way, as `Export` is.

        Raises:
            EnvironmentFault: the model gave something that is no number.
        """
        training, file = self.build / "training", self.folder / "outputs.npy"
        weights, modules = self.folder / "weights.npz", self.project.experiments
        of = (self.trial.recipe, training, weights, model, modules, rows, file, maps)
        self.pool.export(Export(*of), self.trial.threads)
        outputs: Outputs = np.load(file)
        file.unlink()
        if not np.isfinite(outputs).all():
            raise EnvironmentFault(
                f"the model's outputs for the {role} rows are not all finite numbers",
                found=f"{int((~np.isfinite(outputs)).any(axis=1).sum())} rows with NaN or infinity",
                next="lower the learning rate, or look at the data's range",
            )
        return outputs

    @cached_property
    def validation(self) -> Predictions:
        """Of all validation rows; computed once for the trial's weights, and stored."""
        stored = self.folder / f"validation-{self.weights}.parquet"
        if not stored.is_file():
            training, copy = self.build / "training", self.folder / "model-again"
            outputs = self.outputs("validation", training / "x_validation.npy", copy)
            copy.unlink()
            truth = np.load(training / "y_validation.npy")
            if self.statistics["classes"] is None:
                truth = in_own_units(truth, self.statistics)
            identity = np.arange(len(truth), dtype=np.uint64)
            write_predictions(stored, from_outputs(outputs, truth, identity, self.statistics))
        return read_predictions(stored)

    def validation_columns(self) -> Iterator[pd.Series[Any]]:
        """The raw columns, one by one, without the target and without pictures."""
        role = read_roles(self.build / "roles.parquet")
        rows = TableRows(self.build / "table.parquet", role == VALIDATION)
        for name in rows.schema.names:
            is_value = rows.storage(name) not in ("picture", "other")
            if is_value and name != self.experiment.data.target:
                yield column_of(rows, name)
