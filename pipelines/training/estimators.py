"""One trial of a scikit-learn estimator: fit it, convert it to arrays, and score it."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import InvalidParameterError
from threadpoolctl import threadpool_limits

from gristmill.pipelines.base import ConfigError, EnvironmentFault, read_json, write_json, writing
from gristmill.pipelines.config import ESTIMATORS, Recipe, arguments_of, tells_probabilities
from gristmill.pipelines.preparation import scaled
from gristmill.pipelines.training.class_weight import class_weights
from gristmill.pipelines.training.estimator_arrays import arrays_of
from gristmill.pipelines.training.predictor import ABOUT, Array, columns, load, predict, save
from gristmill.pipelines.training.trial import TrialResult

TRIED = 1000
"""Training rows on which the arrays must give the estimator's predictions."""

TOLERANCE = 1e-6
"""Largest allowed difference between the two, relative to the largest prediction."""

SMALLEST = 1e-7
"""Lower bound of probabilities in Keras's cross-entropy; used here so that `val_loss` compares."""

BYTES = 12
"""Memory per value during a fit: the stored float32 value, and a float64 copy."""

ROLES = ("training", "validation")

UNFINISHED = "did not converge: increase max_iter or tol"

ByRole = Mapping[str, Array]


def train_estimator(key: str, recipe: Recipe, data: Path, folder: Path, threads: int) -> None:
    """Fit an estimator and write `weights.npz` and `result.json`, as `run_trial` does.

    Args:
        key: key of the trial.
        recipe: resolved settings of the trial.
        data: folder of the training and validation arrays.
        folder: output folder.
        threads: number of threads to compute with.

    Raises:
        ConfigError: scikit-learn rejects the value of an argument.
        EnvironmentFault: there is too little memory.
        RuntimeError: the arrays predict something else than the estimator.
    """
    began, started = time.monotonic(), time.time()
    statistics = read_json(data / "statistics.json")
    codes = [count for count, _ in statistics["embedded"]]
    stored, y = (
        {role: np.load(data / f"{part}_{role}.npy", mmap_mode="r") for role in ROLES}
        for part in "xy"
    )
    require_memory(stored["training"].shape, codes)
    weights = class_weights(recipe, statistics["classes"] or (), y["training"])
    file = folder / "weights.npz"
    _import_estimator(recipe)
    with threadpool_limits(limits=threads):  # limits only libraries that are imported by now
        x = {
            role: _exact(recipe, columns(scaled(rows, statistics), codes))
            for role, rows in stored.items()
        }
        estimator, note = _fitted(recipe, x["training"], y["training"], weights, threads)
        with writing(file) as aside:
            save(aside, *arrays_of(estimator, codes))
        model = load(file)
        told = {role: _told(recipe, estimator, x[role]) for role in ROLES if len(y[role])}
        tried = scaled(stored["training"][:TRIED], statistics)
        _require_same(predict(model, tried), told["training"][:TRIED])
    scores = _scores(recipe, told, y, weights)
    wrong = [name for name, value in scores.items() if not math.isfinite(value)]
    error = f"diverged: {', '.join(wrong)} is not a finite number" if wrong else ""
    result = TrialResult(
        key=key,
        status="failed" if error else "finished",
        epochs=recipe.training.epochs,
        budget=recipe.training.epochs,
        history={name: [value] for name, value in scores.items()},
        scores={} if error else scores,
        weights=sum(array.size for name, array in model.items() if name != ABOUT),
        seconds=time.monotonic() - began,
        started=started,
        error=error,
        loop="",
        note=note,
    )
    if error:
        file.unlink()
    write_json(folder / "result.json", asdict(result))


def require_memory(shape: tuple[int, ...], codes: Sequence[int]) -> None:
    """Raise EnvironmentFault if the rows of an estimator do not fit in memory.

    An estimator needs all rows at once, in float64, with a column for each code.

    Args:
        shape: shape of the stored training rows, (n_rows, …).
        codes: number of codes of each of the last columns, see `predictor.columns`.
    """
    columns = math.prod(shape[1:]) + sum(codes) - 2 * len(codes)
    needed, free = shape[0] * columns * BYTES, psutil.virtual_memory().available
    if needed > free:
        raise EnvironmentFault(
            f"{shape[0]:,} training rows of {columns:,} columns do not fit in memory",
            expected=f"{needed / 2**30:.1f} GiB of memory",
            found=f"{free / 2**30:.1f} GiB free",
            next="use fewer columns, features: {exclude: [...]}; or train layers, which read rows "
            "in parts",
        )


def _exact(recipe: Recipe, rows: Array) -> Array:
    """Return rows in the dtype of the computation: float32 for trees, float64 for all others."""
    module = ESTIMATORS[recipe.model.estimator[0]][1]
    return rows if module in ("tree", "ensemble") else rows.astype(np.float64)


def _import_estimator(recipe: Recipe) -> type[BaseEstimator]:
    name, _ = recipe.model.estimator
    kind: type[BaseEstimator] = getattr(import_module(f"sklearn.{ESTIMATORS[name][1]}"), name)
    return kind


def _fitted(
    recipe: Recipe, rows: Array, y: Array, weights: Array | None, threads: int
) -> tuple[BaseEstimator, str]:
    """Return the fitted estimator, and a note about the fit or an empty text."""
    name, arguments = recipe.model.estimator
    module, known = ESTIMATORS[name][1], arguments_of(name)
    own: dict[str, Any] = {}
    if "random_state" in known:
        own["random_state"] = recipe.training.seed
    if "n_jobs" in known and module == "ensemble":  # trees are grown in threads
        own["n_jobs"] = threads
    estimator = _import_estimator(recipe)(**arguments, **own)
    weighted = {} if weights is None else {"sample_weight": weights}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            estimator.fit(rows, np.asarray(y), **weighted)
        except InvalidParameterError as error:
            raise ConfigError(
                f"model.sklearn: {name} rejects the value of an argument",
                found=str(error).replace(f" of {name}", ""),
                next="fix model.sklearn, or the parameter that it refers to",
            ) from error
    unfinished = any(issubclass(one.category, ConvergenceWarning) for one in warned)
    return estimator, UNFINISHED if unfinished else ""


def _told(recipe: Recipe, estimator: BaseEstimator, rows: Array) -> Array:
    """Return the estimator's predictions, (n_rows, n_outputs).

    Probabilities of the classes, one-hot predicted classes if the estimator has no probabilities,
    or predicted values.
    """
    if hasattr(estimator, "predict_proba"):
        return np.asarray(estimator.predict_proba(rows))
    told = estimator.predict(rows)
    if recipe.task == "classification":
        return np.asarray(np.eye(len(estimator.classes_))[told])
    return np.asarray(told.reshape(-1, 1))


def _require_same(ours: Array, theirs: Array) -> None:
    if not np.abs(ours - theirs).max() <= TOLERANCE * max(np.abs(theirs).max(), 1e-12):
        raise RuntimeError("the arrays of the estimator do not give the estimator's predictions")


def _scores(recipe: Recipe, told: ByRole, y: ByRole, weights: Array | None) -> dict[str, float]:
    """Return the loss and the metric of training and validation rows, by Keras's names."""
    found: dict[str, float] = {}
    for role, outputs in told.items():
        truth, prefix = y[role], "" if role == "training" else "val_"
        if recipe.task == "regression":
            apart = outputs[:, 0] - truth
            found[f"{prefix}loss"] = float((apart**2).mean())
            found[f"{prefix}mean_absolute_error"] = float(np.abs(apart).mean())
            continue
        if tells_probabilities(*recipe.model.estimator):
            right = np.clip(outputs[np.arange(len(truth)), truth], SMALLEST, 1 - SMALLEST)
            counts = 1.0 if weights is None or prefix else weights
            found[f"{prefix}loss"] = float((-np.log(right) * counts).mean())
        found[f"{prefix}accuracy"] = float((outputs.argmax(axis=1) == truth).mean())
    return found
