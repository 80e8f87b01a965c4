"""Records that the steps of a run pass to each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gristmill.flows.outcome import Outcome
from gristmill.pipelines.evaluation import FinalEvaluation
from gristmill.pipelines.packaging import Package
from gristmill.pipelines.registry import Registered, Version
from gristmill.pipelines.search import Point, TrialPlan, TrialSearch
from gristmill.pipelines.training import Trial, TrialResult

OPTIMISTIC = (
    "The winner was chosen by its validation score, so that score (best_…) is optimistic; "
    "report the test metrics (test_…)."
)


@dataclass(frozen=True)
class Searched:
    """The outcome of a search.

    Attributes:
        asked: the search with all its trials, known ones included.
        point: the best point.
        plan: plan of its trial: with repeats the first, which has the file's own seed; with folds
            the refit on the rows of all folds.
        best: result of the winning trial.
        run_key: digest of everything that the decision depends on.
    """

    asked: TrialSearch
    point: Point
    plan: TrialPlan
    best: TrialResult
    run_key: str

    @property
    def winner(self) -> Trial:
        return self.plan.trial


@dataclass(frozen=True)
class Finished:
    """The results of a run.

    Attributes:
        candidate: the winner's package, or the registered version with the same package.
        pictures: plot files.
        champion: the champion's metrics on the same test rows, at the time of the run; empty if
            unknown.
        times: seconds by part.
    """

    searched: Searched
    evaluation: FinalEvaluation
    candidate: Package | Version
    registered: Registered
    pictures: Sequence[Path]
    champion: Mapping[str, float] = field(default_factory=dict)
    times: Mapping[str, float] = field(default_factory=dict)

    @property
    def outcome(self) -> Outcome:
        made = self.registered
        decision = made.decision
        return Outcome(made.model, decision.outcome, decision.reasons, made.version, made.champion)


def trial_parameters(trial: Trial) -> dict[str, Any]:
    """Return the parameters that MLflow shows of a trial, and of a run that it won."""
    training, model = trial.recipe.training, trial.recipe.model
    if model.library == "sklearn":
        how: dict[str, Any] = {"model.sklearn": model.estimator[0]}
    else:
        ((optimizer, _),) = training.optimizer.items()
        how = {
            "training.optimizer": optimizer,
            "training.batch_size": training.batch_size,
            "training.epochs": training.epochs,
            "training.loss": training.loss
            if isinstance(training.loss, str)
            else next(iter(training.loss or ["by the task"])),
        }
    return {
        **trial.recipe.parameters,
        **how,
        "training.threads": trial.threads,
        "features.scale": trial.recipe.features.scale,
        "training.seed": training.seed,
    }
