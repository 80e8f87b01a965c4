"""What is recorded and shown of trials while they run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from flows.plan import score_words
from flows.session import Session
from pipelines.tracking.runs import DataInput
from pipelines.training import Epoch, Trial, TrialResult, recipe_record


class Watch:
    """Hears what trials report, tells MLflow and the screen.

    Args:
        run: of which the trials are.
        asked: how many trials are to run.
        inputs: the rows that a trial with this fold reads.
    """

    def __init__(
        self, run: Session, asked: int, inputs: Callable[[int | None], Sequence[DataInput]]
    ) -> None:
        self._run, self._asked, self._inputs = run, asked, inputs
        self._objective = run.experiment.document.objective
        self._open: dict[str, str] = {}
        self._done = 0

    def take(self, trial: Trial, message: Epoch | TrialResult) -> None:
        """Takes in what a trial has reported."""
        run_id = self._opened(trial)
        if isinstance(message, Epoch):
            self._run.screen.now(
                f"search {self._done}/{self._asked}  {trial.name}  "
                f"epoch {message.number}  {score_words(message.logs, self._objective)}"
            )
            return
        self._done += 1
        folder = self._run.build / "trials" / trial.key
        files = [folder / "weights.npz", folder / "result.json"]
        self._run.tracker.finish_trial(run_id, asdict(message), [f for f in files if f.exists()])
        self._run.screen.say(f"    {_trial_line(trial.name, message, self._objective)}")

    def _opened(self, trial: Trial) -> str:
        if trial.key not in self._open:
            params = {**trial.recipe.parameters, **_flat(trial), "seed": trial.recipe.training.seed}
            run_id = self._run.tracker.start_trial(
                trial.key, trial.name, params, trial.parts, recipe_record(trial.recipe)
            )
            self._run.tracker.log_data(self._inputs(trial.fold), run_id)
            self._open[trial.key] = run_id
        return self._open[trial.key]


def _trial_line(name: str, result: TrialResult, objective: str) -> str:
    if result.status == "failed":
        return f"{name:30s} failed: {result.error}"[:200]
    score = score_words(result.scores, objective)
    return f"{name:30s} {score:21s} {result.epochs:3d} epochs {result.seconds:5.1f} s"


def _flat(trial: Trial) -> dict[str, Any]:
    training = trial.recipe.training
    ((optimizer, _),) = training.optimizer.items()
    return {
        "training.optimizer": optimizer,
        "training.batch_size": training.batch_size,
        "training.epochs": training.epochs,
        "training.loss": training.loss or "by the task",
        "training.threads": trial.threads,
        "features.scale": trial.recipe.features.scale,
    }
