"""A recipe as JSON and back, and the differences between two in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from documents import SCALARS, TEXTS, written
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from tiny import KINDS, grid_points, make_project, write_experiment

from gristmill.pipelines.config.experiment import Recipe
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.config.section import Scalar
from gristmill.pipelines.config.sections import Features, Model, Training
from gristmill.pipelines.training.recipes import read_recipe, recipe_changes, recipe_record

NO_KERAS = {"optimizer": None, "batch_size": None, "epochs": None}
LAYERS = [{"Dense": {"units": "$units"}}, {"Dropout": {"rate": 0.1}}]


@pytest.fixture
def home(tmp_path: Path) -> Project:
    return make_project(tmp_path)


def recipe(project: Project, **changes: Any) -> Recipe:
    experiment = write_experiment(project, **changes)
    return experiment.recipe(grid_points(experiment)[0])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"training": {"early_stopping": {"patience": 3}, "class_weight": {"low": 2.0}}},
        {"features": {"exclude": ["colour"]}},
        {
            "features": {
                **KINDS,
                "columns": {**KINDS["columns"], "when": "date", "shop": "category"},
            }
        },
        {"model": {"layers": LAYERS}},
        {"model": {"layers": None, "builder": "mine:build", "arguments": {"units": "$units"}}},
        {"data": {"target": "weight", "task": "regression"}},
        {"model": {"layers": None, "sklearn": "LogisticRegression"}, "training": NO_KERAS},
    ],
)
def test_a_recipe_is_restored_from_its_json(home: Project, changes: dict[str, Any]) -> None:
    made = recipe(home, **changes)
    assert read_recipe(json.loads(json.dumps(recipe_record(made)))) == made


@given(
    features=written(Features),
    model=written(Model),
    training=written(Training),
    parameters=st.dictionaries(TEXTS, SCALARS, max_size=3),
)
def test_every_accepted_recipe_is_recorded_and_accepted_again(
    features: Any, model: Any, training: Any, parameters: dict[str, Scalar]
) -> None:
    parts = {"features": features, "model": model, "training": training, "parameters": parameters}
    more = {"task": "regression", "fit_metrics": ["accuracy"]}
    made = TypeAdapter(Recipe).validate_json(json.dumps(parts | more))
    record = json.loads(json.dumps(recipe_record(made), allow_nan=False))
    assert read_recipe(record) == made
    assert recipe_record(read_recipe(record)) == record


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, []),
        ({"training": {"batch_size": 64}}, ["training.batch_size: 16 → 64"]),
        ({"parameters": {"units": 7}}, ["units: 6 → 7"]),
        ({"parameters": {"unused": 7}}, []),
        ({"training": {"epochs": 9, "seed": 3, "threads": 2}}, []),
        ({"features": {"scale": "minmax"}}, ["features.scale: standard → minmax"]),
        ({"model": {"layers": LAYERS}}, ["model.layers: 1 → 2 entries"]),
        (
            {"model": {"layers": [{"Dense": {"units": "$units", "activation": "tanh"}}]}},
            ["model.layers.0.Dense.activation: relu → tanh"],
        ),
        (
            {"training": {"optimizer": {"SGD": {"learning_rate": "$learning_rate"}}}},
            ["training.optimizer: Adam → SGD"],
        ),
        ({"training": {"early_stopping": {}}}, ["training.early_stopping changed"]),
    ],
)
def test_a_difference_is_named_by_its_place_or_its_parameter(
    home: Project, changes: dict[str, Any], words: list[str]
) -> None:
    before, now = recipe_record(recipe(home)), recipe_record(recipe(home, **changes))
    assert recipe_changes(before, now) == words


def test_two_places_that_follow_one_parameter_are_reported_once(home: Project) -> None:
    two = {"layers": [{"Dense": {"units": "$units"}}, {"Dense": {"units": "$units"}}]}
    before = recipe_record(recipe(home, model=two))
    now = recipe_record(recipe(home, model=two, parameters={"units": 9}))
    assert recipe_changes(before, now) == ["units: 6 → 9"]
