"""The search: which trials to run, and which one wins."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pipelines.config import EnvironmentFault, Experiment, Problem, Project
from pipelines.training.identity import Trial
from pipelines.training.pool import Trains, raise_error
from pipelines.training.trial import TrialResult, read_result
from pipelines.training.worker import Done, Epoch, Train

HIGHER_IS_BETTER = (
    "accuracy",
    "auc",
    "correlation",
    "iou",
    "precision",
    "recall",
    "score",
    "sensitivity",
    "similarity",
    "specificity",
    "true",
)
"""What the name of a metric holds when more of it is better; all else is a loss or an error."""


def run_search(
    project: Project, experiment: Experiment, trials: Sequence[Trial], pool: Trains
) -> Iterator[Epoch | TrialResult]:
    """Trains trials that are not known yet, side by side.

    Yields:
        Epochs while trials run, and each one's result when it ends, failed ones included.

    Raises:
        GristmillError: the file asks for something that Keras does not take.
    """
    by_key = {trial.key: trial for trial in trials}
    build = project.build(experiment.name)
    requests = [
        Train(
            trial.key,
            trial.recipe,
            build / trial.arrays,
            build / "trials" / trial.key,
            project.experiments,
        )
        # fold by fold, for a traced program serves the trials of one fold
        for trial in sorted(by_key.values(), key=lambda trial: trial.fold or 0)
    ]
    threads = max((trial.threads for trial in trials), default=1)
    workers = experiment.document.search.workers or pool.slots(threads)
    waiting = iter(requests)
    for message in pool.train(lambda: next(waiting, None), workers, threads):
        if isinstance(message, Epoch):
            yield message
        else:
            yield _result(message, by_key[message.key], build / "trials" / message.key)


def _result(done: Done, trial: Trial, folder: Path) -> TrialResult:
    if isinstance(done.error, dict):
        raise_error(done)
    result = read_result(folder)
    if done.error is None and result is not None:
        return result
    started = folder.stat().st_mtime if folder.exists() else 0.0
    return TrialResult(
        trial.key, "failed", 0, trial.epochs, False, 0, {}, {}, 0, 0.0, started, str(done.error)
    )


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
    sign = -1 if more_is_better(objective) else 1

    def rank(result: TrialResult) -> tuple[float, float, int, str]:
        loss = result.scores.get("val_loss", 0.0)
        return sign * result.scores[objective], loss, result.weights, result.key

    return min(finished, key=rank)


def more_is_better(metric: str) -> bool:
    """The direction of a metric that Keras computes."""
    return any(word in metric.lower() for word in HIGHER_IS_BETTER)
