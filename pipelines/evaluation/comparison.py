"""Comparison of models on the same test rows, from their stored predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.base import ConfigError
from gristmill.pipelines.evaluation.metrics import (
    Metric,
    MetricDifference,
    holm,
    measure_all,
    measure_difference,
)
from gristmill.pipelines.evaluation.predictions import Predictions
from gristmill.pipelines.preparation import class_places
from gristmill.pipelines.tables import Floats, Places

LISTED = "gristmill models lists what can be compared"


@dataclass(frozen=True)
class Answers:
    """Predictions of a model for the test rows of its experiment.

    Attributes:
        name: Name of the model in this comparison.
        experiment: Experiment of the model.
        predictions: Stored predictions.
    """

    name: str
    experiment: str
    predictions: Predictions


@dataclass(frozen=True)
class ModelComparison:
    """Models on the same rows, each compared with the first.

    Attributes:
        models: Predictions of each model, all for the rows that no model saw in training.
        places: (n_rows,) int64, positions of these rows among the first model's test rows.
        left_out: Number of rows left out because a model saw them in training.
        metrics: Metrics of each model.
        differences: For each model but the first, its value minus the first one's. The p-values of
            a metric are corrected for the number of models by Holm's method.
    """

    models: tuple[Answers, ...]
    places: Places
    left_out: int
    metrics: tuple[tuple[Metric, ...], ...]
    differences: tuple[tuple[MetricDifference, ...], ...]

    @property
    def names(self) -> list[str]:
        return [model.name for model in self.models]

    @property
    def classes(self) -> tuple[str, ...] | None:
        return self.models[0].predictions.classes

    @property
    def truth(self) -> npt.NDArray[Any]:
        """True values, (n_rows,): positions in `classes`, or numbers."""
        return self.models[0].predictions.truth

    @cached_property
    def answers(self) -> npt.NDArray[Any]:
        """Predicted values, (n_models, n_rows): positions in `classes`, or numbers."""
        return np.stack([model.predictions.answers for model in self.models])

    @property
    def disagreements(self) -> Places:
        """Positions of the rows on which the models differ.

        Classification: rows with different answers, the most confident wrong answers first.
        Regression: all rows, the largest differences first.
        """
        if self.classes is None:
            apart = self.answers.max(axis=0) - self.answers.min(axis=0)
            return np.argsort(-apart, kind="stable")
        differ = np.flatnonzero((self.answers != self.answers[0]).any(axis=0))
        wrong = self.answers != self.truth
        sure = np.stack([model.predictions.sure for model in self.models])
        surest = np.where(wrong, sure, 0).max(axis=0)[differ]
        return np.asarray(differ[np.argsort(-surest, kind="stable")])

    @property
    def agreement(self) -> Floats:
        """Share of rows with the same answer, or correlation of errors; (n_models, n_models)."""
        if self.classes is not None:
            return np.asarray((self.answers[:, None] == self.answers[None]).mean(axis=2))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.nan_to_num(np.corrcoef(self.answers - self.truth)))

    def right(self, other: int) -> Places:
        """Count rows, (2, 2): right and wrong by the first model (rows) and another (columns)."""
        first, second = (self.answers[place] == self.truth for place in (0, other))
        cells = 2 * ~first + ~second
        return np.bincount(cells, minlength=4).reshape(2, 2)


def compare(models: Sequence[Answers], names: Sequence[str]) -> ModelComparison:
    """Compare models with the first one.

    Args:
        models: Two or more models.
        names: Names of the metrics.

    Raises:
        ConfigError: The models differ in their task, test rows, classes or target.
    """
    first = models[0].predictions
    same = [first, *(_as_first(models[0], other) for other in models[1:])]
    twins = [np.asarray(p.twin) for p in same if p.twin is not None]
    keep = ~np.any(twins, axis=0) if twins else np.ones(len(first.truth), dtype=bool)
    if not keep.any():
        raise ConfigError(
            "no test row is left to compare on",
            expected="rows that no model saw in training",
            found=f"all {len(keep):,} rows equal a training row of one of the models",
            next=LISTED,
        )
    kept = [p.rows(keep) for p in same]
    truth = kept[0].truth
    given = [p.given for p in kept]
    plain = [[measure_difference(n, truth, one, given[0]) for n in names] for one in given[1:]]
    by_metric = [holm([each.p for each in column]) for column in zip(*plain, strict=True)]
    return ModelComparison(
        models=tuple(replace(m, predictions=p) for m, p in zip(models, kept, strict=True)),
        places=np.flatnonzero(keep),
        left_out=int((~keep).sum()),
        metrics=tuple(measure_all(names, truth, one) for one in given),
        differences=tuple(
            tuple(replace(d, p=by_metric[j][i]) for j, d in enumerate(row))
            for i, row in enumerate(plain)
        ),
    )


def _as_first(first: Answers, other: Answers) -> Predictions:
    """Return another model's predictions in the first one's order of rows and classes.

    Raises:
        ConfigError: The tasks, the test rows, the classes or the targets differ.
    """
    mine, theirs = first.predictions, other.predictions
    both = f"{first.name} and {other.name}"
    if (mine.classes is None) != (theirs.classes is None):
        tasks = ["regression" if p.classes is None else "classification" for p in (mine, theirs)]
        found = f"{first.name}: {tasks[0]}, {other.name}: {tasks[1]}"
        raise ConfigError(
            f"{both} have different tasks", expected="models of one task", found=found, next=LISTED
        )
    if not np.array_equal(np.sort(theirs.identity), np.sort(mine.identity)):
        _refuse_rows(first, other)
    if theirs.classes != mine.classes:
        theirs = _with_classes(first, other)
    order, wanted = (np.lexsort((p.truth, p.identity)) for p in (theirs, mine))
    places = np.empty_like(order)
    places[wanted] = order
    ordered = theirs.rows(places)
    if not np.array_equal(ordered.truth, mine.truth):
        count = int((ordered.truth != mine.truth).sum())
        raise ConfigError(
            f"{both} predict different targets",
            expected="the same target for the same test rows",
            found=f"{count:,} of {len(mine.truth):,} rows have different targets",
            next=f"look at data.target in experiments/{first.experiment}.yaml "
            f"and experiments/{other.experiment}.yaml",
        )
    return ordered


def _refuse_rows(first: Answers, other: Answers) -> None:
    mine, theirs = first.predictions.identity, other.predictions.identity
    common = len(np.intersect1d(mine, theirs))
    if first.experiment == other.experiment:
        what = f"gristmill run {first.experiment} trains and evaluates on the current rows"
    else:
        what = (
            f"split: {{as: {first.experiment}}} in experiments/{other.experiment}.yaml,\n"
            f"then gristmill run {other.experiment}"
        )
    raise ConfigError(
        f"{first.name} and {other.name} were tested on different rows",
        expected="the same test rows",
        found=f"{first.name}: {len(mine):,} rows, {other.name}: {len(theirs):,} rows, "
        f"{common:,} of them the same",
        next=what,
    )


def _with_classes(first: Answers, other: Answers) -> Predictions:
    """Return the other model's predictions with the classes in the first one's order."""
    mine, theirs = first.predictions.classes or (), other.predictions.classes or ()
    places = class_places(theirs, mine)
    if sorted(places) != list(range(len(mine))):
        strange = [name for name, place in zip(theirs, places, strict=True) if place < 0]
        lacking = {*mine}.difference(mine[place] for place in places if place >= 0)
        only = ((first.name, lacking), (other.name, strange))
        words = [f"only {name}: {', '.join(sorted(these)[:8]) or 'none'}" for name, these in only]
        raise ConfigError(
            f"{first.name} and {other.name} have different classes",
            expected="the same classes",
            found=", ".join(words),
            next=LISTED,
        )
    columns = np.argsort(places).tolist()
    predictions, threshold = other.predictions, other.predictions.threshold
    return replace(
        predictions,
        truth=np.argsort(columns)[predictions.truth.astype(int)],
        outputs=predictions.outputs[:, columns],
        classes=mine,
        threshold=threshold and replace(threshold, place=columns.index(threshold.place)),
    )
