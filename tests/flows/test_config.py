from __future__ import annotations

import json
from typing import Any

import pytest
from aftermath import TINY
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from flows.config import schema, show
from pipelines.config import Document, Project, load_experiment
from tests.conftest import Run


def read(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize("name", ["diabetes", "digits", "tiny"])
def test_what_is_shown_loads_again_to_the_same_document(
    name: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.experiment_file("tiny").write_text(TINY)
    experiment = load_experiment(project, name)
    show(experiment)
    shown = capsys.readouterr().out
    project.experiment_file("again").write_text(shown)
    assert load_experiment(project, "again").document == experiment.document


def test_an_override_is_shown_where_its_name_stands(project: Project, gristmill: Run) -> None:
    shown = read(gristmill("config", "show", "digits", "-P", "dropout=0.5", check=True).stdout)
    assert shown["parameters"]["dropout"] == 0.5
    assert {"Dropout": {"rate": 0.5}} in shown["model"]["layers"]


def test_the_schema_on_the_command_line_is_the_file_that_editors_read(
    project: Project, gristmill: Run
) -> None:
    from flows.config import write_schema

    printed = gristmill("config", "schema", check=True).stdout
    write_schema(project)
    assert (project.root / "build" / "experiment.schema.json").read_text() == printed
    for name in ("diabetes", "digits"):
        first = project.experiment_file(name).read_text().splitlines()[0]
        assert first == "# yaml-language-server: $schema=../build/experiment.schema.json"


def test_the_schema_has_every_section_and_refuses_other_keys() -> None:
    made = json.loads(schema())
    sections = {field.alias or name for name, field in Document.model_fields.items()}
    assert set(made["properties"]) == sections
    assert {"data", "schema", "split", "features", "model", "search", "gate"} <= sections
    assert {"data", "schema", "split", "features", "model"} == set(made["required"])
    assert all(part["additionalProperties"] is False for part in made["$defs"].values())


@pytest.mark.parametrize("name", ["diabetes", "digits", "tiny"])
def test_the_schema_accepts_what_the_project_accepts(name: str, project: Project) -> None:
    project.experiment_file("tiny").write_text(TINY)
    document = read(project.experiment_file(name).read_text())
    assert list(Draft202012Validator(json.loads(schema())).iter_errors(document)) == []


def test_the_schema_refuses_what_the_project_refuses() -> None:
    made = json.loads(schema())
    Draft202012Validator.check_schema(made)
    for old, new in (
        ("task: classification", "task: guessing"),
        ("epochs: $epochs", "epochs: many"),
        ("features: {}", "feature: {}"),
        ("min: 0,", "min: low,"),
    ):
        assert TINY.count(old) == 1
        document = read(TINY.replace(old, new))
        assert list(Draft202012Validator(made).iter_errors(document)) != [], new
