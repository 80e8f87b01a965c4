"""`gristmill config`: the output of `show` is a valid experiment file; the schema."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, get_args

import pytest
from aftermath import TINY
from documents import written
from hypothesis import given, reject
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML
from tiny import DOCUMENT, make_project, write_experiment

from gristmill.commands.config import dump, schema
from gristmill.pipelines.base import ConfigError
from gristmill.pipelines.config.document import Document
from gristmill.pipelines.config.experiment import Experiment, load_experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.section import Section
from tests.conftest import ROOT, Run


def read(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


FILES = sorted([*(ROOT / "experiments").glob("*.yaml"), *(ROOT / "examples").glob("*.yaml")])

KINDS = {
    "a": "category",
    "b": {"kind": "ordered", "levels": ["small", "middle", "large"]},
    "c": {"kind": "ordered", "levels": [1, 2.5, 3]},
    "d": "date",
    "e": {"kind": "text", "words": 9},
    "f": {"kind": "category", "size": 4},
    "g": "boolean",
    "h*": "number",
}
SKLEARN = {
    "model": {"layers": None, "sklearn": {"RandomForestClassifier": {"max_depth": "$units"}}},
    "training": {"optimizer": None, "batch_size": None, "epochs": None, "class_weight": "balanced"},
}
DECAY = {"PiecewiseConstantDecay": {"boundaries": ["2 epochs"], "values": [0.01, 0.001]}}
MARKS = ["", "~", "null", "-", "$$", "$$$", "1_000", "12", "=", "<<", "a: b", "a:b", "#", "%", "@"]


def drawn(strategy: str, **more: Any) -> dict[str, Any]:
    """Return a search with every kind of distribution."""
    values = {
        "units": {"int": [2, 8, 2]},
        "learning_rate": {"log_uniform": [0.0001, 0.1]},
        "rate": {"uniform": [0, 0.5]},
        "deep": {"log_int": [1, 9]},
        "way": ["relu", "tanh"],
    }
    declared = {"rate": 0.1, "deep": 1, "way": "relu"}
    return {"search": {"strategy": strategy, "space": values, **more}, "parameters": declared}


DOCUMENTS: dict[str, dict[str, Any]] = {
    "columns of every kind": {"features": {"columns": KINDS}},
    "folds": {"split": {"folds": 4, "group": "g"}},
    "time": {"split": {"time": {"column": "when", "test_from": "2026-02-01", "gap": "7d"}}},
    "given": {"split": {"test": "given", "given": "part"}},
    "shared": {"split": {"as": "other"}},
    "random": drawn("random", max_trials=3, max_time="2h", repeats=2),
    "bayesian": drawn("bayesian", max_trials=3, parallel=2, sampler="qmc"),
    "halving": drawn("halving", max_trials=3, max_time=60),
    "hyperband": drawn("hyperband", factor=2),
    "halving of a grid": {"search": {"strategy": "halving", "grid": {"units": [2, 9]}}},
    "estimator": SKLEARN,
    "folds of an estimator": {**SKLEARN, **drawn("random", max_trials=3), "split": {"folds": 3}},
    "decay": {"training": {"optimizer": {"Adam": {"learning_rate": DECAY}}}},
    "plateau": {
        "training": {
            "reduce_lr_on_plateau": {},
            "early_stopping": {"baseline": 1e-05},
            "class_weight": {"low": 2},
            "metrics": ["Precision", "AUC", "accuracy"],
        }
    },
    "builder": {
        "model": {"layers": None, "builder": "a:b", "arguments": {"n": "$units", "t": "$$t"}}
    },
    "regression": {
        "data": {"target": "w", "task": "regression"},
        "features": {"scale_target": True},
    },
    "csv": {
        "data": {"csv": {"delimiter": "\t", "quote": "'", "encoding": "latin-1", "missing": MARKS}}
    },
    "pictures": {"data": {"pictures": {"height": 8, "width": 9}}},
    "query": {
        "data": {"source": "sqlite:///a.db", "query": "SELECT *\nFROM t -- $x\nORDER BY 1\n"}
    },
    "schema": {
        "schema": {
            "rows": {"min": 3},
            "columns": {
                "when": {
                    "type": "date",
                    "min": "2026-01-01",
                    "one_of": ["$$5", "2026-01-31", 1, True],
                },
                "part*": {"missing": 0.5, "matches": "$$^|:"},
            },
            "rules": [{"check": "a >= b"}],
            "fresh": {"column": "when", "within": "36h"},
        }
    },
    "slices": {
        "evaluation": {"slices": ["bins", "columns", {"age": {"bins": [18, 65]}}, {"search": True}]}
    },
    "slice called bins": {"evaluation": {"slices": ["bins"]}},
    "threshold": {"evaluation": {"threshold": {"cost": {"false_negative": 5}, "positive": "top"}}},
    "gate": {
        "evaluation": {"metrics": ["accuracy", "recall:low", "recall:<30"]},
        "gate": {
            "require": {"recall:a b": {"min": 0.3}, "accuracy": {"max": 1, "of": "low"}},
            "slices": {"colour=red": {"min": 0.3}, "colour": {}},
        },
    },
    "rhythm": {
        "data": {"source": "https://example.com/a.csv"},
        "monitor": {"interval": 600, "path": "in/*.csv"},
        "schedule": {"cron": "0 6 * * *", "timezone": "Asia/Seoul", "refresh": True},
    },
}


def shown_again(
    project: Project, experiment: Experiment, capsys: pytest.CaptureFixture[str]
) -> Document:
    """Load the output of `show` as an experiment file; return its document."""
    dump(experiment)
    project.experiment_file("again").write_text(capsys.readouterr().out)
    return load_experiment(project, "again").document


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_a_shown_file_loads_to_the_same_document(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path)
    project.experiment_file("first").write_text(file.read_text())
    experiment = load_experiment(project, "first")
    assert shown_again(project, experiment, capsys) == experiment.document


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_shown_document_loads_to_the_same_document(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path)
    experiment = write_experiment(project, **DOCUMENTS[name])
    assert shown_again(project, experiment, capsys) == experiment.document


def written_sections(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw these sections of a document."""
    drawn = {}
    for name in names:
        field = Document.model_fields[name]
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Section):
                drawn[field.alias or name] = written(kind)
    return st.fixed_dictionaries(drawn)


@given(
    content=st.lists(st.sampled_from(sorted(Document.model_fields)), max_size=3).flatmap(
        written_sections
    )
)
def test_every_accepted_document_is_shown_and_accepted_again(
    content: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = make_project(tmp_path_factory.mktemp("shown"))
    project.experiment_file("first").write_text(json.dumps(DOCUMENT | content))
    try:
        experiment = load_experiment(project, "first")
    except ConfigError:
        reject()
    with redirect_stdout(io.StringIO()) as shown:
        dump(experiment)
    project.experiment_file("again").write_text(shown.getvalue())
    assert load_experiment(project, "again").document == experiment.document


def test_an_infinite_slice_edge_is_shown_as_infinite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path)
    experiment = write_experiment(project, evaluation={"slices": [{"age": {"bins": [1, 18, 99]}}]})
    text = experiment.file.read_text().replace("[1, 18, 99]", "[-.inf, 18, .inf]")
    experiment.file.write_text(text)
    experiment = load_experiment(project, "tiny")
    assert shown_again(project, experiment, capsys) == experiment.document


def test_an_override_is_shown_at_the_place_of_its_name(project: Project, gristmill: Run) -> None:
    shown = read(gristmill("config", "show", "digits", "-P", "dropout=0.5", check=True).stdout)
    assert shown["parameters"]["dropout"] == 0.5
    assert {"Dropout": {"rate": 0.5}} in shown["model"]["layers"]


def test_the_schema_on_the_command_line_is_the_file_that_editors_read(
    project: Project, gristmill: Run
) -> None:
    from gristmill.commands.config import write_schema

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
