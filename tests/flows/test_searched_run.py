"""Runs with each search strategy, from the data to a champion."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from aftermath import TINY, Command, champions, edit, mlflow_runs, rows_of

from gristmill.pipelines.config.project import Project
from tests.conftest import Run, gristmill_in

pytestmark = pytest.mark.slow

GRID = "search: {grid: {learning_rate: [0.01, 0.1]}}"
SPACE = "space: {learning_rate: {log_uniform: [0.001, 0.1]}, units: {int: [2, 8]}}"
SEARCHES = {
    "bayes": f"{{strategy: bayesian, {SPACE}, max_trials: 9, parallel: 2}}",
    "halve": f"{{strategy: halving, {SPACE}, max_trials: 9, min_epochs: 2, repeats: 2}}",
    "timed": f"{{strategy: random, {SPACE}, max_trials: 50, max_time: 0.001}}",
}


@pytest.fixture
def place(tiny_once: Project, tmp_path: Path) -> Project:
    """Return a project with an experiment for each search strategy."""
    target = tmp_path / "내 project"
    shutil.copytree(tiny_once.root, target, symlinks=True)
    project = Project(target)
    for name, search in SEARCHES.items():
        text = TINY.replace(GRID, f"search: {search}").replace("split: {}", "split: {as: tiny}")
        if name == "halve":
            text = text.replace("epochs: $epochs", "epochs: 18")
        project.experiment_file(name).write_text(text, encoding="utf-8")
    return project


@pytest.fixture
def gristmill(place: Project) -> Run:
    return gristmill_in(place.root)


def of_run(project: Project, experiment: str) -> dict[str, str]:
    """Return tags, parameters and metrics of the experiment's newest finished run."""
    (run, *_), *_ = rows_of(
        project.store / "mlflow.db",
        "SELECT r.run_uuid FROM runs r JOIN tags k USING (run_uuid) JOIN tags e USING (run_uuid) "
        "WHERE k.key = 'gristmill.kind' AND k.value = 'run' AND e.key = 'gristmill.experiment' "
        "AND e.value = ? AND r.status = 'FINISHED' ORDER BY r.end_time DESC",
        experiment,
    )
    found: dict[str, str] = {}
    for table in ("tags", "params", "latest_metrics"):
        query = f"SELECT key, value FROM {table} WHERE run_uuid = ?"
        found |= dict(rows_of(project.store / "mlflow.db", query, run))
    return found


def pictures(project: Project, experiment: str) -> set[str]:
    return {file.name for file in (project.build(experiment) / "plots").iterdir()}


def test_after_ctrl_c_a_sampler_proposes_the_same_trials(place: Project, gristmill: Run) -> None:
    began = Command(place, "run", "bayes")
    began.wait_for("val_accuracy")
    assert began.interrupt() == 130
    said = gristmill("run", "bayes", check=True).stdout
    trained, known = map(int, re.findall(r"(\d+) trained, (\d+) known", said)[0])
    assert (trained + known, known > 0) == (9, True)
    assert "report the test metrics" in said
    other = place.experiment_file("again")
    shutil.copyfile(place.experiment_file("bayes"), other)
    plan = gristmill("run", "again", check=True).stdout
    assert "all 9 trials are known" in plan
    run = of_run(place, "bayes")
    assert "gristmill.not_repeatable" not in run
    assert (run["search.strategy"], run["search.trials"]) == ("bayesian", "9")
    assert "optimistic" in run["gristmill.selection"]
    assert "parallel_coordinates.png" in pictures(place, "bayes")


def test_more_trials_and_a_fixed_parameter_continue_from_known_trials(
    place: Project, gristmill: Run
) -> None:
    gristmill("run", "bayes", check=True)
    edit(place.experiment_file("bayes"), "max_trials: 9", "max_trials: 11")
    assert "2 of 11 trials to train" in gristmill("plan", "bayes", check=True).stdout
    assert "2 trained, 9 known" in gristmill("run", "bayes", check=True).stdout
    said = gristmill("run", "bayes", check=True).stdout
    assert "bayes: nothing to do" in said
    found = gristmill("plan", "bayes", "-P", "units=5", check=True).stdout
    assert "units=" not in found
    edit(place.experiment_file("bayes"), "parallel: 2", "parallel: 3")
    assert "points of earlier searches fed" in gristmill("run", "bayes", check=True).stdout
    assert of_run(place, "bayes")["gristmill.not_repeatable"].startswith("11 points of earlier")


def test_halving_over_seeds_ends_with_a_champion_and_then_has_nothing_to_do(
    place: Project, gristmill: Run
) -> None:
    assert "at most 26 trials" in gristmill("plan", "halve", check=True).stdout
    said = gristmill("run", "halve", check=True).stdout
    assert "26 trained, 0 known" in said
    assert re.search(r" 2 epochs .*(\n.*)* 6 epochs .*(\n.*)* 18 epochs ", said)
    assert "Scores are means over 2 seeds ± their deviation" in said
    assert champions(place)["halve"] == 1
    run = of_run(place, "halve")
    assert {"val_accuracy_mean", "val_accuracy_deviation", "best_val_accuracy"} < run.keys()
    trained = mlflow_runs(place, "FINISHED")
    assert "halve: nothing to do" in gristmill("run", "halve", check=True).stdout
    assert mlflow_runs(place, "FINISHED") == trained
    edit(place.experiment_file("halve"), "max_trials: 9", "max_trials: 27")
    said = gristmill("plan", "halve", check=True).stdout
    assert "36 of 54 trials to train, then at most" in said


def test_a_search_stopped_by_max_time_reports_it(place: Project, gristmill: Run) -> None:
    said = gristmill("run", "timed", check=True).stdout
    assert "(stopped by max_time 0.001)" in said
    run = of_run(place, "timed")
    assert run["gristmill.not_repeatable"].startswith("max_time ended the search after ")
    assert int(run["search.points"]) < 50
    report = Path(place.build("timed") / "report.md").read_text(encoding="utf-8")
    assert "max_time 0.001 ended the search" in report
    assert "timed: nothing to do" in gristmill("run", "timed", check=True).stdout
    edit(place.experiment_file("timed"), ", max_time: 0.001", "")
    left = 50 - int(run["search.trials"])
    assert f"{left} of 50 trials to train" in gristmill("plan", "timed", check=True).stdout
