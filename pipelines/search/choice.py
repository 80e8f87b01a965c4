"""Which trial wins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gristmill.pipelines.base import EnvironmentFault, Problem
from gristmill.pipelines.training import more_is_better

if TYPE_CHECKING:
    from gristmill.pipelines.training import TrialResult


Rank = tuple[float, float, int, str]


def choose(results: Sequence[TrialResult], objective: str) -> TrialResult:
    """The winner by the objective at the restored epoch.

    Ties go by val_loss, then by the number of weights, then by key, so that the order in which
    trials ended plays no part.

    Args:
        results: of all trials.
        objective: such as `val_accuracy`.

    Raises:
        EnvironmentFault: every trial failed.
    """
    finished = [result for result in results if result.status == "finished"]
    if not finished:
        raise EnvironmentFault(
            "every trial failed",
            problems=[Problem(f"trial {r.key[:8]}: {r.error}") for r in results],
            next="mend the model or the training section; `-P name=value` tries one value",
        )
    return min(finished, key=rank(objective))


def rank(objective: str) -> Callable[[TrialResult], Rank]:
    """By what finished trials are put in order, the best one first."""
    sign = -1 if more_is_better(objective) else 1

    def of(result: TrialResult) -> Rank:
        loss = result.scores.get("val_loss", 0.0)
        return sign * result.scores[objective], loss, result.weights, result.key

    return of
