"""Trials of scikit-learn estimators: predictions from their arrays, and files of a trial."""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits
from tiny import DIGEST, KINDS, make_data, make_project, mixed, run_search, trials, write_experiment

from gristmill.pipelines.base.errors import ConfigError, EnvironmentFault
from gristmill.pipelines.config.experiment import Experiment
from gristmill.pipelines.config.known_estimators import ESTIMATORS, arguments_of
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.training.estimator_arrays import arrays_of
from gristmill.pipelines.training.estimators import require_memory
from gristmill.pipelines.training.predictor import columns, load, predict, save
from gristmill.pipelines.training.trial import TrialResult
from gristmill.pipelines.workers.pool import Pool
from tests.conftest import said_by

PLAIN: dict[str, Any] = {"training": None, "parameters": None}
SMALL = {"n_estimators": 7, "max_iter": 60, "max_subpopulation": 50}
"""Arguments that keep the fits short, for estimators that accept them."""

OTHERS: dict[str, list[dict[str, Any]]] = {
    "LogisticRegression": [{"solver": "saga", "l1_ratio": 1}, {"fit_intercept": False}],
    "SGDClassifier": [{"loss": "log_loss"}, {"loss": "modified_huber"}],
    "MLPClassifier": [{"activation": "logistic", "hidden_layer_sizes": [4, 3]}],
    "MLPRegressor": [{"activation": "tanh"}, {"activation": "identity"}],
    "TweedieRegressor": [{"power": 1.5}, {"power": 0, "link": "log"}],
    "GradientBoostingRegressor": [{"loss": "absolute_error"}],
    "HistGradientBoostingRegressor": [{"loss": "poisson"}, {"max_leaf_nodes": 3}],
    "DecisionTreeClassifier": [{"max_depth": 1}],
    "LinearDiscriminantAnalysis": [{"solver": "lsqr", "shrinkage": "auto"}],
    "Ridge": [{"fit_intercept": False}],
}

SELECTS = {"OrthogonalMatchingPursuitCV": {"max_iter": 3}}
"""Here `max_iter` is the number of columns."""

CASES = [
    (name, SELECTS.get(name, {}) | more)
    for name in ESTIMATORS
    for more in ({}, *OTHERS.get(name, []))
]


def fitted(name: str, more: dict[str, Any], x: Any, y: Any) -> Any:
    known = arguments_of(name)
    own = {key: value for key, value in SMALL.items() if key in known}
    own |= {"random_state": 0} if "random_state" in known else {}
    kind = getattr(import_module(f"sklearn.{ESTIMATORS[name][1]}"), name)
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")
        return kind(**{**own, **more}).fit(x, y)


def rows_for(name: str, seed: int, classes: int) -> tuple[Any, Any]:
    """Return three numbers and a code with four levels, and a target that depends on them."""
    rng = np.random.default_rng(seed)
    x = np.column_stack([rng.normal(size=(60, 3)), rng.integers(0, 4, 60)]).astype(np.float32)
    value = x[:, 0] + (x[:, 3] == 2) + rng.normal(0, 0.3, 60)
    if ESTIMATORS[name][0] == "regression":
        return x, np.exp(value).astype(np.float32)
    order = value.argsort().argsort()
    return x, (order * classes // 60).astype(np.int32)


@pytest.mark.parametrize(("name", "more"), CASES)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 4))
@settings(max_examples=3)
def test_predictions_from_the_arrays_equal_those_of_the_estimator(
    name: str, more: dict[str, Any], seed: int, classes: int, tmp_path_factory: Any
) -> None:
    x, y = rows_for(name, seed, classes)
    flat = columns(x, [4])
    estimator = fitted(name, more, flat, y)
    file = tmp_path_factory.getbasetemp() / "estimator.npz"
    save(file, *arrays_of(estimator, [4]))
    others, _ = rows_for(name, seed + 1, classes)
    ours = predict(load(file), others)
    if hasattr(estimator, "predict_proba"):
        theirs = estimator.predict_proba(columns(others, [4]))
    elif ESTIMATORS[name][0] == "regression":
        theirs = estimator.predict(columns(others, [4]))[:, None]
    else:
        theirs = np.eye(classes)[estimator.predict(columns(others, [4]))]
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert predict(load(file), others[:0]).shape == (0, ours.shape[1])


def test_exponential_boosting_predicts_as_in_scikit_learn(tmp_path: Path) -> None:
    x, y = rows_for("GradientBoostingClassifier", 3, 2)
    estimator = fitted("GradientBoostingClassifier", {"loss": "exponential"}, x, y)
    save(tmp_path / "it.npz", *arrays_of(estimator, []))
    ours = predict(load(tmp_path / "it.npz"), x)
    np.testing.assert_allclose(ours, estimator.predict_proba(x), rtol=1e-12)


@given(
    codes=st.lists(st.integers(2, 6), min_size=1, max_size=3),
    seed=st.integers(0, 100),
    numbers=st.integers(0, 3),
)
def test_a_code_becomes_one_column_for_each_known_level(
    codes: list[int], seed: int, numbers: int
) -> None:
    rng = np.random.default_rng(seed)
    drawn = np.column_stack([rng.integers(0, count, 9) for count in codes])
    rows = np.concatenate([rng.normal(size=(9, numbers)), drawn], axis=1, dtype=np.float32)
    made = columns(rows, codes)
    assert made.shape == (9, numbers + sum(codes) - len(codes))
    np.testing.assert_array_equal(made[:, :numbers], rows[:, :numbers])
    for row, one_hot in zip(drawn, made[:, numbers:], strict=True):
        wanted = [np.arange(1, count) == code for code, count in zip(row, codes, strict=True)]
        np.testing.assert_array_equal(one_hot, np.concatenate(wanted))


def test_pictures_are_trained_on_as_one_row_of_pixels() -> None:
    pictures = np.arange(24, dtype=np.float32).reshape(2, 2, 3, 2)
    np.testing.assert_array_equal(columns(pictures, []), pictures.reshape(2, 12))


@pytest.fixture
def home(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def experiment_of(project: Project, sklearn: Any, **changes: Any) -> Experiment:
    sections = {**PLAIN, **changes}
    return write_experiment(project, model={"layers": None, "sklearn": sklearn}, **sections)


FOREST = {"RandomForestClassifier": {"n_estimators": "$trees", "max_depth": 4}}
GRID: dict[str, Any] = {
    "parameters": {"units": None, "learning_rate": None, "trees": 3},
    "search": {"grid": {"trees": [2, 3, 5]}},
}


def searched(project: Project, experiment: Experiment, pool: Pool) -> dict[str, TrialResult]:
    told = run_search(project, experiment, trials(experiment, DIGEST), pool)
    return {each.key: each for each in told if isinstance(each, TrialResult)}


def weights_of(project: Project, key: str) -> dict[str, npt.NDArray[Any]]:
    with np.load(project.build("tiny") / "trials" / key / "weights.npz") as saved:
        return dict(saved)


def test_results_are_identical_for_any_number_of_workers_and_any_order(
    home: Project, pool: Pool
) -> None:
    make_data(home, experiment_of(home, FOREST, **GRID))
    ends, files = [], []
    for workers, trees in ((1, [2, 3, 5]), (2, [5, 2, 3])):
        changes = {**GRID, "search": {"grid": {"trees": trees}, "workers": workers}}
        results = searched(home, experiment_of(home, FOREST, **changes), pool)
        ends.append({k: replace(r, seconds=0.0, started=0.0) for k, r in results.items()})
        files.append(
            {k: (home.build("tiny") / f"trials/{k}/weights.npz").read_bytes() for k in results}
        )
    assert len(ends[0]) == 3
    assert ends[0] == ends[1]
    assert files[0] == files[1]


def test_scores_equal_those_of_scikit_learn_on_the_same_rows(home: Project, pool: Pool) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, log_loss

    build = make_data(home, experiment_of(home, "LogisticRegression"))
    (result,) = searched(home, experiment_of(home, "LogisticRegression"), pool).values()
    rows = {p.stem: np.load(p) for p in (build / "training").glob("*.npy")}
    by_hand = LogisticRegression().fit(rows["x_training"].astype(np.float64), rows["y_training"])
    shares = by_hand.predict_proba(rows["x_validation"].astype(np.float64))
    truth = rows["y_validation"]
    assert result.scores["val_accuracy"] == accuracy_score(truth, shares.argmax(axis=1))
    assert result.scores["val_loss"] == pytest.approx(log_loss(truth, shares), rel=1e-12)
    assert set(result.scores) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert result.weights == by_hand.coef_.size + by_hand.intercept_.size
    kept = weights_of(home, result.key)
    np.testing.assert_array_equal(kept["coefficients"], by_hand.coef_)


def test_class_weights_are_passed_to_fit_as_sample_weights(home: Project, pool: Pool) -> None:
    from sklearn.linear_model import LogisticRegression

    weighted = {"training": {**dict.fromkeys(["optimizer", "batch_size", "epochs"]),
                             "class_weight": {"low": 5}}}  # fmt: skip
    experiment = experiment_of(home, "LogisticRegression", **weighted)
    build = make_data(home, experiment)
    (result,) = searched(home, experiment, pool).values()
    rows = {p.stem: np.load(p) for p in (build / "training").glob("*.npy")}
    by_hand = LogisticRegression().fit(
        rows["x_training"].astype(np.float64),
        rows["y_training"],
        np.where(rows["y_training"] == 0, 5.0, 1.0).astype(np.float32),
    )
    np.testing.assert_array_equal(weights_of(home, result.key)["coefficients"], by_hand.coef_)


def test_a_regression_learns_the_scaled_target_and_columns_of_every_kind(
    home: Project, pool: Pool
) -> None:
    experiment = experiment_of(
        home,
        "Ridge",
        data={"target": "y", "task": "regression"},
        features={**KINDS, "scale_target": True},
    )
    make_data(home, experiment, frame=mixed(300))
    (result,) = searched(home, experiment, pool).values()
    assert set(result.scores) == {f"{p}{m}" for p in ("", "val_") for m in METRICS}
    assert result.scores["val_loss"] < 0.5  # the target has variance 1


METRICS = ("loss", "mean_absolute_error")


def test_the_seed_of_the_file_is_the_random_state(home: Project, pool: Pool) -> None:
    make_data(home, experiment_of(home, FOREST, **GRID))
    repeated = experiment_of(home, FOREST, **{**GRID, "search": {"repeats": 2}})
    one, other = searched(home, repeated, pool)
    first, second = weights_of(home, one), weights_of(home, other)
    assert not np.array_equal(first["threshold"], second["threshold"])


def test_a_fit_that_did_not_converge_is_reported(home: Project, pool: Pool) -> None:
    experiment = experiment_of(home, {"LogisticRegression": {"max_iter": 2}})
    make_data(home, experiment)
    (result,) = searched(home, experiment, pool).values()
    assert (result.status, result.loop) == ("finished", "")
    assert "did not converge" in result.note


def test_a_value_that_scikit_learn_refuses_is_named(home: Project, pool: Pool) -> None:
    experiment = experiment_of(home, {"LogisticRegression": {"solver": "sagaa"}})
    make_data(home, experiment)
    with pytest.raises(ConfigError, match=r"(?s)LogisticRegression rejects.*'sagaa'"):
        searched(home, experiment, pool)


def test_incompatible_values_fail_only_their_trial(home: Project, pool: Pool) -> None:
    experiment = experiment_of(
        home,
        {"LogisticRegression": {"solver": "lbfgs", "l1_ratio": "$share"}},
        parameters={"units": None, "learning_rate": None, "share": 0},
        search={"grid": {"share": [0, 1]}},
    )
    make_data(home, experiment)
    results = searched(home, experiment, pool).values()
    assert sorted(result.status for result in results) == ["failed", "finished"]
    (failed,) = (result for result in results if result.error)
    assert "lbfgs" in failed.error


def test_rows_that_exceed_the_memory_are_refused_before_they_are_created() -> None:
    with pytest.raises(EnvironmentFault, match=r"1,000,000,000 training rows of 1,005"):
        require_memory((10**9, 5), [502, 502])
    require_memory((100, 4, 4, 3), [])


ALONE = """
import sys
from pathlib import Path
from gristmill.pipelines.config import Project, load_experiment
from gristmill.pipelines.training import shared_parts, trials_at
from gristmill.pipelines.workers.bench import Bench
from gristmill.pipelines.workers.messages import Train
from gristmill.pipelines.workers.worker import carry_out
project = Project.find()
experiment = load_experiment(project, "tiny")
(trial,) = trials_at(experiment, shared_parts(experiment, "d" * 32), {})
build = project.build("tiny")
request = Train(trial.key, trial.recipe, build / "training", build / "trial", project.experiments)
done = carry_out(Bench(1), request, print)
assert done.error is None, done.error
print(*sorted({"tensorflow", "keras"} & set(sys.modules)))
"""


def test_an_estimator_is_trained_without_tensorflow(home: Project) -> None:
    make_data(home, experiment_of(home, "GaussianNB"))
    assert said_by(ALONE, home.root) == ""


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"training": {**dict.fromkeys(["optimizer", "batch_size", "epochs"]), "seed": 1}}, False),
        ({"search": {"objective": "val_loss"}}, True),
        ({"evaluation": {"metrics": ["brier"]}}, True),
        ({"features": {"scale": "minmax"}}, False),
    ],
)
def test_the_key_contains_everything_the_fit_depends_on(
    home: Project, changes: dict[str, Any], same: bool
) -> None:
    (before,) = trials(experiment_of(home, "GaussianNB"), DIGEST)
    (after,) = trials(experiment_of(home, "GaussianNB", **changes), DIGEST)
    assert (before.key == after.key) == same
    assert {"scikit-learn", "scipy", "numpy"} < set(before.parts)
    assert not {"keras", "tensorflow-cpu", "pipelines/training/loop.py"} & set(before.parts)
