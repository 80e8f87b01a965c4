"""Loading of an experiment file, with declared parameters inserted for `$name`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gristmill.pipelines.base import ConfigError, GristmillError, nearest, read_yaml
from gristmill.pipelines.config.document import Document
from gristmill.pipelines.config.experiment_file import check_sections
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.section import Scalar
from gristmill.pipelines.config.sections.data import Data
from gristmill.pipelines.config.sections.features import Features
from gristmill.pipelines.config.sections.model import Model
from gristmill.pipelines.config.sections.search import BUDGETED, Distribution
from gristmill.pipelines.config.sections.training import Training


@dataclass(frozen=True)
class Recipe:
    """The settings of one trial, with every `$name` replaced by its value at a grid point."""

    parameters: Mapping[str, Scalar]
    features: Features
    model: Model
    training: Training
    task: str
    fit_metrics: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """A checked experiment file with the overrides of the command line applied."""

    name: str
    file: Path
    raw: Mapping[str, Any]
    overrides: Mapping[str, Scalar]
    document: Document

    @property
    def data(self) -> Data:
        return self.document.data

    @property
    def space(self) -> dict[str, Distribution]:
        """The distribution of each varied parameter, sorted by name."""
        varied = self.document.search.varied
        return {name: varied[name] for name in sorted(varied) if name not in self.overrides}

    def with_workers(self, count: int) -> Experiment:
        """Return the experiment with another number of workers; no result depends on it."""
        search = self.document.search.model_copy(update={"workers": count})
        return replace(self, document=self.document.model_copy(update={"search": search}))

    def at(self, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Return all parameters, the varied ones with these values."""
        return {**self.document.parameters, **values}

    def recipe(self, point: Mapping[str, Scalar]) -> Recipe:
        """Return the settings of the trial at a grid point.

        Raises:
            ConfigError: a value of the grid is invalid in the place of its `$name`.
        """
        document = check_sections(Document, self.name, self.raw, point)
        training = document.training
        if document.model.sklearn is not None:  # fitted in one call
            training = training.model_copy(update={"epochs": 1})
        return Recipe(
            parameters=dict(sorted(document.parameters.items())),
            features=document.features,
            model=document.model,
            training=training,
            task=document.data.task,
            fit_metrics=document.fit_metrics,
        )


def load_experiment(
    project: Project, name: str, overrides: Mapping[str, Scalar] | None = None
) -> Experiment:
    """Load and check `experiments/NAME.yaml`, including every value of a grid.

    Args:
        project: the project.
        name: name of the experiment.
        overrides: values by parameter that replace the declared ones, as given by `-P`.

    Raises:
        ConfigError: the file is missing or invalid; all problems are listed.
    """
    file = project.require_experiment(name)
    raw = read_yaml(file)
    overrides = dict(overrides or {})
    declared = raw.get("parameters")
    declared = declared if isinstance(declared, dict) else {}
    for key in overrides:
        if key not in declared:
            near = nearest(key, declared)
            raise ConfigError(
                f"'{key}' is not a parameter of {name}",
                expected="one of " + ", ".join(sorted(declared))
                if declared
                else "none: the file declares no parameters",
                found=key,
                next=f"gristmill run {name} -P {near}={overrides[key]}"
                if near
                else f"declare it under parameters: in experiments/{name}.yaml",
            )
    document = check_sections(Document, name, raw, {**declared, **overrides})
    for key, value in overrides.items():
        _require_kind(name, key, declared[key], value)
    experiment = Experiment(name, file, raw, overrides, document)
    _check_varied(experiment)
    return experiment


def load_experiments(project: Project) -> tuple[dict[str, Experiment], dict[str, GristmillError]]:
    """Return all experiments of the project by name, and why others cannot be loaded."""
    found: dict[str, Experiment] = {}
    faults: dict[str, GristmillError] = {}
    for name in project.experiment_names():
        try:
            found[name] = load_experiment(project, name)
        except GristmillError as error:
            faults[name] = error
    return found, faults


def _require_kind(name: str, key: str, declared: Any, value: Scalar) -> None:
    """Refuse an override of another kind (number, text or boolean) than the declared value."""
    found, expected = _kind(value), _kind(declared)
    if expected not in (None, found):
        raise ConfigError(
            f"-P {key}={value} does not fit experiments/{name}.yaml",
            expected=f"{expected}, as `{key}: {declared}` is",
            found=f"{found}, {value!r}",
        )


def _kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, str):
        return "a text"
    return "a number" if isinstance(value, int | float) else None


def _check_varied(experiment: Experiment) -> None:
    """Check each choice, and the ends of each range, in the places of their `$name`."""
    training = experiment.raw.get("training") or {}
    for setting in ("threads", "epochs"):
        name = str(training.get(setting, "")).removeprefix("$")
        budgets = setting == "epochs" and experiment.document.search.strategy in BUDGETED
        if name in experiment.space and (setting == "threads" or budgets):
            raise ConfigError(
                f"experiments/{experiment.name}.yaml varies training.{setting}",
                expected="a number that all trials share"
                + ("; halving and hyperband vary the epochs by themselves" * budgets),
                found=f"${name}, which the search varies",
            )
    for name, values in experiment.space.items():
        for value in values.ends:
            experiment.recipe(experiment.at({name: value}))


def read_override(text: str) -> tuple[str, Scalar]:
    """Parse `name=value` of the command line; the value is YAML, so `1e-3` is a number.

    Raises:
        ConfigError: the text has another form.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    name, equals, value = text.partition("=")
    parsed: Any = None
    if equals and value:
        try:
            parsed = YAML(typ="safe", pure=True).load(value)
        except YAMLError:
            parsed = None
    if not name or not isinstance(parsed, bool | int | float | str):
        raise ConfigError(
            "-P needs a parameter and a value",
            expected="-P name=value, such as -P learning_rate=0.01",
            found=f"-P {text}",
        )
    return name, parsed
