"""A package as a run leaves it in the MLflow store, and the process that tries it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tiny import DIGEST, make_data, run_search, trials, write_experiment

from gristmill.pipelines.base.errors import Problem
from gristmill.pipelines.base.files import read_json
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.evaluation.final_evaluation import evaluate
from gristmill.pipelines.evaluation.predictions import read_predictions
from gristmill.pipelines.packaging.behaviour import SINGLE, problems, questions
from gristmill.pipelines.packaging.package import Package, plain_types
from gristmill.pipelines.packaging.rehearsal import Rehearsal
from gristmill.pipelines.registry.candidate import package_candidate
from gristmill.pipelines.tracking import Tracker
from gristmill.pipelines.workers.pool import Pool


class Stored:
    """A package in the MLflow store, the stored predictions, and a process that tries it."""

    def __init__(self, project: Project, made: Package, rehearsal: Rehearsal) -> None:
        self.made, self.rehearsal = made, rehearsal
        (self.folder,) = project.store.glob("artifacts/tiny/models/*/artifacts")
        build = project.build("tiny")
        self.statistics = read_json(build / "training" / "statistics.json")
        self.rows = plain_types(pd.read_parquet(build / "test" / "rows.parquet"))
        (predictions,) = build.glob("trials/*/predictions-*.parquet")
        self.expected = read_predictions(predictions)

    def wrong_with(self, folder: Path) -> list[Problem]:
        """Return the problems that the trial finds in a copy in a folder."""
        asks = questions(self.statistics, list(self.rows.columns), len(self.rows))
        answered = self.rehearsal.ask(str(folder), self.rows, asks, single=SINGLE)
        return problems(answered, self.expected, self.statistics)


@contextmanager
def packaged(project: Project, pool: Pool, frame: pd.DataFrame, **changes: Any) -> Iterator[Stored]:
    """Train the small experiment with changes on a frame, and package the model."""
    experiment = write_experiment(project, **changes)
    rehearsal = Rehearsal(project, experiment.document.model.library)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        try:
            rehearsal.warm_up()
            make_data(project, experiment, frame=frame)
            (trial,) = trials(experiment, DIGEST)
            list(run_search(project, experiment, [trial], pool))
            with Tracker(project, "tiny"):
                evaluation = evaluate(project, experiment, trial, pool)
                made = package_candidate(project, experiment, trial, evaluation, rehearsal)
            assert isinstance(made, Package)
            yield Stored(project, made, rehearsal)
        finally:
            rehearsal.stop()
