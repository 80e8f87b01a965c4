"""The final evaluation: the one place that opens the test rows, once a model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.config import DataInvalid, EnvironmentFault, Experiment, Project, file_digest
from pipelines.evaluation.baselines import baseline_outputs
from pipelines.evaluation.metrics import Metric, measure_all, score
from pipelines.evaluation.predictions import (
    Predictions,
    from_outputs,
    read_predictions,
    write_predictions,
)
from pipelines.preparation import in_own_units, scaled
from pipelines.training import MODEL_FILES, Export, Pool, Trial


@dataclass(frozen=True)
class Evaluation:
    """How a trial's model did on the test rows, and the files that show it.

    Attributes:
        metrics: of the model, in the order of the experiment file.
        baselines: the same metrics of `dummy` and `linear`, on the same rows, without intervals.
        rows: how many test rows there are.
        seen: how many of them were left out, because a training row has the very same features.
        model: the `.keras` file, or the `.npz` of an estimator's arrays.
        predictions: Parquet, a row each.
        raw: Parquet, the test rows as they came in, in the order of the predictions.
        scored: whether the test rows were read now, and not in an earlier run.
        maps: `.npz` of the first layers' feature maps; None where there are none.
        reads: how many candidates these test rows have had, this one included; 0 if not counted.
    """

    metrics: tuple[Metric, ...]
    baselines: Mapping[str, tuple[Metric, ...]]
    rows: int
    model: Path
    predictions: Path
    raw: Path
    scored: bool
    seen: int = 0
    maps: Path | None = None
    reads: int = 0

    @property
    def measured(self) -> int:
        """How many test rows the metrics are of."""
        return self.rows - self.seen

    @property
    def left_out(self) -> str:
        """What was left out, in words; empty if nothing was."""
        if not self.seen:
            return ""
        return f"{self.seen:,} of {self.rows:,} test rows left out: seen in training"

    def value(self, name: str) -> float:
        return next(metric.value for metric in self.metrics if metric.name == name)


def evaluate(project: Project, experiment: Experiment, trial: Trial, pool: Pool) -> Evaluation:
    """Scores the winner on the test rows, unless that has been done and stored.

    Raises:
        EnvironmentFault: the model gave something that is no number.
    """
    build = project.build(experiment.name)
    folder = build / "trials" / trial.key
    test = build / "test"
    weights = folder / "weights.npz"
    of = file_digest(weights)[:12]  # a trial with a longer budget ends with other weights
    rows = _digest(test)
    stored, maps = folder / f"predictions-{of}-{rows}.parquet", folder / f"maps-{of}-{rows}.npz"
    model = folder / f"model-{of}{Path(MODEL_FILES[trial.recipe.model.library]).suffix}"
    statistics = json.loads((build / "training" / "statistics.json").read_text(encoding="utf-8"))
    scored = not (stored.is_file() and model.is_file())
    if scored:
        outputs = folder / "outputs.npy"
        pool.export(
            Export(
                trial.recipe,
                build / "training",
                weights,
                model,
                project.experiments,
                test / "x.npy",
                outputs,
                maps if statistics.get("picture") else None,
            ),
            trial.threads,
        )
        given = np.load(outputs)
        outputs.unlink()
        if not np.isfinite(given).all():
            raise EnvironmentFault(
                "the model's outputs for the test rows are not all finite numbers",
                found=f"{int((~np.isfinite(given)).any(axis=1).sum())} rows with NaN or infinity",
                next="lower the learning rate, or look at the data's range",
            )
        made = from_outputs(
            given, np.load(test / "y.npy"), np.load(test / "identity.npy"), statistics
        )
        write_predictions(stored, replace(made, twin=_twins(test)))
    predictions = read_predictions(stored)
    unseen = predictions.unseen()
    names = experiment.document.test_metrics
    return Evaluation(
        metrics=measure_all(names, unseen.truth, unseen.outputs),
        baselines=_baselines(build, names, predictions, statistics),
        rows=len(predictions.truth),
        seen=len(predictions.truth) - len(unseen.truth),
        model=model,
        predictions=stored,
        raw=test / "rows.parquet",
        scored=scored,
        maps=maps if maps.is_file() else None,
    )


def _baselines(
    build: Path, names: tuple[str, ...], predictions: Predictions, statistics: dict[str, Any]
) -> dict[str, tuple[Metric, ...]]:
    x = np.load(build / "training" / "x_training.npy", mmap_mode="r")
    y = np.load(build / "training" / "y_training.npy", mmap_mode="r")
    rows = np.load(build / "test" / "x.npy", mmap_mode="r")
    if predictions.twin is not None:
        rows = rows[~predictions.twin]
    classes = None if predictions.classes is None else len(predictions.classes)
    truth = predictions.unseen().truth
    codes = [count for count, _ in statistics["embedded"]]
    outputs = baseline_outputs(x, y, rows, classes, codes, lambda part: scaled(part, statistics))
    if classes is None:
        outputs = {name: in_own_units(given, statistics) for name, given in outputs.items()}
    return {
        who: tuple(Metric(name, score(name, truth, given), None, None) for name in names)
        for who, given in outputs.items()
    }


def _twins(test: Path) -> npt.NDArray[np.bool_] | None:
    """Which test rows were seen in training, None if none was.

    Raises:
        DataInvalid: all were.
    """
    twin: npt.NDArray[np.bool_] = np.load(test / "twin.npy")
    if twin.all():
        raise DataInvalid(
            "every test row was seen in training",
            expected="test rows whose features equal those of no training row",
            found=f"{len(twin):,} of {len(twin):,} test rows equal a training row",
            next="leave the copies out of the data, or set split.group to what they share",
        )
    return twin if twin.any() else None


def _digest(folder: Path) -> str:
    """Of the test rows, by their identities, features and targets, and which of them count."""
    import hashlib

    content = hashlib.sha256()
    for name in ("identity.npy", "x.npy", "y.npy", "twin.npy"):
        with (folder / name).open("rb") as file:
            while part := file.read(1 << 20):
                content.update(part)
    return content.hexdigest()[:12]
