"""The experiment file, read and checked, with `$name` for what is declared once."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gristmill.pipelines.base import ConfigError, Problem, nearest, read_yaml, redact
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.search_section import BUDGETED, Distribution
from gristmill.pipelines.config.section import Scalar, Section
from gristmill.pipelines.config.sections import Data, Document, Features, Model, Training


@dataclass(frozen=True)
class Recipe:
    """One grid point, every `$name` replaced: what a trial needs to know of the file."""

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
        """The values of each parameter that differs between points, by sorted names."""
        varied = self.document.search.varied
        return {name: varied[name] for name in sorted(varied) if name not in self.overrides}

    def with_workers(self, count: int) -> Experiment:
        """The same, its trials trained by so many workers; no result depends on it."""
        search = self.document.search.model_copy(update={"workers": count})
        return replace(self, document=self.document.model_copy(update={"search": search}))

    @property
    def varied(self) -> list[str]:
        """The parameters that differ between points."""
        return list(self.space)

    def points(self) -> Iterator[dict[str, Scalar]]:
        """The parameters of each grid point: sorted names, `itertools.product` of their values."""
        space = self.space
        for values in itertools.product(*(values.choice or () for values in space.values())):
            yield self.at(dict(zip(space, values, strict=True)))

    def at(self, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """All parameters where the varied ones have these values."""
        return {**self.document.parameters, **values}

    def recipe(self, point: Mapping[str, Scalar]) -> Recipe:
        """The file as this grid point reads it.

        Raises:
            ConfigError: a value of the grid does not fit where `$name` stands.
        """
        document = _check(self.name, self.raw, point)
        training = document.training
        if document.model.sklearn is not None:  # which is trained in one go
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
    """Reads and checks `experiments/NAME.yaml`; every value of a grid is checked as well.

    Raises:
        ConfigError: the file is missing or wrong; all problems are listed.
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
    document = _check(name, raw, {**declared, **overrides})
    for key, value in overrides.items():
        _require_kind(name, key, declared[key], value)
    experiment = Experiment(name, file, raw, overrides, document)
    _check_varied(experiment)
    return experiment


def _require_kind(name: str, key: str, declared: Any, value: Scalar) -> None:
    """A number is replaced by a number, a text by a text, a truth by a truth."""
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
    """Every choice and the ends of every range stand where they may."""
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
    """`name=value` of the command line; the value is read as YAML, so `1e-3` is a number.

    Raises:
        ConfigError: it has another form.
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
            "-P takes a parameter and a value",
            expected="-P name=value, such as -P learning_rate=0.01",
            found=f"-P {text}",
        )
    return name, parsed


def _check(name: str, raw: Mapping[str, Any], values: Mapping[str, Scalar]) -> Document:
    problems: list[Problem] = []
    resolved = {
        key: value
        if key == "search"
        else _replace(value, values, key, problems, key in ("model", "training"))
        for key, value in raw.items()
    }
    if isinstance(resolved.get("parameters"), dict):
        resolved["parameters"] |= values
    if not problems:
        try:
            # through JSON, where a strict check takes a list for a tuple
            return Document.model_validate_json(json.dumps(resolved, default=str), strict=True)
        except ValidationError as error:
            problems = _problems(error)
    raise ConfigError(
        f"experiments/{name}.yaml is not valid: {len(problems)} problem"
        + ("s" if len(problems) > 1 else ""),
        problems=problems,
        next=f"mend experiments/{name}.yaml; `gristmill config schema` lists what may stand in it",
    )


def _replace(
    tree: Any, values: Mapping[str, Scalar], where: str, problems: list[Problem], allowed: bool
) -> Any:
    if isinstance(tree, dict):
        return {
            str(key): _replace(value, values, f"{where}.{key}", problems, allowed)
            for key, value in tree.items()
        }
    if isinstance(tree, list):
        return [_replace(v, values, f"{where}.{i}", problems, allowed) for i, v in enumerate(tree)]
    if isinstance(tree, date):  # DVC keeps what it tracks as JSON, which has no dates
        problems.append(Problem(where, f'a text: "{tree}" in quotes', f"the bare date {tree}"))
    if not isinstance(tree, str) or not tree.startswith("$"):
        return tree
    if tree.startswith("$$"):
        return tree[1:]
    if not allowed:
        problems.append(Problem(where, "a value: $names stand in model and training only", tree))
    elif tree[1:] in values:
        return values[tree[1:]]
    else:
        near = nearest(tree[1:], values)
        problems.append(
            Problem(
                where,
                "a name that stands under parameters: " + (", ".join(sorted(values)) or "none"),
                tree,
                f"did you mean ${near}?" if near else "write $$ for a dollar",
            )
        )
    return tree


def _problems(error: ValidationError) -> list[Problem]:
    by_place: dict[str, list[Problem]] = {}
    for entry in error.errors(include_url=False):
        parts = [str(p) for p in entry["loc"] if p not in ("int", "float", "str", "bool")]
        parts = [part for part in parts if not part.startswith(("literal[", "constrained-"))]
        where = ".".join(parts) or "the file"
        by_place.setdefault(where, []).append(_problem(where, parts, dict(entry)))
    return [
        replace(found[0], expected=" or ".join(dict.fromkeys(p.expected for p in found)))
        for found in by_place.values()
    ]


WORDS = {
    "": "Input should be ",
    "boolean: true or false": "a valid boolean",
    "a list": "a valid array",
    "a mapping": "an object",
    "number": "a valid number",
    "integer": "a valid integer",
    "text": "a valid string",
}
"""What pydantic says of types, in the words of a YAML file."""


def _problem(where: str, parts: list[str], entry: Mapping[str, Any]) -> Problem:
    found = "" if isinstance(entry["input"], dict) else _shown(entry["input"])
    if entry["type"] == "extra_forbidden":
        known = _keys_at(parts[:-1])
        near = nearest(parts[-1], known)
        hint = f"did you mean {near}?" if near else ""
        return Problem(where, "one of " + ", ".join(known), f"unknown key '{parts[-1]}'", hint)
    if entry["type"] == "missing":
        return Problem(where, "a value: the key is needed (`{}` will do for a section)", "nothing")
    if entry["type"] == "value_error":
        message = str(entry["msg"]).removeprefix("Value error, ")
        return Problem(message if where == "the file" else f"{where}: {message}", found=found)
    message = "at least one" if entry["type"] == "too_short" else str(entry["msg"])
    for ours, pydantics in WORDS.items():
        message = message.replace(pydantics, ours)
    hint = ""
    if found in ("'no'", "'yes'", "'on'", "'off'") and "boolean" in message:
        hint = "YAML 1.2 knows only true and false"
    return Problem(where, message, found, hint)


def _shown(value: Any) -> str:
    text = redact(repr(value))
    return text if len(text) <= 80 else text[:77] + "…"


def _keys_at(parts: list[str]) -> list[str]:
    """The keys that the section at this place knows."""
    section: Any = Document
    for part in parts:
        fields = getattr(section, "model_fields", {})
        by_alias = {field.alias or name: field for name, field in fields.items()}
        if part in by_alias:
            section = _section_in(by_alias[part].annotation)
    return sorted(field.alias or name for name, field in section.model_fields.items())


def _section_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _section_in(inner)
        if found is not None:
            return found
    return None
