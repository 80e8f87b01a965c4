"""Predictions of a fitted scikit-learn estimator from its arrays, with numpy only.

A copy of this file is part of every package of a scikit-learn model: it is stored beside the arrays
and loaded from there. It therefore imports nothing but numpy, and scikit-learn is not needed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

PART = 4096
"""Rows per batch of predictions."""

ABOUT = "about"
"""Name of the array that describes the others, as JSON."""

Array = npt.NDArray[Any]
Arrays = Mapping[str, Any]
"""The arrays of an estimator by name, and their description under `ABOUT`."""


def save(file: Path, about: Mapping[str, Any], arrays: Arrays) -> None:
    """Write an estimator as `.npz`; equal estimators give equal bytes.

    Args:
        file: path to write.
        about: description that JSON can hold: `family`, `link`, `codes`, and more by family.
        arrays: the arrays by name.
    """
    text = np.frombuffer(json.dumps(dict(about), sort_keys=True).encode(), dtype=np.uint8)
    with file.open("wb") as out:
        np.savez_compressed(out, **{ABOUT: text, **arrays})


def load(file: Path) -> dict[str, Any]:
    """Read a file of `save`: the arrays by name, and the description under `ABOUT`."""
    with np.load(file, allow_pickle=False) as saved:
        arrays = {name: saved[name] for name in saved.files}
    return {**arrays, ABOUT: json.loads(arrays[ABOUT].tobytes())}


def predict(model: Arrays, rows: Array) -> Array:
    """Return the estimator's predictions.

    Args:
        model: as returned by `load`.
        rows: (n_rows, …) float32 features, prepared like the training rows.

    Returns:
        (n_rows, n_classes) probabilities, or (n_rows, 1) values, float64.
    """
    about = model[ABOUT]
    score, link = FAMILIES[about["family"]], LINKS[about["link"]]
    parts = [rows[start : start + PART] for start in range(0, len(rows), PART)]
    made = [link(score(model, columns(part, about["codes"]))) for part in parts or [rows]]
    return np.concatenate(made)


def columns(rows: Array, codes: Sequence[int]) -> Array:
    """Flatten rows and one-hot encode their codes, as for the fit of an estimator.

    Args:
        rows: (n_rows, …) float32.
        codes: number of codes of each of the last features, if they hold codes. Code 0, a level
            that does not occur in the training rows, has no column.

    Returns:
        (n_rows, n_columns) float32.
    """
    flat = np.asarray(rows, dtype=np.float32).reshape(len(rows), math.prod(rows.shape[1:]))
    if not codes:
        return flat
    first = flat.shape[1] - len(codes)
    one_hot = [
        flat[:, first + place, None] == np.arange(1, count, dtype=np.float32)
        for place, count in enumerate(codes)
    ]
    return np.concatenate([flat[:, :first], *one_hot], axis=1, dtype=np.float32)


def _linear(model: Arrays, rows: Array) -> Array:
    return np.asarray(rows.astype(np.float64) @ model["coefficients"].T + model["intercepts"])


def _network(model: Arrays, rows: Array) -> Array:
    """Return the outputs of a multi-layer perceptron before its last activation."""
    made, depth = rows.astype(np.float64), model[ABOUT]["layers"]
    for place in range(depth):
        made = made @ model[f"weights_{place}"] + model[f"biases_{place}"]
        if place + 1 < depth:
            made = ACTIVATIONS[model[ABOUT]["activation"]](made)
    return made


def _gaussian(model: Arrays, rows: Array) -> Array:
    """Return the logarithm of each class's prior times the normal densities of the columns."""
    made = np.empty((len(rows), len(model["means"])))
    for place, (mean, variance) in enumerate(zip(model["means"], model["variances"], strict=True)):
        squares = ((rows.astype(np.float64) - mean) ** 2 / variance).sum(axis=1)
        made[:, place] = -0.5 * (squares + np.log(2 * np.pi * variance).sum())
    return np.asarray(made + np.log(model["priors"]))


def _trees(model: Arrays, rows: Array) -> Array:
    """Return `base` plus the sum over all trees, divided by the number `trees` (1 for a sum).

    The nodes of all trees are concatenated; a leaf's children are the leaf itself.
    """
    made = np.tile(model["base"].astype(np.float64), (len(rows), 1))
    every, value = np.arange(len(rows)), model["value"]
    by_tree = zip(*(model[name].tolist() for name in ("root", "depth", "output")), strict=True)
    for root, depth, output in by_tree:
        node = np.full(len(rows), root)
        for _ in range(depth):
            left = rows[every, model["feature"][node]] <= model["threshold"][node]
            node = np.where(left, model["left"][node], model["right"][node])
        if output < 0:
            made += value[node]
        else:
            made[:, output] += model[ABOUT]["rate"] * value[node, 0]
    return np.asarray(made / model[ABOUT]["trees"])


def _logistic(scores: Array) -> Array:
    return np.exp(-np.logaddexp(0, -scores))


def _softmax(scores: Array) -> Array:
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _of_two(share: Array) -> Array:
    return np.concatenate([1 - share, share], axis=1)


def _shares(values: Array) -> Array:
    """Return each class's value divided by their sum; equal shares if all values are 0."""
    if values.shape[1] == 1:
        return _of_two(values)
    sums = values.sum(axis=1, keepdims=True)
    return np.where(sums == 0, 1 / values.shape[1], values / np.where(sums == 0, 1, sums))


def _chosen(scores: Array) -> Array:
    """Return 1 for the predicted class and 0 for all others."""
    if scores.shape[1] == 1:
        return _of_two((scores > 0).astype(np.float64))
    return np.asarray(np.eye(scores.shape[1])[scores.argmax(axis=1)])


FAMILIES: dict[str, Callable[[Arrays, Array], Array]] = {
    "linear": _linear,
    "network": _network,
    "gaussian": _gaussian,
    "trees": _trees,
}
"""Functions that compute the scores of rows, (n_rows, n_columns) float32, by kind of estimator."""

LINKS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda scores: scores,
    "exp": np.exp,
    "logistic": lambda scores: _of_two(_logistic(scores)),
    "softmax": _softmax,
    "one_vs_rest": lambda scores: _shares(_logistic(scores)),
    "modified_huber": lambda scores: _shares((np.clip(scores, -1, 1) + 1) / 2),
    "chosen": _chosen,
}
"""Functions from scores to predictions; a single score of two classes belongs to the second.

`modified_huber`: Zhang, Statistical behavior and consistency of classification methods, 2004.
"""

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda values: values,
    "logistic": _logistic,
    "tanh": np.tanh,
    "relu": lambda values: np.maximum(values, 0),
}
