"""The whole experiment file, and the rules between its sections."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Self

from pydantic import Field, model_validator

from gristmill.pipelines.base import suggest
from gristmill.pipelines.config.known_estimators import (
    ESTIMATORS,
    FITTING,
    TYPICAL,
    arguments_of,
    tells_probabilities,
)
from gristmill.pipelines.config.known_names import (
    CALIBRATION,
    OF_PROBABILITIES,
    PACKAGE_FIGURES,
    metric_fault,
    metric_parts,
)
from gristmill.pipelines.config.section import Scalar, Section
from gristmill.pipelines.config.sections.evaluation import Evaluation
from gristmill.pipelines.config.sections.features import PrepareSections
from gristmill.pipelines.config.sections.gate import Gate
from gristmill.pipelines.config.sections.model import Model
from gristmill.pipelines.config.sections.monitor import Monitor
from gristmill.pipelines.config.sections.schedule import Schedule
from gristmill.pipelines.config.sections.schema import ValidateSections
from gristmill.pipelines.config.sections.score import Score
from gristmill.pipelines.config.sections.search import BUDGETED, Search
from gristmill.pipelines.config.sections.training import Training


class About(Section):
    """Texts about the model, for its page."""

    description: str = Field("", description="what the model is; shown on its page")
    intended_use: str = Field("", description="purpose and users; shown on its page")
    limits: str = Field("", description="unsuitable uses and known failures; shown on its page")


class Document(PrepareSections, ValidateSections, About):
    """A whole experiment file, with every `$name` replaced by its declared value."""

    parameters: dict[str, Scalar] = Field({})
    model: Model
    training: Training = Training()
    search: Search = Search()
    evaluation: Evaluation = Evaluation()
    gate: Gate = Gate()
    schedule: Schedule | None = None
    monitor: Monitor | None = None
    score: Score = Score()

    @property
    def is_classification(self) -> bool:
        """Whether the task is classification."""
        return self.data.task == "classification"

    @property
    def has_loss(self) -> bool:
        """Whether there is a loss; an estimator without probabilities has none."""
        return self.model.sklearn is None or tells_probabilities(*self.model.estimator)

    @property
    def fit_metrics(self) -> tuple[str, ...]:
        """The metrics on training and validation rows, besides the loss."""
        if self.training.metrics is not None:
            return self.training.metrics
        return ("accuracy",) if self.is_classification else ("mean_absolute_error",)

    @property
    def objective(self) -> str:
        """The metric or loss that ranks trials."""
        default = "val_accuracy" if "accuracy" in self.fit_metrics else "val_loss"
        return self.search.objective or default

    @property
    def test_metrics(self) -> tuple[str, ...]:
        """The metrics on the test rows, the main one first."""
        named = [*(self.evaluation.metrics or ()), *self._required_metrics]
        if not self.evaluation.metrics:
            classes = ("accuracy", "f1_macro", "log_loss")
            defaults = classes if self.is_classification else ("rmse", "mae", "r2")
            named = [*defaults[: None if self.has_loss else 2], *named]
        return tuple(dict.fromkeys((*named, *self._compared_metrics)))

    @property
    def _other_figures(self) -> frozenset[str]:
        """Figures that the gate can require besides metrics."""
        return PACKAGE_FIGURES | {CALIBRATION} if self.is_classification else PACKAGE_FIGURES

    @property
    def _required_metrics(self) -> list[str]:
        return [name for name in self.gate.require if name not in self._other_figures]

    @property
    def _compared_metrics(self) -> list[str]:
        return [self.gate.champion.metric] if self.gate.champion.metric else []

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        for fault in chain.from_iterable(rule(self) for rule in RULES):
            raise ValueError(fault)
        return self


def _task_faults(document: Document) -> Iterator[str]:
    bounded = [name for name, rule in document.gate.slices.items() if rule.min is not None]
    if document.is_classification:
        if document.features.scale_target:
            yield "features.scale_target: only the target of a regression can be scaled"
    elif bounded:
        yield f"gate.slices.{bounded[0]}.min: regression has no share of correct predictions"
    elif document.training.class_weight is not None:
        yield "training.class_weight: regression has no classes"


def _feature_faults(document: Document) -> Iterator[str]:
    split, features = document.split, document.features
    no_features = {
        document.data.target: "it is data.target",
        **{name: f"it is split.{way}" for way in ("given", "key", "group")
           if (name := getattr(split, way)) is not None},
        **dict.fromkeys(features.exclude, "features.exclude names it"),
    }  # fmt: skip
    for name in features.columns:
        if name in no_features:
            why = no_features[name]
            yield f"features.columns.{name}: remove it, since {why}, and so it is no feature"


def _monitor_faults(document: Document) -> Iterator[str]:
    monitor = document.monitor
    if monitor is None or document.data.source is not None:
        return
    if monitor.path is None:
        yield "monitor: nothing to check; set data.source or monitor.path"
    if monitor.retrain:
        yield (
            "monitor.retrain: without data.source there are no new data to train on; set "
            "data.source, or retrain: false"
        )


def _evaluation_faults(document: Document) -> Iterator[str]:
    threshold = document.evaluation.threshold is not None
    asks = {"threshold": threshold, "slices.search": document.evaluation.slices.search}
    for name, asked in asks.items():
        if asked and document.split.folds:
            yield (
                f"evaluation.{name} needs validation rows; with split.folds the final model is "
                "trained on all of them"
            )
    if threshold and not document.is_classification:
        yield "evaluation.threshold: regression has no classes"


def _metric_faults(document: Document) -> Iterator[str]:
    target = document.schema_.columns.get(document.data.target)
    classes = [*map(_class_name, target.one_of)] if target and target.one_of else None
    asked = {
        "evaluation.metrics": document.evaluation.metrics or (),
        "gate.require": document._required_metrics,
        "gate.champion.metric": document._compared_metrics,
    }
    for where, names in asked.items():
        more = document._other_figures if where == "gate.require" else ()
        for name in names:
            if fault := metric_fault(name, document.data.task, classes, more):
                yield f"{where}: {fault}"
    for name, rule in document.gate.require.items():
        if name in PACKAGE_FIGURES and rule.of == "low":
            yield f"gate.require.{name}: it has no interval; remove `of: low`"


def _class_name(label: Scalar) -> str:
    """Return the name of a class in metrics."""
    return str(label).lower() if isinstance(label, bool) else str(label)


def _search_faults(document: Document) -> Iterator[str]:
    search, epochs = document.search, document.training.epochs
    for name in search.varied:
        if name not in document.parameters:
            where = "grid" if name in search.grid else "space"
            near = suggest(name, document.parameters, before="; ")
            yield f"search.{where}: {name!r} is not declared under parameters{near}"
    if search.min_epochs > epochs:
        yield (
            f"search.min_epochs: {search.min_epochs} is above training.epochs, {epochs}, which is "
            "the largest budget"
        )


def _estimator_faults(document: Document) -> Iterator[str]:
    if document.model.sklearn is None:
        return
    name, _ = document.model.estimator
    task, _ = ESTIMATORS[name]
    if task != document.data.task:
        which = sorted(n for n, (of, _) in ESTIMATORS.items() if of == document.data.task)
        yield (
            f"model.sklearn: {name} is for {task}, but data.task is {document.data.task}; use one "
            f"of {', '.join(which)}"
        )
    others = sorted(document.training.model_fields_set - set(FITTING))
    if others:
        typical = ", ".join(argument for argument in arguments_of(name) if argument in TYPICAL)
        yield (
            f"training: remove {', '.join(others)}, which {'are' if others[1:] else 'is'} for "
            f"Keras; the arguments of {name} are set in model.sklearn, such as {typical}"
        )
    if document.search.strategy in BUDGETED:
        yield (
            f"search.strategy: {document.search.strategy} trains for a few epochs first, but "
            f"{name} has no epochs; use grid, random or bayesian"
        )
    if document.training.class_weight and "sample_weight" not in arguments_of(name, "fit"):
        yield f"training.class_weight: {name} cannot weight its training rows"
    if document.has_loss:
        return
    wanted = [*(document.evaluation.metrics or ()), *document.gate.require]
    for metric in (*wanted, *document._compared_metrics):
        if metric_parts(metric)[0] in {*OF_PROBABILITIES, CALIBRATION}:
            yield f"{metric} needs probabilities, which {name} does not predict"
    if document.evaluation.threshold is not None:
        yield f"evaluation.threshold needs probabilities, which {name} does not predict"


def _watched_faults(document: Document) -> Iterator[str]:
    watched = {*document.fit_metrics, *(["loss"] if document.has_loss else [])}
    named = {"search.objective": document.objective}
    for place in ("early_stopping", "reduce_lr_on_plateau"):
        if watching := getattr(document.training, place):
            named[f"training.{place}.monitor"] = watching.monitor
    choices = [f"val_{metric}" for metric in sorted(watched)]
    for where, name in named.items():
        if name.removeprefix("val_") not in watched:
            near = suggest(name, choices, f": there are {', '.join(choices)}", before="; ")
            yield f"{where}: training has no value {name!r}{near}"


RULES = (
    *(_task_faults, _monitor_faults, _evaluation_faults, _metric_faults, _search_faults),
    *(_estimator_faults, _watched_faults, _feature_faults),
)
"""The rules between sections; the first violation is reported."""
