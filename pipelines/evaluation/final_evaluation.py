"""The final evaluation: the only place that reads the test rows, once per model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gristmill.pipelines.base import (
    ConfigError,
    DataInvalid,
    EnvironmentFault,
    Problem,
    file_digest,
    read_json,
    suggest,
)
from gristmill.pipelines.config import Experiment, Project, Slices, ThresholdRule, metric_fault
from gristmill.pipelines.evaluation import predictions as answers
from gristmill.pipelines.evaluation import slices as parts
from gristmill.pipelines.evaluation.baselines import baseline_outputs
from gristmill.pipelines.evaluation.labels import Array, Labels, Threshold, choose_threshold
from gristmill.pipelines.evaluation.metrics import Calibration, Metric, calibrate, measure_all
from gristmill.pipelines.evaluation.metrics.measures import score
from gristmill.pipelines.evaluation.predictions import Predictions
from gristmill.pipelines.evaluation.slices import Slice
from gristmill.pipelines.preparation import (
    TEST,
    VALIDATION,
    class_name,
    group_of,
    in_own_units,
    read_roles,
    scaled,
)
from gristmill.pipelines.tables import Flags, Hashes, TableRows
from gristmill.pipelines.training import MODEL_FILES, Trial
from gristmill.pipelines.workers import Export, Pool

MOST_SLICES = 30
"""Most values of a column that the gate requires all slices of."""


@dataclass(frozen=True)
class FinalEvaluation:
    """Results of a trial's model on the test rows, and the files that hold them.

    Attributes:
        metrics: Metrics of the model, in the order of the experiment file.
        baselines: The same metrics of `dummy` and `linear` on the same rows, without intervals.
        guesses: `.npz` file of the outputs of `dummy` and `linear` for all test rows; None without
            baselines.
        rows: Number of test rows.
        seen: Number of test rows left out because a training row has the same features.
        model: The `.keras` file, or the `.npz` file of an estimator's arrays.
        predictions: Parquet file, one row per test row.
        raw: Parquet file of the raw test rows, in the order of the predictions.
        scored: Whether the test rows were scored now, not in an earlier run.
        maps: `.npz` file of the first layers' feature maps; None if there are none.
        slices: Results on parts of the test rows, the declared slices first.
        calibration: Calibration of the probabilities; None if there are none.
        threshold: Decision threshold of two classes; None for the most probable class.
        reads: Number of candidates judged on these rows, including this one; 0 if not counted.
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
    slices: tuple[Slice, ...] = ()
    calibration: Calibration | None = None
    threshold: Threshold | None = None
    reads: int = 0
    guesses: Path | None = None

    @property
    def measured(self) -> int:
        """Number of test rows that the metrics use."""
        return self.rows - self.seen

    @property
    def left_out(self) -> str:
        """Description of the rows left out; empty if there are none."""
        if not self.seen:
            return ""
        return f"{self.seen:,} of {self.rows:,} test rows left out: seen in training"

    def value(self, name: str) -> float:
        return next(metric.value for metric in self.metrics if metric.name == name)


def evaluate(project: Project, experiment: Experiment, trial: Trial, pool: Pool) -> FinalEvaluation:
    """Score the winner on the test rows, or read the result stored by an earlier run.

    Args:
        project: Project with the build folder.
        experiment: Experiment that was trained.
        trial: Winner of the search.
        pool: Worker processes that load the model and compute its outputs.

    Raises:
        ConfigError: A metric, slice or threshold names what the data do not have.
        EnvironmentFault: The model's outputs are not finite numbers.
        DataInvalid: Every test row was seen in training.
    """
    check_asked(project, experiment)
    winner = Winner(project, experiment, trial, pool)
    test, raw = winner.build / "test", winner.build / "test" / "rows.parquet"
    of = f"{winner.weights}-{_digest(test)}"
    stored, maps = winner.folder / f"predictions-{of}.parquet", winner.folder / f"maps-{of}.npz"
    suffix = Path(MODEL_FILES[trial.recipe.model.library]).suffix
    model = winner.folder / f"model-{winner.weights}{suffix}"
    scored = not (stored.is_file() and model.is_file())
    if scored:
        wanted = maps if winner.statistics.get("picture") else None
        given = winner.outputs("test", test / "x.npy", model, wanted)
        truth, identity = np.load(test / "y.npy"), np.load(test / "identity.npy")
        made = answers.from_outputs(given, truth, identity, winner.statistics)
        answers.write_predictions(stored, replace(made, twin=_twins(test)))
    predictions = answers.read_predictions(stored)
    asked, names = experiment.document.evaluation, experiment.document.test_metrics
    threshold = _threshold(asked.threshold, winner)
    if threshold is not None:
        predictions = replace(predictions, threshold=threshold)
        stored = stored.with_name(f"{stored.stem}-from-{threshold.value:.9g}.parquet")
        answers.write_predictions(stored, predictions)
    unseen = predictions.unseen()
    group = group_of(project, experiment.document, TableRows(raw))
    if group is not None and predictions.twin is not None:
        group = group[~predictions.twin]
    guesses = winner.build / "baselines.npz"
    return FinalEvaluation(
        metrics=measure_all(names, unseen.truth, unseen.given, group),
        baselines=_baselines(winner, names, predictions, guesses),
        guesses=guesses,
        rows=len(predictions.truth),
        seen=len(predictions.truth) - len(unseen.truth),
        model=model,
        predictions=stored,
        raw=raw,
        scored=scored,
        maps=maps if maps.is_file() else None,
        slices=_slices(asked.slices, winner, TableRows(raw), predictions, group),
        calibration=calibrate(unseen, group),
        threshold=threshold,
    )


def check_asked(project: Project, experiment: Experiment) -> None:
    """Check before training that the data have what `evaluation` and `gate` name.

    Raises:
        ConfigError: A metric names a missing class, a slice a missing column or one of too many
            values, or a threshold is set for other than two classes.
    """
    build, document = project.build(experiment.name), experiment.document
    asked = document.evaluation
    classes = read_json(build / "training" / "statistics.json")["classes"]
    names = None if classes is None else [*map(class_name, classes)]
    task = document.data.task
    faults = (metric_fault(name, task, names) for name in document.test_metrics)
    problems = [Problem(fault) for fault in faults if fault]
    table = build / "table.parquet"
    known = TableRows(table).schema.names
    named = [("evaluation.slices", column) for column in asked.slices.columns]
    named += [("gate.slices", name.partition("=")[0]) for name in document.gate.slices]
    for where, column in named:
        if column not in known:
            hint = suggest(column, known)
            problems.append(Problem(where, "a column of the data", column, hint))
    whole = [name for name in document.gate.slices if name in known]
    for column in whole:
        _, values = TableRows(table, read_roles(build / "roles.parquet") == TEST).labels(column)
        if len(values) > MOST_SLICES:
            one = f"name the values that matter, such as {column}={values[0]}"
            most = f"at most {MOST_SLICES} values in the test rows"
            problems.append(Problem(f"gate.slices.{column}", most, f"{len(values):,}", one))
    if asked.threshold is not None and names is not None:
        where, positive = "evaluation.threshold", asked.threshold.positive
        if len(names) != 2:
            problems.append(Problem(where, "two classes", f"{len(names)} classes"))
        elif positive is not None and (found := class_name(positive)) not in names:
            problems.append(Problem(f"{where}.positive", " or ".join(names), found))
    if problems:
        raise ConfigError(
            f"experiments/{experiment.name}.yaml evaluates what the data do not have",
            problems=problems,
            next=f"correct experiments/{experiment.name}.yaml",
        )


@dataclass(frozen=True)
class Winner:
    """The trial that a search selected: its files, outputs and validation predictions."""

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
        """Start of the weights' digest; it differs when the same trial trains for longer."""
        return file_digest(self.folder / "weights.npz")[:12]

    @cached_property
    def statistics(self) -> dict[str, Any]:
        """Statistics of the training rows."""
        made: dict[str, Any] = read_json(self.build / "training" / "statistics.json")
        return made

    def outputs(self, role: str, rows: Path, model: Path, maps: Path | None = None) -> Array:
        """Return the model's outputs for the rows of an array, and write the model file.

        Args:
            role: Role of the rows, for error messages.
            rows: `.npy` file of features.
            model: Model file to write.
            maps: `.npz` file of feature maps to write; None writes none.

        Raises:
            EnvironmentFault: The model's outputs are not finite numbers.
        """
        training, file = self.build / "training", self.folder / "outputs.npy"
        weights, modules = self.folder / "weights.npz", self.project.experiments
        of = (self.trial.recipe, training, weights, model, modules, rows, file, maps)
        self.pool.export(Export(*of), self.trial.threads)
        outputs: Array = np.load(file)
        file.unlink()
        if not np.isfinite(outputs).all():
            raise EnvironmentFault(
                f"the model's outputs for the {role} rows are not all finite numbers",
                found=f"{int((~np.isfinite(outputs)).any(axis=1).sum())} rows with NaN or infinity",
                next="lower the learning rate, or check the range of the data",
            )
        return outputs

    @cached_property
    def validation(self) -> Predictions:
        """Predictions of all validation rows; computed once for the trial's weights and stored."""
        stored = self.folder / f"validation-{self.weights}.parquet"
        if not stored.is_file():
            training, copy = self.build / "training", self.folder / "model-again"
            outputs = self.outputs("validation", training / "x_validation.npy", copy)
            copy.unlink()
            truth = np.load(training / "y_validation.npy")
            if self.statistics["classes"] is None:
                truth = in_own_units(truth, self.statistics)
            identity = np.arange(len(truth), dtype=np.uint64)
            made = answers.from_outputs(outputs, truth, identity, self.statistics)
            answers.write_predictions(stored, made)
        return answers.read_predictions(stored)

    def validation_columns(self) -> Iterator[pd.Series[Any]]:
        """Yield the raw columns one by one, without the target and pictures."""
        role = read_roles(self.build / "roles.parquet")
        rows = TableRows(self.build / "table.parquet", role == VALIDATION)
        for name in rows.schema.names:
            is_value = rows.storage(name) not in ("picture", "other")
            if is_value and name != self.experiment.data.target:
                yield parts.column_of(rows, name)


def _slices(
    asked: Slices, winner: Winner, raw: TableRows, predictions: Predictions, group: Hashes | None
) -> tuple[Slice, ...]:
    """Measure the declared slices, then those that were worst on validation rows."""
    worst = []
    if asked.search:
        told = replace(winner.validation, threshold=predictions.threshold)
        worst = parts.worst_slices(winner.validation_columns(), told)
    names = {*asked.columns, *(cut.column for cut, _ in worst)}
    keep = slice(None) if predictions.twin is None else ~predictions.twin
    values = {name: parts.column_of(raw, name)[keep].reset_index(drop=True) for name in names}
    unseen = predictions.unseen()
    return (
        *parts.declared_slices(asked.columns, values, unseen, group),
        *parts.confirmed_slices(worst, values, unseen, group),
    )


def _threshold(rule: ThresholdRule | None, winner: Winner) -> Threshold | None:
    """Choose the threshold on the validation rows."""
    if rule is None:
        return None
    known = winner.validation
    place = 1
    if rule.positive is not None and known.classes is not None:
        place = known.classes.index(class_name(rule.positive))
    costs = rule.cost.model_dump() if rule.cost else {}
    return choose_threshold(known.truth, known.outputs, place, precision=rule.precision, **costs)


def _baselines(
    winner: Winner, names: tuple[str, ...], predictions: Predictions, guesses: Path
) -> dict[str, tuple[Metric, ...]]:
    """Measure the baselines, and write their outputs to a file."""
    build, statistics = winner.build, winner.statistics
    x = np.load(build / "training" / "x_training.npy", mmap_mode="r")
    y = np.load(build / "training" / "y_training.npy", mmap_mode="r")
    rows = np.load(build / "test" / "x.npy", mmap_mode="r")
    classes = None if predictions.classes is None else len(predictions.classes)
    truth, labels = predictions.unseen().truth, Labels(predictions.classes or ())
    codes = [count for count, _ in statistics["embedded"]]
    outputs = baseline_outputs(x, y, rows, classes, codes, lambda part: scaled(part, statistics))
    if classes is None:
        outputs = {name: in_own_units(given, statistics) for name, given in outputs.items()}
    np.savez(guesses, dummy=outputs["dummy"], linear=outputs["linear"])
    keep = slice(None) if predictions.twin is None else ~predictions.twin
    return {
        who: tuple(
            Metric(name, score(name, truth, given[keep], labels), None, None) for name in names
        )
        for who, given in outputs.items()
    }


def _twins(test: Path) -> Flags | None:
    """Return which test rows were seen in training, (n_rows,) bool; None if none was.

    Raises:
        DataInvalid: All were.
    """
    twin: Flags = np.load(test / "twin.npy")
    if twin.all():
        raise DataInvalid(
            "every test row was seen in training",
            expected="test rows whose features equal those of no training row",
            found=f"{len(twin):,} of {len(twin):,} test rows equal a training row",
            next="remove the copies from the data, or set split.group to a column that they share",
        )
    return twin if twin.any() else None


def _digest(folder: Path) -> str:
    """Return the digest of the test rows' identities, features, targets and twin flags."""
    names = ("identity.npy", "x.npy", "y.npy", "twin.npy")
    parts = "\n".join(file_digest(folder / name) for name in names)
    return hashlib.sha256(parts.encode()).hexdigest()[:12]
