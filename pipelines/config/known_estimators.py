"""The scikit-learn estimators that a model can use, known without importing scikit-learn."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from gristmill.pipelines.base import suggest

CLASSIFIERS = {
    "linear_model": (
        *("LogisticRegression", "LogisticRegressionCV", "SGDClassifier", "Perceptron"),
        *("RidgeClassifier", "RidgeClassifierCV"),
    ),
    "svm": ("LinearSVC",),
    "discriminant_analysis": ("LinearDiscriminantAnalysis",),
    "naive_bayes": ("GaussianNB",),
    "neural_network": ("MLPClassifier",),
    "tree": ("DecisionTreeClassifier", "ExtraTreeClassifier"),
    "ensemble": (
        *("RandomForestClassifier", "ExtraTreesClassifier"),
        *("GradientBoostingClassifier", "HistGradientBoostingClassifier"),
    ),
}
REGRESSORS = {
    "linear_model": (
        *("LinearRegression", "Ridge", "RidgeCV", "Lasso", "LassoCV", "ElasticNet"),
        *("ElasticNetCV", "Lars", "LarsCV", "LassoLars", "LassoLarsCV", "LassoLarsIC"),
        *("OrthogonalMatchingPursuit", "OrthogonalMatchingPursuitCV", "BayesianRidge"),
        *("ARDRegression", "HuberRegressor", "TheilSenRegressor", "QuantileRegressor"),
        *("SGDRegressor", "PoissonRegressor", "GammaRegressor", "TweedieRegressor"),
    ),
    "svm": ("LinearSVR",),
    "neural_network": ("MLPRegressor",),
    "tree": ("DecisionTreeRegressor", "ExtraTreeRegressor"),
    "ensemble": (
        *("RandomForestRegressor", "ExtraTreesRegressor"),
        *("GradientBoostingRegressor", "HistGradientBoostingRegressor"),
    ),
}
"""Regressors by module of scikit-learn. As above, only those that can be packaged, because they
predict from a few plain arrays."""

ESTIMATORS: Mapping[str, tuple[str, str]] = {
    name: (task, module)
    for task, modules in (("classification", CLASSIFIERS), ("regression", REGRESSORS))
    for module, names in modules.items()
    for name in names
}
"""Task and module by name of the estimator."""

ELSEWHERE = {
    "random_state": "the seed is training.seed",
    "n_jobs": "the threads of a trial are training.threads",
    "class_weight": "it is training.class_weight, for every kind of model",
    "categorical_features": "categories are declared in features.columns and encoded as columns",
    "init": "a model inside a model cannot be packaged",
    "warm_start": "every trial starts from the beginning",
}
"""Arguments that are set elsewhere in an experiment file or make no sense in a trial, and why."""

SURE = {"LinearSVC", "Perceptron", "RidgeClassifier", "RidgeClassifierCV"}
"""Classifiers that predict a class without probabilities."""

FITTING = ("class_weight", "seed", "threads")
"""Keys of the section `training` that apply to estimators; the others are for Keras."""

TYPICAL = ("C", "alpha", "max_iter", "tol", "max_depth", "n_estimators", "learning_rate", "solver")
"""Arguments given as examples in a message."""


def check_estimator(name: str, arguments: Mapping[str, Any]) -> None:
    """Check the name and the arguments of an estimator.

    Raises:
        ValueError: one of them is unknown; the message suggests the nearest.
    """
    if name not in ESTIMATORS:
        raise ValueError(_unknown(name))
    known = [key for key in arguments_of(name) if key not in ELSEWHERE]
    for key in arguments:
        if key in arguments_of(name) and key in ELSEWHERE:
            raise ValueError(f"{name}: remove {key}: {ELSEWHERE[key]}")
        if key not in known:
            near = suggest(key, known, ".", before="; ")
            raise ValueError(
                f"{name} has no argument {key!r}{near} Its arguments are {', '.join(known)}"
            )


def arguments_of(name: str, method: str = "__init__") -> tuple[str, ...]:
    """Return the argument names of an estimator's method, in order.

    They are read from the installed source, so that checking a file does not import scikit-learn.
    """
    found = _method(f"sklearn.{ESTIMATORS[name][1]}", name, method)
    return tuple(a.arg for a in (*found.args.args[1:], *found.args.kwonlyargs)) if found else ()


def tells_probabilities(name: str, arguments: Mapping[str, Any]) -> bool:
    """Return whether a classifier predicts probabilities and not only classes."""
    if name == "SGDClassifier":
        return arguments.get("loss") in ("log_loss", "modified_huber")
    return name not in SURE


def _unknown(name: str) -> str:
    from sklearn.utils import all_estimators

    theirs = {each for each, _ in all_estimators(["classifier", "regressor"])}
    if name in theirs:
        return (
            f"scikit-learn's {name} cannot be packaged: a package contains no pickle, and only "
            f"these estimators can predict from plain arrays: {', '.join(sorted(ESTIMATORS))}"
        )
    otherwise = f": there are {', '.join(sorted(ESTIMATORS))}"
    near = suggest(name, theirs, otherwise, before="; ")
    return f"scikit-learn has no classifier or regressor {name!r}{near}"


@cache
def _method(module: str, kind: str, method: str) -> ast.FunctionDef | None:
    """Return a method of a class, or of its first base that has it."""
    for node in _body(module):
        if isinstance(node, ast.ClassDef) and node.name == kind:
            own = (n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == method)
            bases = (base.id for base in node.bases if isinstance(base, ast.Name))
            inherited = filter(None, (_method(module, base, method) for base in bases))
            return next(own, None) or next(inherited, None)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("sklearn."):
            names = {alias.asname or alias.name: alias.name for alias in node.names}
            if kind in names:
                return _method(str(node.module), names[kind], method)
    return None


@cache
def _body(module: str) -> list[ast.stmt]:
    place = folder_of("sklearn").joinpath(*module.split(".")[1:])
    files = (place / "__init__.py", place.with_suffix(".py"))
    return [node for file in files if file.is_file() for node in ast.parse(file.read_bytes()).body]


def folder_of(package: str) -> Path:
    """Return the folder of an installed package without importing it."""
    spec = importlib.util.find_spec(package)
    return Path(str(spec and spec.origin)).parent
