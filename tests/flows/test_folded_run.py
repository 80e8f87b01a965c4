"""A run with folds, from the data to a champion."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from aftermath import TINY, champions, edit, rows_of

from gristmill.pipelines.config.project import Project
from tests.conftest import Run, gristmill_in

pytestmark = pytest.mark.slow

FOLDS = TINY.replace("split: {}", "split: {folds: 3}").replace(
    "epochs: $epochs}", "epochs: $epochs, early_stopping: {monitor: val_loss, patience: 2}}"
)


def trained(project: Project) -> Counter[tuple[str, str]]:
    """Count the trials of each fold in MLflow, by state."""
    query = (
        "SELECT p.value, r.status FROM tags p JOIN tags e USING (run_uuid) "
        "JOIN runs r USING (run_uuid) WHERE p.key = 'gristmill.parts' "
        "AND e.key = 'gristmill.experiment' AND e.value = 'folded'"
    )
    found = rows_of(project.store / "mlflow.db", query)
    return Counter((json.loads(parts)["fold"], status) for parts, status in found)


@pytest.fixture(scope="module")
def folded_once(tiny_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project in which an experiment with three folds has a champion."""
    target = tmp_path_factory.mktemp("folded") / "project"
    shutil.copytree(tiny_once.root, target, symlinks=True)
    project = Project(target)
    project.experiment_file("folded").write_text(FOLDS, encoding="utf-8")
    gristmill_in(target)("run", "folded", check=True)
    return project


@pytest.fixture
def of_folds(folded_once: Project, tmp_path: Path) -> Project:
    """Return a moved copy of the project with the champion."""
    target = tmp_path / "내 project"
    shutil.copytree(folded_once.root, target, symlinks=True)
    return Project(target)


@pytest.fixture
def folded(of_folds: Project) -> Run:
    return gristmill_in(of_folds.root)


def test_folds_lead_to_a_champion_trained_on_all_of_them(of_folds: Project) -> None:
    assert champions(of_folds)["folded"] == 1
    each = {(str(fold), "FINISHED"): 2 for fold in range(3)}
    assert trained(of_folds) == each | {("all folds", "FINISHED"): 1}
    query = (
        "SELECT m.key, m.value FROM latest_metrics m JOIN tags t USING (run_uuid) JOIN tags e "
        "USING (run_uuid) WHERE t.key = 'gristmill.kind' AND t.value = 'run' "
        "AND e.key = 'gristmill.experiment' AND e.value = 'folded'"
    )
    metrics = dict(rows_of(of_folds.store / "mlflow.db", query))
    report = (of_folds.build("folded") / "report.md").read_text(encoding="utf-8")
    mean, deviation = (metrics[f"val_accuracy_{what}"] for what in ("mean", "deviation"))
    assert f"{mean:.4g} ± {deviation:.2g}" in report
    assert "Scores are means over 3 folds ± their deviation" in report
    assert {"test_accuracy", "val_loss_mean", "val_loss_deviation"} < metrics.keys()
    assert "best_val_loss" not in metrics
    assert metrics["trials_done"] == 6  # of the search; the refit is not counted


def test_a_second_run_has_nothing_to_do(of_folds: Project, folded: Run) -> None:
    before = trained(of_folds)
    assert "folded: nothing to do" in folded("run", "folded", check=True).stdout
    assert trained(of_folds) == before


def test_a_wider_grid_trains_only_the_folds_of_its_new_points(
    of_folds: Project, folded: Run
) -> None:
    before = trained(of_folds)
    edit(of_folds.experiment_file("folded"), "[0.01, 0.1]", "[0.00001, 0.01, 0.1]")
    assert "3 of 9 trials to train" in folded("plan", "folded", check=True).stdout
    said = folded("run", "folded", check=True).stdout
    assert "3 trained, 6 known" in said
    new = trained(of_folds) - before
    assert {fold: count for (fold, _), count in new.items() if fold != "all folds"} == {
        str(fold): 1 for fold in range(3)
    }
