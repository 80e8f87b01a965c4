"""Scikit-learn models in the experiment file: names, arguments, compatible settings."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tiny import grid_points, make_project, write_experiment

from gristmill.pipelines.base.errors import ConfigError
from gristmill.pipelines.config.experiment import Experiment
from gristmill.pipelines.config.known_estimators import (
    ESTIMATORS,
    arguments_of,
    tells_probabilities,
)
from gristmill.pipelines.config.project import Project
from tests.conftest import said_by


def estimator(name: str) -> Any:
    return getattr(import_module(f"sklearn.{ESTIMATORS[name][1]}"), name)


def load(project: Project, sklearn: Any, **changes: Any) -> Experiment:
    return write_experiment(project, model={"layers": None, "sklearn": sklearn}, **changes)


@pytest.fixture
def home(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


PLAIN: dict[str, Any] = {"training": None, "parameters": None}
REGRESSION: dict[str, Any] = {"data": {"target": "weight", "task": "regression"}, **PLAIN}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_what_is_read_from_the_source_code_matches_the_classes_of_scikit_learn(name: str) -> None:
    kind = estimator(name)
    assert arguments_of(name) == tuple(inspect.signature(kind).parameters)
    takes_weights = "sample_weight" in inspect.signature(kind.fit).parameters
    assert ("sample_weight" in arguments_of(name, "fit")) == takes_weights
    task = kind().__sklearn_tags__().estimator_type
    assert ESTIMATORS[name][0] == {"classifier": "classification", "regressor": "regression"}[task]
    if task == "classifier":
        assert tells_probabilities(name, {}) == hasattr(kind(), "predict_proba")


@pytest.mark.parametrize("loss", ["hinge", "log_loss", "modified_huber", "perceptron"])
def test_the_loss_of_sgd_decides_whether_it_has_probabilities(loss: str) -> None:
    known = hasattr(estimator("SGDClassifier")(loss=loss), "predict_proba")
    assert tells_probabilities("SGDClassifier", {"loss": loss}) == known


def test_a_model_is_a_name_alone_or_with_arguments(home: Project) -> None:
    assert load(home, "LogisticRegression", **PLAIN).document.model.sklearn == {
        "LogisticRegression": {}
    }
    made = load(
        home,
        {"LogisticRegression": {"C": "$C", "solver": "saga"}},
        training=None,
        parameters={"units": None, "learning_rate": None, "C": 0.5},
        search={"grid": {"C": [0.1, 0.5]}},
    )
    points = [made.recipe(point).model.estimator for point in grid_points(made)]
    assert points == [("LogisticRegression", {"C": c, "solver": "saga"}) for c in (0.1, 0.5)]


def test_the_estimator_itself_can_be_varied(home: Project) -> None:
    names = ["GaussianNB", "RandomForestClassifier"]
    made = load(
        home,
        "$name",
        training=None,
        parameters={"name": names[0]},
        search={"grid": {"name": names}},
    )
    assert [made.recipe(point).model.estimator[0] for point in grid_points(made)] == names


@pytest.mark.parametrize(
    ("sklearn", "words"),
    [
        ("LogisticRegresion", "no classifier or regressor 'LogisticRegresion'; did you mean Log"),
        ("Zzzzz", "no classifier or regressor 'Zzzzz': there are ARDRegression"),
        ("KNeighborsClassifier", "cannot be packaged: a package contains no pickle.*GaussianNB"),
        ({"LogisticRegression": {"c": 1}}, "no argument 'c'; did you mean C?.*max_iter"),
        ({"LogisticRegression": {"random_state": 1}}, "the seed is training.seed"),
        ({"RandomForestClassifier": {"n_jobs": 2}}, "a trial are training.threads"),
        ({"LinearSVC": {"class_weight": "balanced"}}, "it is training.class_weight"),
        ("Ridge", "Ridge is for regression, but data.task is classification.*GaussianNB"),
        ({"GaussianNB": 3}, "arguments of GaussianNB must be a mapping, found 3"),
        (["GaussianNB"], "a name or one"),
    ],
)
def test_unknown_or_unusable_names_and_arguments_are_refused_with_the_allowed_ones(
    home: Project, sklearn: Any, words: str
) -> None:
    with pytest.raises(ConfigError, match=rf"(?s)model.*{words}"):
        load(home, sklearn, **PLAIN)


def test_a_classifier_for_a_regression_is_refused(home: Project) -> None:
    with pytest.raises(ConfigError, match="is for classification, but"):
        load(home, "LogisticRegression", **REGRESSION)
    load(home, "Ridge", **REGRESSION)


@pytest.mark.parametrize(
    ("sklearn", "changes", "words"),
    [
        ("LogisticRegression", {"training": {"epochs": 3}}, "remove batch_size, epochs, opt"),
        ("LogisticRegression", {"training": {"metrics": ["AUC"]}}, "metrics, optimizer, which are"),
        (
            "MLPClassifier",
            {"training": None, "search": {"strategy": "halving", "grid": {"units": [1, 2]}}},
            "halving trains for a few epochs first, but MLPClassifier has no epochs",
        ),
        (
            "LinearDiscriminantAnalysis",
            {"training": {**dict.fromkeys(["optimizer", "batch_size", "epochs"]),
                          "class_weight": "balanced"}},
            "LinearDiscriminantAnalysis cannot weight its training rows",
        ),
        ("LinearSVC", {**PLAIN, "evaluation": {"metrics": ["log_loss"]}}, "log_loss needs prob"),
        ("Perceptron", {**PLAIN, "gate": {"require": {"brier": {"max": 1}}}}, "which Perceptron"),
        ("LinearSVC", {**PLAIN, "search": {"objective": "val_loss"}}, "has no value 'val_loss'"),
    ],
)  # fmt: skip
def test_settings_that_an_estimator_does_not_support_are_refused(
    home: Project, sklearn: str, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        load(home, sklearn, **changes)


@pytest.mark.parametrize("beside", [{"builder": "a:b"}, {"layers": []}, {"output": ["Dense"]}])
def test_two_kinds_of_model_in_one_file_are_refused(home: Project, beside: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="model"):
        write_experiment(home, model={"layers": None, "sklearn": "GaussianNB", **beside}, **PLAIN)


def test_without_probabilities_the_default_metrics_need_none(home: Project) -> None:
    made = load(home, "LinearSVC", **PLAIN).document
    assert made.test_metrics == ("accuracy", "f1_macro")
    assert made.objective == "val_accuracy"
    assert load(home, "GaussianNB", **PLAIN).document.test_metrics[-1] == "log_loss"


def test_reading_a_valid_file_does_not_import_scikit_learn(home: Project) -> None:
    load(home, {"RandomForestClassifier": {"max_depth": 3}}, **PLAIN)
    code = (
        "import sys; from gristmill.pipelines.config import Project, load_experiment; "
        "load_experiment(Project.find(), 'tiny'); "
        "print('sklearn' in sys.modules)"
    )
    assert said_by(code, home.root) == "False"
