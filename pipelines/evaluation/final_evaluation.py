"""The final evaluation: the one place that opens the test rows, once a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gristmill.pipelines.base import ConfigError, DataInvalid, Problem, read_json, suggest
from gristmill.pipelines.config import Experiment, Project, Slices, ThresholdRule, metric_fault
from gristmill.pipelines.evaluation.baselines import baseline_outputs
from gristmill.pipelines.evaluation.labels import Labels, Threshold, choose_threshold
from gristmill.pipelines.evaluation.metrics import (
    Calibration,
    Metric,
    calibrate,
    measure_all,
    score,
)
from gristmill.pipelines.evaluation.predictions import (
    Predictions,
    from_outputs,
    read_predictions,
    write_predictions,
)
from gristmill.pipelines.evaluation.slices import (
    Slice,
    column_of,
    confirmed_slices,
    declared_slices,
    worst_slices,
)
from gristmill.pipelines.evaluation.winner import Winner
from gristmill.pipelines.preparation import class_name, group_of, in_own_units, scaled
from gristmill.pipelines.tables import Flags, Hashes, TableRows
from gristmill.pipelines.training import MODEL_FILES, Trial
from gristmill.pipelines.workers import Pool


@dataclass(frozen=True)
class FinalEvaluation:
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
        slices: parts of the test rows, the declared ones first.
        calibration: of the probabilities; None where there are none.
        threshold: by which one of two classes is called; None for the most probable one.
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
    slices: tuple[Slice, ...] = ()
    calibration: Calibration | None = None
    threshold: Threshold | None = None
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


def evaluate(project: Project, experiment: Experiment, trial: Trial, pool: Pool) -> FinalEvaluation:
    """Scores the winner on the test rows, unless that has been done and stored.

    Raises:
        ConfigError: a metric, a slice or a threshold is of what the data do not have.
        EnvironmentFault: the model gave something that is no number.
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
        made = from_outputs(given, truth, identity, winner.statistics)
        write_predictions(stored, replace(made, twin=_twins(test)))
    predictions = read_predictions(stored)
    asked, names = experiment.document.evaluation, experiment.document.test_metrics
    threshold = _threshold(asked.threshold, winner)
    if threshold is not None:
        predictions = replace(predictions, threshold=threshold)
        stored = stored.with_name(f"{stored.stem}-from-{threshold.value:.9g}.parquet")
        write_predictions(stored, predictions)
    unseen = predictions.unseen()
    group = group_of(project, experiment.document, TableRows(raw))
    if group is not None and predictions.twin is not None:
        group = group[~predictions.twin]
    return FinalEvaluation(
        metrics=measure_all(names, unseen.truth, unseen.outputs, unseen.labels, group),
        baselines=_baselines(winner, names, predictions),
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
    """Whether the data have what evaluation and gate ask for; known before anything is trained.

    Raises:
        ConfigError: a metric is of a class, a slice of a column, or the threshold of classes that
            are not there.
    """
    build, document = project.build(experiment.name), experiment.document
    asked = document.evaluation
    classes = read_json(build / "training" / "statistics.json")["classes"]
    names = None if classes is None else [*map(class_name, classes)]
    task = document.data.task
    faults = (metric_fault(name, task, names) for name in document.test_metrics)
    problems = [Problem(fault) for fault in faults if fault]
    known = TableRows(build / "table.parquet").schema.names
    named = [("evaluation.slices", column) for column in asked.slices.columns]
    named += [("gate.slices", name.partition("=")[0]) for name in document.gate.slices]
    for where, column in named:
        if column not in known:
            hint = suggest(column, known)
            problems.append(Problem(where, "a column of the data", column, hint))
    if asked.threshold is not None and names is not None:
        where, positive = "evaluation.threshold", asked.threshold.positive
        if len(names) != 2:
            problems.append(Problem(where, "is of two classes", f"{len(names)}"))
        elif positive is not None and (found := class_name(positive)) not in names:
            problems.append(Problem(f"{where}.positive", " or ".join(names), found))
    if problems:
        raise ConfigError(
            f"the data do not have what experiments/{experiment.name}.yaml asks to evaluate",
            problems=problems,
            next=f"mend experiments/{experiment.name}.yaml",
        )


def _slices(
    asked: Slices, winner: Winner, raw: TableRows, predictions: Predictions, group: Hashes | None
) -> tuple[Slice, ...]:
    """The declared ones, then those that were worst on validation rows."""
    worst = []
    if asked.search:
        told = replace(winner.validation, threshold=predictions.threshold)
        worst = worst_slices(winner.validation_columns(), told)
    names = {*asked.columns, *(cut.column for cut, _ in worst)}
    keep = slice(None) if predictions.twin is None else ~predictions.twin
    values = {name: column_of(raw, name)[keep].reset_index(drop=True) for name in names}
    unseen = predictions.unseen()
    return (
        *declared_slices(asked.columns, values, unseen, group),
        *confirmed_slices(worst, values, unseen, group),
    )


def _threshold(rule: ThresholdRule | None, winner: Winner) -> Threshold | None:
    """What the rule comes to on the validation rows."""
    if rule is None:
        return None
    known = winner.validation
    place = 1
    if rule.positive is not None and known.classes is not None:
        place = known.classes.index(class_name(rule.positive))
    costs = rule.cost.model_dump() if rule.cost else {}
    return choose_threshold(known.truth, known.outputs, place, precision=rule.precision, **costs)


def _baselines(
    winner: Winner, names: tuple[str, ...], predictions: Predictions
) -> dict[str, tuple[Metric, ...]]:
    build, statistics = winner.build, winner.statistics
    x = np.load(build / "training" / "x_training.npy", mmap_mode="r")
    y = np.load(build / "training" / "y_training.npy", mmap_mode="r")
    rows = np.load(build / "test" / "x.npy", mmap_mode="r")
    if predictions.twin is not None:
        rows = rows[~predictions.twin]
    classes = None if predictions.classes is None else len(predictions.classes)
    truth, labels = predictions.unseen().truth, Labels(predictions.classes or ())
    codes = [count for count, _ in statistics["embedded"]]
    outputs = baseline_outputs(x, y, rows, classes, codes, lambda part: scaled(part, statistics))
    if classes is None:
        outputs = {name: in_own_units(given, statistics) for name, given in outputs.items()}
    return {
        who: tuple(Metric(name, score(name, truth, given, labels), None, None) for name in names)
        for who, given in outputs.items()
    }


def _twins(test: Path) -> Flags | None:
    """Which test rows were seen in training, None if none was.

    Raises:
        DataInvalid: all were.
    """
    twin: Flags = np.load(test / "twin.npy")
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
