"""Baselines of a model: a constant guess and a linear model."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from sklearn.base import BaseEstimator

Array = npt.NDArray[Any]
Columns: TypeAlias = "Array | csr_array"

MOST_ROWS = 20_000
"""Most training rows that a baseline is fitted on; of more, evenly spaced ones are used."""

MOST_PIXELS = 1024

PART = 4096
"""Rows that are predicted at once."""


def baseline_outputs(
    x: Array,
    y: Array,
    rows: Array,
    classes: int | None,
    codes: Sequence[int] = (),
    scaled: Callable[[Array], Array] = np.asarray,
) -> dict[str, Array]:
    """Fit a dummy and a linear model on training rows and predict other rows.

    Args:
        x: (n, n_features) training features, scaled; or (n, height, width, channels) pictures,
            subsampled evenly to at most about `MOST_PIXELS` pixels.
        y: (n,) training targets.
        rows: (m, n_features) features to predict.
        classes: Number of classes, None for regression.
        codes: Number of codes of each trailing feature that holds a code. The linear model gets one
            column per code instead, and none for code 0, an unseen level.
        scaled: Function that turns stored rows into features.

    Returns:
        `dummy` and `linear`: (m, classes) probabilities or (m,) values.
    """
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge
    from threadpoolctl import threadpool_limits

    step = max(1, -(-len(x) // MOST_ROWS))
    columns = partial(_columns, codes=codes, scaled=scaled)
    x, y = columns(x[::step]), np.asarray(y[::step])
    # With more threads, the BLAS of numpy and of scipy block each other: five times slower.
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        if classes is None:
            models = {"dummy": DummyRegressor().fit(x, y), "linear": Ridge().fit(x, y)}
        else:
            linear = LogisticRegression(max_iter=300).fit(x, y)
            models = {"dummy": DummyClassifier().fit(x, y), "linear": linear}
    return {name: _predict(model, rows, classes, columns) for name, model in models.items()}


def _predict(
    model: BaseEstimator, rows: Array, classes: int | None, columns: Callable[[Array], Columns]
) -> Array:
    answer = model.predict if classes is None else partial(_shares, model, classes)
    parts = range(0, max(len(rows), 1), PART)
    return np.concatenate([answer(columns(rows[i : i + PART])) for i in parts])


def _columns(rows: Array, codes: Sequence[int], scaled: Callable[[Array], Array]) -> Columns:
    """Return features, (n_rows, n_columns); sparse if codes become a column each."""
    if rows.ndim > 2:
        step = math.ceil(math.sqrt(math.prod(rows.shape[1:]) / MOST_PIXELS))
        rows = rows[:, ::step, ::step]
    flat = scaled(rows).reshape(len(rows), -1)
    if not codes:
        return flat
    from scipy import sparse
    from sklearn.preprocessing import OneHotEncoder

    first, levels = flat.shape[1] - len(codes), [np.arange(count) for count in codes]
    encoder = OneHotEncoder(categories=levels, drop=[0] * len(codes), dtype=np.float32)
    one_hot = encoder.fit_transform(flat[:, first:].astype(int))
    return sparse.hstack([sparse.csr_array(flat[:, :first]), one_hot], format="csr")


def _shares(model: BaseEstimator, classes: int, rows: Columns) -> Array:
    shares = np.zeros((rows.shape[0], classes))
    shares[:, model.classes_] = model.predict_proba(rows)
    return shares
