"""One trial of a scikit-learn estimator: fitted, turned into arrays, and scored by these."""

from __future__ import annotations

import json
import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import InvalidParameterError
from threadpoolctl import threadpool_limits

from pipelines.config import ConfigError, Recipe, write_json, writing
from pipelines.config.estimators import ESTIMATORS, arguments_of, tells_probabilities
from pipelines.training.arrays import arrays_of
from pipelines.training.class_weight import class_weights
from pipelines.training.predictor import ABOUT, columns, load, predict, save
from pipelines.training.trial import TrialResult

TRIED = 1000
"""Training rows for which the arrays must say what the estimator says."""

TOLERANCE = 1e-6
"""Largest difference between the two, relative to their size."""

SMALLEST = 1e-7
"""Keras's cross-entropy takes no probability below it: so `val_loss` is the same measure."""

UNFINISHED = "did not converge: it wants a larger max_iter or tol"

Parts = Mapping[str, Any]


def train_estimator(key: str, recipe: Recipe, data: Path, folder: Path, threads: int) -> None:
    """Fits an estimator and leaves `weights.npz` and `result.json`, as `run_trial` does.

    Args:
        key: of the trial.
        recipe: what to fit.
        data: folder of its arrays.
        folder: for what it leaves.
        threads: that it computes with.

    Raises:
        ConfigError: scikit-learn does not take the value of an argument.
        RuntimeError: the arrays do not say what the estimator says.
    """
    began, started = time.monotonic(), time.time()
    statistics = json.loads((data / "statistics.json").read_text(encoding="utf-8"))
    codes = [count for count, _ in statistics["embedded"]]
    x, y = (
        {
            role: np.load(data / f"{part}_{role}.npy", mmap_mode="r")
            for role in ("training", "validation")
        }
        for part in "xy"
    )
    weights = class_weights(recipe, statistics["classes"] or (), y["training"])
    file = folder / "weights.npz"
    with threadpool_limits(limits=threads):
        rows = columns(x["training"], codes)
        estimator, note = _fitted(recipe, rows, y["training"], weights, threads)
        with writing(file) as aside:
            save(aside, *arrays_of(estimator, codes))
        model = load(file)
        _require_same(estimator, model, x["training"][:TRIED])
        scores = _scores(recipe, model, x, y, weights)
    wrong = [name for name, value in scores.items() if not math.isfinite(value)]
    error = f"diverged: {', '.join(wrong)} is not a finite number" if wrong else ""
    result = TrialResult(
        key=key,
        status="failed" if error else "finished",
        epochs=recipe.training.epochs,
        budget=recipe.training.epochs,
        stopped_early=False,
        best_epoch=0,
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


def _fitted(recipe: Recipe, rows: Any, y: Any, weights: Any, threads: int) -> tuple[Any, str]:
    """The fitted estimator, and a word on it if there is one to say."""
    name, arguments = recipe.model.estimator
    module, known = ESTIMATORS[name][1], arguments_of(name)
    own: dict[str, Any] = {}
    if "random_state" in known:
        own["random_state"] = recipe.training.seed
    if "n_jobs" in known and module == "ensemble":  # trees are grown in threads
        own["n_jobs"] = threads
    estimator = getattr(import_module(f"sklearn.{module}"), name)(**arguments, **own)
    trees = module in ("tree", "ensemble")  # these take the type that they compute with
    exact = rows if trees else rows.astype(np.float64)
    weighted = {} if weights is None else {"sample_weight": weights}
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            estimator.fit(exact, np.asarray(y), **weighted)
        except InvalidParameterError as error:
            raise ConfigError(
                f"model.sklearn: {name} does not take a value that it is given",
                found=str(error).replace(f" of {name}", ""),
                next="mend model.sklearn, or the parameter that it refers to",
            ) from error
    unfinished = any(issubclass(one.category, ConvergenceWarning) for one in warned)
    return estimator, UNFINISHED if unfinished else ""


def _require_same(estimator: Any, model: Parts, rows: Any) -> None:
    theirs, ours = columns(rows, model[ABOUT]["codes"]), predict(model, rows)
    if model[ABOUT]["link"] == "chosen":
        same = (ours.argmax(axis=1) == estimator.predict(theirs)).all()
    else:
        told = getattr(estimator, "predict_proba", estimator.predict)(theirs)
        apart = np.abs(ours - np.reshape(told, (len(rows), -1))).max()
        same = apart <= TOLERANCE * max(np.abs(told).max(), 1e-12)
    if not same:
        raise RuntimeError(f"{type(estimator).__name__} says otherwise than the arrays made of it")


def _scores(recipe: Recipe, model: Parts, x: Parts, y: Parts, weights: Any) -> dict[str, float]:
    """The loss and the metric of training and validation rows, by Keras's names."""
    found: dict[str, float] = {}
    for role, prefix in (("training", ""), ("validation", "val_")):
        truth = y[role]
        if not len(truth):
            continue
        told = predict(model, x[role])
        if recipe.task == "regression":
            apart = told[:, 0] - truth
            found[f"{prefix}loss"] = float((apart**2).mean())
            found[f"{prefix}mean_absolute_error"] = float(np.abs(apart).mean())
            continue
        if tells_probabilities(*recipe.model.estimator):
            right = np.clip(told[np.arange(len(truth)), truth], SMALLEST, 1 - SMALLEST)
            counts = 1.0 if weights is None or role != "training" else weights
            found[f"{prefix}loss"] = float((-np.log(right) * counts).mean())
        found[f"{prefix}accuracy"] = float((told.argmax(axis=1) == truth).mean())
    return found
