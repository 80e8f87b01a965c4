"""`gristmill config`: the experiment file, resolved, and its schema."""

from __future__ import annotations

import json
import sys

from pipelines.config import FITTING, Document, Experiment, Project, writing


def show(experiment: Experiment) -> None:
    """The file with defaults filled in and `$name` replaced, as YAML."""
    from ruamel.yaml import YAML

    document = experiment.document
    content = json.loads(document.model_dump_json(by_alias=True))
    if document.model.library == "sklearn":  # so that what is shown can be read again
        content["model"] = {"sklearn": content["model"]["sklearn"]}
        content["training"] = {key: content["training"][key] for key in FITTING}
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.allow_unicode = True
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 100
    yaml.dump(content, sys.stdout)


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
