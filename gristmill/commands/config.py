"""`gristmill config`: the experiment file with all defaults, and its JSON Schema."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import typer

from gristmill.commands.endings import echo
from gristmill.commands.options import Name, Override, load
from gristmill.pipelines.base import printable, writing
from gristmill.pipelines.config import FITTING, Document, Experiment, Project

LITERAL = ("parameters", "search")
"""Sections in which `$` has no special meaning."""


def show(name: Name, parameter: Override = []) -> None:  # noqa: B006
    """Print the experiment with every default filled in."""
    _, experiment = load(name, parameter)
    dump(experiment)


def print_schema() -> None:
    """Print the JSON Schema of experiment files, for editors."""
    typer.echo(schema(), nl=False)


def dump(experiment: Experiment) -> None:
    """Print the file with defaults filled in and `$name` replaced; it can be loaded again."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.allow_unicode = True
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 100
    # last: the representer is created on first access, from the settings above
    yaml.representer.yaml_representers = {**yaml.representer.yaml_representers, str: _text}
    made = StringIO()
    yaml.dump(_content(experiment.document), made)
    echo(made.getvalue().rstrip("\n"))


def _content(document: Document) -> dict[str, Any]:
    """Return the file's content without the defaults that loading would refuse."""
    content = document.model_dump(mode="json", by_alias=True)
    if document.model.library == "sklearn":
        content["model"] = {"sklearn": content["model"]["sklearn"]}
        content["training"] = {key: content["training"][key] for key in FITTING}
    if document.split.folds:
        del content["split"]["validation"]
    return {key: part if key in LITERAL else _escaped(part) for key, part in content.items()}


def _escaped(tree: Any) -> Any:
    """Double a leading dollar, so that the text is not read as a parameter's name."""
    if isinstance(tree, dict):
        return {key: _escaped(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_escaped(value) for value in tree]
    return f"${tree}" if isinstance(tree, str) and tree.startswith("$") else tree


def _text(representer: Any, text: str) -> Any:
    """Quote a text with a colon, which DVC's reader needs inside brackets, and escaped text."""
    style = '"' if ":" in text or printable(text) != text else None
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def schema() -> str:
    """Return the JSON Schema of experiment files.

    Any value of `model` and `training` can also be `$name`.
    """
    made = Document.model_json_schema(by_alias=True)
    for name in ("Model", "Training", "EarlyStopping"):
        for key, value in made["$defs"].get(name, {}).get("properties", {}).items():
            made["$defs"][name]["properties"][key] = {
                "anyOf": [value, {"type": "string", "pattern": r"^\$\w+$"}]
            }
    made["title"] = "Gristmill experiment"
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def write_schema(project: Project) -> None:
    """Write the schema to the path that the first line of experiment files names."""
    with writing(project.root / "build" / "experiment.schema.json") as aside:
        aside.write_text(schema(), encoding="utf-8")
