"""The importance of a search's parameters for its objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.config import Distribution, Scalar

LEAST = 8
"""Smallest number of points, besides four per parameter, for a meaningful importance."""

TREES = 200


@dataclass(frozen=True)
class Scored:
    """A point of a search: its varied parameters, and its objective or None if it failed."""

    values: Mapping[str, Scalar]
    score: float | None


@dataclass(frozen=True)
class Importance:
    """The importance of each parameter for the objective.

    Attributes:
        shares: share by parameter; they sum to 1.
        explained: share of the objective's variance (R²) that the forest explains on out-of-bag
            points; at most 1.
    """

    shares: Mapping[str, float]
    explained: float


def importance_of(points: Sequence[Scored], space: Mapping[str, Distribution]) -> Importance | str:
    """Return the parameters' importance in a random forest that predicts the objective.

    Mean decrease in impurity, with the explained variance of the out-of-bag points: Breiman (2001),
    Random Forests, Machine Learning 45.

    Args:
        points: points trained with the same budget; other scores are not comparable.
        space: the varied parameters.

    Returns:
        The importance, or a text why there is none.
    """
    scored = [point for point in points if point.score is not None]
    least = max(LEAST, 4 * len(space))
    if len(space) < 2:
        return "importance needs two parameters"
    if len(scored) < least:
        return f"importance needs {least} points, and there are {len(scored)}"
    scores = np.array([point.score for point in scored])
    from sklearn.ensemble import RandomForestRegressor

    columns = [_columns(values, [p.values[name] for p in scored]) for name, values in space.items()]
    forest = RandomForestRegressor(TREES, oob_score=True, random_state=0)
    forest.fit(np.hstack(columns), scores)
    explained = float(forest.oob_score_) if len(set(scores)) > 1 else 0.0
    if explained <= 0:
        return "importance: the parameters do not predict the objective"
    ends = np.cumsum([0, *(part.shape[1] for part in columns)])
    gains = forest.feature_importances_
    return Importance(
        {
            name: float(gains[start:end].sum())
            for name, start, end in zip(space, ends, ends[1:], strict=False)
        },
        explained,
    )


def _columns(values: Distribution, drawn: Sequence[Scalar]) -> npt.NDArray[np.float64]:
    """Encode a parameter for the forest, (n_points, 1 or n_choices) float64; texts are one-hot."""
    if values.choice is None or are_numbers(values.choice):
        return np.array([[float(value)] for value in drawn])  # trees use only the order
    return np.array([[float(value == choice) for choice in values.choice] for value in drawn])


def are_numbers(choices: Sequence[Scalar]) -> bool:
    """Return whether all choices are numbers; booleans are not."""
    return all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices)
