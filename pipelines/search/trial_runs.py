"""Trials in the workers, as a search asks for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gristmill.pipelines.config import Experiment, Project
from gristmill.pipelines.training import Trial, TrialResult, read_result
from gristmill.pipelines.workers import Done, Epoch, Scheduler, Train, raise_error


def fed(waiting: list[Trial]) -> Callable[[], Trial | None]:
    """Gives the trials of a list one by one and takes them from it."""
    return lambda: waiting.pop(0) if waiting else None


def train_fed(
    project: Project,
    experiment: Experiment,
    feed: Callable[[], Trial | None],
    threads: int,
    pool: Scheduler[Any],
) -> Iterator[Epoch | TrialResult]:
    """Trains what a search asks for, side by side.

    Args:
        feed: asked for a trial whenever a worker has none; None for nothing now. No two trials of
            one key run at a time: it must not give a longer budget before the shorter one ended.
        threads: of each trial.

    Yields:
        Epochs while trials run, and each one's result when it ends, failed ones included.

    Raises:
        GristmillError: the file asks for something that Keras does not take.
    """
    build = project.build(experiment.name)
    running: dict[str, Trial] = {}

    def request() -> Train | None:
        trial = feed()
        if trial is None:
            return None
        running[trial.key] = trial
        folder = build / "trials" / trial.key
        return Train(trial.key, trial.recipe, build / trial.arrays, folder, project.experiments)

    workers = experiment.document.search.workers or pool.slots(threads)
    for message in pool.train(request, workers, threads):
        if isinstance(message, Epoch):
            yield message
        else:
            yield _result(message, running.pop(message.key), build / "trials" / message.key)


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
