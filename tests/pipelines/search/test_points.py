"""The trials of a grid point with folds, and their joint result."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny import DIGEST, make_data, make_project, run_search, trials, write_experiment

from gristmill.pipelines.config.experiment import Experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.preparation.features.prepare import scale
from gristmill.pipelines.preparation.split.cuts_file import TEST, TRAINING, VALIDATION
from gristmill.pipelines.search.points import choose, points_of
from gristmill.pipelines.training.identity import Trial, changed
from gristmill.pipelines.training.trial import TrialResult, read_result
from gristmill.pipelines.workers.pool import Pool

GRID = {"search": {"grid": {"learning_rate": [0.01, 0.02]}}}
STOPPING = {"early_stopping": {"monitor": "val_loss", "patience": 1}, "epochs": 6}
BASE = TrialResult("k", "finished", 9, 9, False, 2, {}, {}, 10, 1.0, 0.0)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path / "project")


def folded(project: Project, folds: int = 3, **changes: Any) -> Experiment:
    return write_experiment(project, split={"folds": folds}, **{**GRID, **changes})


def ended(trial: Trial, accuracy: float, best_epoch: int = 2) -> TrialResult:
    scores = {"val_accuracy": accuracy, "val_loss": 1 - accuracy}
    return replace(BASE, key=trial.key, scores=scores, best_epoch=best_epoch)


def test_a_point_has_a_trial_with_a_separate_key_for_each_fold(project: Project) -> None:
    plain = trials(write_experiment(project, **GRID), DIGEST)
    made = trials(folded(project), DIGEST)
    assert [(t.varied["learning_rate"], t.fold) for t in made] == [
        (rate, fold) for rate in (0.01, 0.02) for fold in range(3)
    ]
    assert len({t.key for t in [*made, *plain]}) == 8
    assert [t.fold for t in plain] == [None, None]
    assert all("fold" not in t.parts for t in plain)
    assert made[1].name == "learning_rate=0.01 fold 1"
    assert made[1].arrays == "training/fold-1"
    assert plain[0].arrays == "training"
    assert changed(made[0], made[2].parts) == []


def test_a_wider_grid_keeps_the_keys_of_its_old_points(project: Project) -> None:
    before = {t.key for t in trials(folded(project), DIGEST)}
    wider = {"search": {"grid": {"learning_rate": [0.01, 0.02, 0.03]}}}
    after = {t.key for t in trials(folded(project, **wider), DIGEST)}
    assert before < after
    assert len(after - before) == 3


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 8)), min_size=2, max_size=6))
def test_the_score_of_a_point_is_the_mean_of_its_folds(found: list[tuple[float, int]]) -> None:
    parts = {"fold": "0"}
    first = Trial("0", parts, None, {}, 1, 0)  # type: ignore[arg-type]
    asked = [replace(first, key=str(fold), fold=fold) for fold in range(len(found))]
    results = [ended(t, *values) for t, values in zip(asked, found, strict=True)]
    (point,) = points_of(asked, results)
    values = [accuracy for accuracy, _ in found]
    assert point.result.scores["val_accuracy"] == fmean(values)
    assert point.deviations["val_accuracy"] == stdev(values)
    assert min(e for _, e in found) < point.result.epochs <= 1 + max(e for _, e in found)
    assert "±" in point.shown("val_accuracy")


def test_the_best_mean_wins_and_a_point_with_a_failed_fold_cannot_win(project: Project) -> None:
    asked = trials(folded(project), DIGEST)
    results = [
        ended(t, value) for t, value in zip(asked, [0.2, 0.9, 0.7, 0.5, 0.6, 0.5], strict=True)
    ]
    points = points_of(asked, results)
    assert choose([p.result for p in points], "val_accuracy").key == asked[0].key
    results[2] = replace(results[2], status="failed", scores={}, error="diverged")
    points = points_of(asked, results)
    assert choose([p.result for p in points], "val_accuracy").key == asked[3].key
    assert points[0].shown("val_accuracy") == "failed"


def test_without_folds_a_point_is_its_trial(project: Project) -> None:
    asked = trials(write_experiment(project, **GRID), DIGEST)
    results = [ended(trial, 0.5) for trial in asked]
    points = points_of(asked, results)
    assert [(p.trial, p.result, p.refit) for p in points] == [
        (trial, result, None) for trial, result in zip(asked, results, strict=True)
    ]
    assert points[0].shown("val_accuracy") == "0.5"


def test_the_refit_is_one_trial_whatever_the_results_of_the_folds(project: Project) -> None:
    asked = trials(folded(project, training=STOPPING), DIGEST)
    epochs = [1, 4, 5, 0, 0, 0]
    first, second = points_of(asked, [ended(t, 0.5, e) for t, e in zip(asked, epochs, strict=True)])
    refit = first.refit
    assert refit is not None
    assert second.refit is not None
    assert refit.epochs == 5
    assert refit.recipe.training.early_stopping is None
    assert refit.fold is None
    assert refit.arrays == "training"
    assert refit.name == "learning_rate=0.01 all folds"
    again = points_of(asked, [ended(t, 0.1, 2) for t in asked])[0].refit
    assert again is not None
    assert (again.key, again.epochs) == (refit.key, 3)
    assert len({refit.key, second.refit.key, *(t.key for t in asked)}) == 8


def with_folds(project: Project, experiment: Experiment) -> pd.DataFrame:
    """Write the arrays of three folds; return the roles of the rows."""
    build = make_data(project, experiment)
    roles = pd.read_parquet(build / "roles.parquet")
    test = roles["role"] == TEST
    roles["fold"] = np.where(test, -1, np.arange(len(roles)) % 3).astype(np.int8)
    roles["role"] = np.where(test, TEST, TRAINING).astype(np.int8)
    roles.to_parquet(build / "roles.parquet", index=False)
    scale(project, experiment.name)
    return roles


def train(
    project: Project, experiment: Experiment, asked: list[Trial], pool: Pool
) -> Iterator[TrialResult]:
    for message in run_search(project, experiment, asked, pool):
        if isinstance(message, TrialResult):
            assert message.error == ""
            yield message


def test_a_fold_is_trained_as_if_its_rows_were_the_validation_rows(
    project: Project, pool: Pool
) -> None:
    experiment = folded(project, search=None)
    roles = with_folds(project, experiment)
    asked = trials(experiment, DIGEST)
    by_key = {result.key: result for result in train(project, experiment, asked, pool)}
    plain = write_experiment(project, "plain")
    build = make_data(project, plain)
    roles["role"] = np.where(roles["fold"] == 1, VALIDATION, roles["role"]).astype(np.int8)
    roles.drop(columns="fold").to_parquet(build / "roles.parquet", index=False)
    scale(project, "plain")
    (alone,) = train(project, plain, trials(plain, DIGEST), pool)
    assert by_key[asked[1].key].history == alone.history
    assert by_key[asked[0].key].history != alone.history


def test_the_refit_trains_on_all_folds_without_validation(project: Project, pool: Pool) -> None:
    experiment = folded(project, search=None, training=STOPPING)
    with_folds(project, experiment)
    asked = trials(experiment, DIGEST)
    (point,) = points_of(asked, [ended(trial, 0.5, 2) for trial in asked])
    assert point.refit is not None
    (result,) = train(project, experiment, [point.refit], pool)
    assert (result.epochs, result.best_epoch, result.status) == (3, 2, "finished")
    assert set(result.history) == set(result.scores) == {"loss", "accuracy"}
    kept = read_result(project.build("tiny") / "trials" / point.refit.key)
    assert kept == result
