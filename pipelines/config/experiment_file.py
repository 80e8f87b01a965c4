"""Checks of an experiment file; problems are described in YAML terms."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any, TypeVar

from pydantic import ValidationError

from gristmill.pipelines.base import ConfigError, Problem, read_yaml, redact, suggest
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.section import Scalar, Section

Sections = TypeVar("Sections", bound=Section)


def load_sections(project: Project, name: str, kind: type[Sections]) -> Sections:
    """Read `experiments/NAME.yaml` and check only the sections of `kind`.

    Args:
        project: The project.
        name: Name of the experiment.
        kind: Model with a field for each section to read.

    Raises:
        ConfigError: The file is missing, or a section is invalid; all problems are listed.
    """
    raw = read_yaml(project.require_experiment(name))
    return check_sections(kind, name, {key: raw[key] for key in _keys(kind) if key in raw})


def check_sections(
    kind: type[Sections],
    name: str,
    raw: Mapping[str, Any],
    values: Mapping[str, Scalar] | None = None,
) -> Sections:
    """Return the sections of `kind`, with every `$name` replaced by its value.

    Args:
        kind: Model with a field for each section.
        name: Name of the experiment, for messages.
        raw: Content of the file.
        values: Values that replace `$name`, by parameter.

    Raises:
        ConfigError: A section is invalid; all problems are listed.
    """
    values, problems = values or {}, list[Problem]()
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
            # through JSON, because a strict check accepts a list for a tuple only there
            return kind.model_validate_json(json.dumps(resolved, default=str))
        except ValidationError as error:
            problems = _problems(kind, error)
    raise ConfigError(
        f"experiments/{name}.yaml is not valid: {len(problems)} problem"
        + ("s" if len(problems) > 1 else ""),
        problems=problems,
        next=f"correct experiments/{name}.yaml; `gristmill config schema` lists the allowed keys",
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
    if isinstance(tree, float) and allowed and not math.isfinite(tree):  # a record has no infinity
        problems.append(Problem(where, "a finite number", str(tree)))
    if not isinstance(tree, str) or not tree.startswith("$") or tree == "$":  # the unit of a price
        return tree
    if tree.startswith("$$"):
        return tree[1:]
    if not allowed:
        problems.append(
            Problem(where, "a value: $names are allowed only in model and training", tree)
        )
    elif tree[1:] in values:
        return values[tree[1:]]
    else:
        names = ", ".join(sorted(values)) or "none"
        hint = suggest(tree[1:], values, "write $$ for a dollar sign", mark="$")
        problems.append(Problem(where, f"a name declared under parameters: {names}", tree, hint))
    return tree


def _problems(kind: type[Section], error: ValidationError) -> list[Problem]:
    by_place: dict[str, list[Problem]] = {}
    for entry in error.errors(include_url=False):
        parts = [str(p) for p in entry["loc"] if p not in ("int", "float", "str", "bool")]
        parts = [part for part in parts if not part.startswith(("literal[", "constrained-"))]
        where = ".".join(parts) or "the file"
        by_place.setdefault(where, []).append(_problem(kind, where, parts, dict(entry)))
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
"""Types in YAML terms, and pydantic's words that they replace."""


def _problem(
    kind: type[Section], where: str, parts: list[str], entry: Mapping[str, Any]
) -> Problem:
    found = "" if isinstance(entry["input"], dict) else _shown(entry["input"])
    if entry["type"] == "extra_forbidden":
        known = sorted(_keys(_section_at(kind, parts[:-1])))
        hint = suggest(parts[-1], known)
        return Problem(where, "one of " + ", ".join(known), f"unknown key '{parts[-1]}'", hint)
    if entry["type"] == "missing":
        return Problem(
            where, "a value: the key is required (`{}` is enough for a section)", "nothing"
        )
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


def _shown(value: object) -> str:
    text = redact(repr(value))
    return text if len(text) <= 80 else text[:77] + "…"


def _keys(kind: type[Section]) -> dict[str, object]:
    """Return the keys of a section in the file, with the types of their values."""
    return {f.alias or name: f.annotation for name, f in kind.model_fields.items()}


def _section_at(kind: type[Section], parts: list[str]) -> type[Section]:
    for part in parts:
        kind = _section_in(_keys(kind).get(part)) or kind
    return kind


def _section_in(annotation: object) -> type[Section] | None:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    inner = (_section_in(each) for each in getattr(annotation, "__args__", ()))
    return next(filter(None, inner), None)
