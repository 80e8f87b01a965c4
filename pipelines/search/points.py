"""Combine the trials of each point, and choose the winner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median, stdev

from gristmill.pipelines.base import EnvironmentFault, Problem
from gristmill.pipelines.reporting import number
from gristmill.pipelines.training import Trial, TrialResult, more_is_better, on_all_folds

Rank = tuple[float, float, int, str]


@dataclass(frozen=True)
class Point:
    """A completed point of the search.

    Attributes:
        trial: its first trial, with fold 0 and the file's seed if there are several.
        result: result of its only trial; with folds or repeats the mean of each score, the median
            number of epochs up to the best one, and the sum of the seconds.
        deviations: standard deviation of each score over folds and repeats, with n − 1; empty for a
            single trial.
    """

    trial: Trial
    result: TrialResult
    deviations: Mapping[str, float] = field(default_factory=dict)

    @property
    def refit(self) -> Trial | None:
        """The trial on the rows of all folds; None without folds.

        It corresponds to `refit=True` of scikit-learn's GridSearchCV.
        """
        return on_all_folds(self.trial, self.result.epochs) if self.trial.fold is not None else None

    def shown(self, metric: str) -> str:
        """Return a score as text, with its deviation over folds and repeats if there are any."""
        if not self.result.scores:
            return "failed"
        value = number(self.result.scores[metric])
        return f"{value} ± {number(self.deviations[metric], 2)}" if self.deviations else value


def points_of(trials: Sequence[Trial], results: Sequence[TrialResult]) -> list[Point]:
    """Combine the trials of a search into points.

    Args:
        trials: the trials of a point are adjacent, the one with fold 0 and repeat 0 first.
        results: the result of each trial.
    """
    starts = [place for place, t in enumerate(trials) if not t.fold and not t.repeat]
    ends = [*starts[1:], len(trials)]
    return [
        _point(trials[start], results[start:end]) for start, end in zip(starts, ends, strict=True)
    ]


def _point(trial: Trial, results: Sequence[TrialResult]) -> Point:
    if len(results) == 1:
        return Point(trial, results[0])
    failed = [result for result in results if result.status != "finished"]
    if failed:
        return Point(trial, replace(failed[0], key=trial.key, scores={}))
    by_name = {name: [result.scores[name] for result in results] for name in results[0].scores}
    epochs = round(median(result.best_epoch + 1 for result in results))
    result = replace(
        results[0],
        epochs=epochs,
        best_epoch=epochs - 1,
        history={},
        scores={name: fmean(values) for name, values in by_name.items()},
        seconds=sum(result.seconds for result in results),
    )
    return Point(trial, result, {name: stdev(values) for name, values in by_name.items()})


def choose(results: Sequence[TrialResult], objective: str) -> TrialResult:
    """Return the winner by the objective at the restored epoch.

    Ties are broken by val_loss, then by the number of weights, then by key, so that the order in
    which trials ended has no influence.

    Args:
        results: results of all points.
        objective: name of a score, for example `val_accuracy`.

    Raises:
        EnvironmentFault: every trial failed.
    """
    finished = [result for result in results if result.status == "finished"]
    if not finished:
        raise EnvironmentFault(
            "every trial failed",
            problems=[Problem(f"trial {r.key[:8]}: {r.error}") for r in results],
            next="fix the section model or training; `-P name=value` tries one value",
        )
    return min(finished, key=rank(objective))


def rank(objective: str) -> Callable[[TrialResult], Rank]:
    """Return a sort key that orders finished trials, the best one first."""
    sign = -1 if more_is_better(objective) else 1

    def of(result: TrialResult) -> Rank:
        loss = result.scores.get("val_loss", 0.0)
        return sign * result.scores[objective], loss, result.weights, result.key

    return of
