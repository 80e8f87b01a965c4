"""`gristmill config`: the experiment file, resolved, and its schema."""

from __future__ import annotations

import json
import sys
from typing import Any

import typer

from gristmill.commands.options import Name, Override, load
from gristmill.pipelines.base import writing
from gristmill.pipelines.config import FITTING, Document, Experiment, Project

LITERAL = ("parameters", "search")
"""Sections in which `$` has no meaning."""


def show(name: Name, parameter: Override = []) -> None:  # noqa: B006
    """Print the experiment with every default filled in."""
    _, experiment = load(name, parameter)
    dump(experiment)


def print_schema() -> None:
    """Print the JSON Schema of experiment files, for editors."""
    typer.echo(schema(), nl=False)


def dump(experiment: Experiment) -> None:
    """Print the file with defaults filled in and `$name` replaced; it can be read again."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.allow_unicode = True
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 100
    # last: the representer is made when it is first asked for, from what is set above
    yaml.representer.yaml_representers = {**yaml.representer.yaml_representers, str: _text}
    yaml.dump(_content(experiment.document), sys.stdout)


def _content(document: Document) -> dict[str, Any]:
    """What the file has to say; the defaults that a reader would refuse are left out."""
    content = document.model_dump(mode="json", by_alias=True)
    if document.model.library == "sklearn":
        content["model"] = {"sklearn": content["model"]["sklearn"]}
        content["training"] = {key: content["training"][key] for key in FITTING}
    if document.split.folds:
        del content["split"]["validation"]
    return {key: part if key in LITERAL else _escaped(part) for key, part in content.items()}


def _escaped(tree: Any) -> Any:
    """Texts that begin with a dollar get another, so that they are not read as names."""
    if isinstance(tree, dict):
        return {key: _escaped(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_escaped(value) for value in tree]
    return f"${tree}" if isinstance(tree, str) and tree.startswith("$") else tree


def _text(representer: Any, text: str) -> Any:
    """In quotes where it has a colon, as DVC's reader needs it inside brackets."""
    style = '"' if ":" in text else None
    return representer.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def schema() -> str:
    """JSON Schema of experiment files; `$name` may stand for any value of model and training."""
    made = Document.model_json_schema(by_alias=True)
    for name in ("Model", "Training", "EarlyStopping"):
        for key, value in made["$defs"].get(name, {}).get("properties", {}).items():
            made["$defs"][name]["properties"][key] = {
                "anyOf": [value, {"type": "string", "pattern": r"^\$\w+$"}]
            }
    made["title"] = "Gristmill experiment"
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def write_schema(project: Project) -> None:
    """Puts the schema where the first line of experiment files points editors to."""
    with writing(project.root / "build" / "experiment.schema.json") as aside:
        aside.write_text(schema(), encoding="utf-8")
