"""Which trials share a traced program, and that sharing changes no result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny import make_data, make_project, write_experiment

from gristmill.pipelines.config.experiment import Recipe
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.training.keras_model import DataTraits
from gristmill.pipelines.training.programs import architecture
from gristmill.pipelines.training.trial import read_result
from gristmill.pipelines.workers.bench import Bench
from gristmill.pipelines.workers.messages import Train

SCHEDULE = {"ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 9, "decay_rate": 0.5}}


@pytest.fixture
def home(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def recipe(project: Project, **changes: Any) -> Recipe:
    experiment = write_experiment(project, **changes)
    return experiment.recipe(experiment.document.parameters)


def known(recipe: Recipe, **facts: Any) -> str:
    return architecture(recipe, DataTraits(**{"shape": (5,), "outputs": 3, **facts}))


def optimizer(name: str, **arguments: Any) -> dict[str, Any]:
    return {"training": {"optimizer": {name: arguments}}}


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"learning_rate": 0.5}},
        {"training": {"batch_size": 5}},
        {"training": {"seed": 9}},
        {"training": {"epochs": 50}},
        {"training": {"early_stopping": {"patience": 1}}},
        {"training": {"threads": 2}},
    ],
)
def test_trials_that_differ_outside_the_graph_share_a_program(
    home: Project, changes: dict[str, Any]
) -> None:
    assert known(recipe(home, **changes)) == known(recipe(home))


@pytest.mark.parametrize(
    "changes",
    [
        {"parameters": {"units": 7}},
        {"model": {"layers": [{"Dense": {"units": 6, "activation": "tanh"}}]}},
        {"training": {"loss": "categorical_crossentropy"}},
        {"training": {"metrics": ["accuracy", "AUC"]}},
        {"training": {"precision": "mixed_bfloat16"}},
        {"training": {"class_weight": "balanced"}},
        optimizer("RMSprop", learning_rate=0.02),
        optimizer("Adam", learning_rate=0.02, beta_1=0.8),
        optimizer("Adam", learning_rate=SCHEDULE),
    ],
)
def test_another_graph_needs_another_program(home: Project, changes: dict[str, Any]) -> None:
    assert known(recipe(home, **changes)) != known(recipe(home))


def test_different_schedules_need_different_programs(home: Project) -> None:
    slow = {"ExponentialDecay": {**SCHEDULE["ExponentialDecay"], "decay_rate": 0.9}}
    one, other = (recipe(home, **optimizer("Adam", learning_rate=s)) for s in (SCHEDULE, slow))
    assert known(one) != known(other)


def test_rows_of_another_shape_need_another_program(home: Project) -> None:
    asked = recipe(home)
    assert known(asked, shape=(7,)) != known(asked)
    assert known(asked, outputs=4) != known(asked)
    assert known(asked, embedded=[(5, 3)]) != known(asked)


def test_steps_per_epoch_matter_if_a_schedule_counts_epochs(home: Project) -> None:
    by_epoch = {"CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": "3 epochs"}}
    counted = recipe(home, **optimizer("Adam", learning_rate=by_epoch))
    assert known(counted, steps=5) != known(counted, steps=6)
    assert known(recipe(home), steps=5) == known(recipe(home), steps=6)


def test_a_bench_keeps_few_programs_without_an_effect_on_the_result(
    home: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gristmill.pipelines.training.programs.KEPT", 2)
    data = make_data(home, write_experiment(home))
    bench, found = Bench(), []
    for units in (4, 5, 6, 4):
        asked = recipe(home, parameters={"units": units}, training={"epochs": 1})
        folder = data / "trials" / str(len(found))
        bench.train(Train("k", asked, data / "training", folder, home.experiments), _ignore)
        found.append(read_result(folder))
    assert len(bench.programs) == 2
    first, last = found[0], found[-1]
    assert first is not None
    assert last is not None
    assert first.history == last.history


def test_programs_of_large_models_are_not_kept_together(
    home: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gristmill.pipelines.training.programs.KEPT_VALUES", 100)
    data = make_data(home, write_experiment(home))
    bench = Bench()
    for units in (40, 50):
        asked = recipe(home, parameters={"units": units}, training={"epochs": 1})
        folder = data / "trials" / str(units)
        bench.train(Train("k", asked, data / "training", folder, home.experiments), _ignore)
        assert len(bench.programs) == 1


def _ignore(number: int, logs: Any) -> None:
    pass
