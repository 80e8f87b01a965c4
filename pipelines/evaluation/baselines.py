"""What a model must be worth more than: the most simple guess, and a linear model."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

MOST_ROWS = 20_000
"""Training rows that a baseline is fitted on at most; evenly spaced ones of a larger set."""


def baseline_outputs(x: Any, y: Any, rows: Any, classes: int | None) -> dict[str, Any]:
    """Outputs of a dummy and a linear model, fitted on training rows, for other rows.

    Args:
        x: (n, n_features) training features, scaled.
        y: (n,) training targets.
        rows: (m, n_features) features to predict.
        classes: how many, None for regression.

    Returns:
        `dummy` and `linear`: (m, classes) probabilities or (m,) values.
    """
    from sklearn.dummy import DummyClassifier, DummyRegressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    step = max(1, -(-len(x) // MOST_ROWS))
    x, y = np.asarray(x[::step]).reshape(len(y[::step]), -1), np.asarray(y[::step])
    rows = np.asarray(rows).reshape(len(rows), -1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        if classes is None:
            return {
                "dummy": DummyRegressor().fit(x, y).predict(rows),
                "linear": Ridge().fit(x, y).predict(rows),
            }
        dummy, linear = DummyClassifier().fit(x, y), LogisticRegression(max_iter=300).fit(x, y)
    return {"dummy": _shares(dummy, rows, classes), "linear": _shares(linear, rows, classes)}


def _shares(model: Any, rows: Any, classes: int) -> Any:
    shares = np.zeros((len(rows), classes))
    shares[:, model.classes_] = model.predict_proba(rows)
    return shares
