"""Which parameters of a search mattered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.config import Distribution, Scalar

LEAST = 8
"""Points, and four for each parameter, below which importance would be chance."""

TREES = 200


@dataclass(frozen=True)
class Scored:
    """A point of a search: its varied parameters, and its objective, None where it failed."""

    values: Mapping[str, Scalar]
    score: float | None


@dataclass(frozen=True)
class Importance:
    """How much of the objective each parameter accounts for.

    Attributes:
        shares: by name; they sum to 1.
        explained: the share of the variance that all of them together predict for points that
            were held out; at most 1.
    """

    shares: Mapping[str, float]
    explained: float


def importance_of(points: Sequence[Scored], space: Mapping[str, Distribution]) -> Importance | str:
    """The parameters' importance in a random forest that predicts the objective.

    Mean decrease in impurity, judged by the rows that each tree did not see: Breiman (2001),
    Random Forests, Machine Learning 45.

    Args:
        points: trained with the same budget, for others would not compare.
        space: the varied parameters.

    Returns:
        The importance, or why there is none to be told.
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
    """A parameter for the forest, (n_points, 1 or n_choices) float64: a column a text."""
    if values.choice is None or are_numbers(values.choice):
        return np.array([[float(value)] for value in drawn])  # trees see the order alone
    return np.array([[float(value == choice) for choice in values.choice] for value in drawn])


def are_numbers(choices: Sequence[Scalar]) -> bool:
    """Whether choices have an order, and distances; truths have none."""
    return all(isinstance(c, int | float) and not isinstance(c, bool) for c in choices)
