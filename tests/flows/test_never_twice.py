"""Known trials are not trained again; counted in the store after real runs."""

from __future__ import annotations

import re

import pytest
from aftermath import edit, rows_of

from gristmill.pipelines.config.project import Project
from tests.conftest import Run

pytestmark = pytest.mark.slow

GRID = "grid: {learning_rate: [0.01, 0.1]}"
WIDER = "grid: {learning_rate: [0.01, 0.1, 0.2]}"


def trained(project: Project) -> int:
    """Count the trials of `tiny` trained so far."""
    query = (
        "SELECT count(*) FROM tags k JOIN tags e ON e.run_uuid = k.run_uuid WHERE "
        "k.key = 'gristmill.kind' AND k.value = 'trial' AND "
        "e.key = 'gristmill.experiment' AND e.value = 'tiny'"
    )
    ((count,),) = rows_of(project.store / "mlflow.db", query)
    return int(count)


def test_a_wider_grid_trains_only_its_new_point_and_a_new_objective_trains_nothing(
    tiny: Project, gristmill: Run
) -> None:
    before, file = trained(tiny), tiny.experiment_file("tiny")
    edit(file, GRID, WIDER)
    plan = gristmill("plan", "tiny", check=True).stdout
    assert re.search(r"learning_rate=0\.2 +new: learning_rate: 0\.0?1 → 0\.2\n", plan), plan
    gristmill("run", "tiny")
    assert trained(tiny) == before + 1
    edit(file, WIDER, f"{WIDER}, objective: val_loss")
    with file.open("a") as text:
        text.write("evaluation: {metrics: [f1_macro]}\ngate: {require: {f1_macro: {min: 0.1}}}\n")
    said = gristmill("run", "tiny").stdout
    assert "all 3 trials are known" in said
    assert trained(tiny) == before + 1


LOSES_ITS_PROCESS = """
import os, signal
from pathlib import Path
import keras

def build(shape, outputs, rate):
    lives = Path(__file__).with_suffix(".lives")
    left = int(lives.read_text())
    if rate == 0.2 and left:
        lives.write_text(str(left - 1))
        os.kill(os.getpid(), signal.SIGKILL)
    return keras.Sequential([keras.Input(shape), keras.layers.Dense(outputs, "softmax")])
"""


def test_a_trial_whose_process_died_is_trained_again_by_the_next_run(
    tiny: Project, gristmill: Run
) -> None:
    file = tiny.experiment_file("tiny")
    edit(file, GRID, WIDER)
    model = "model: {layers: [{Dense: {units: $units, activation: relu}}]}"
    edit(file, model, 'model: {builder: "fragile:build", arguments: {rate: $learning_rate}}')
    (tiny.experiments / "fragile.py").write_text(LOSES_ITS_PROCESS)
    (tiny.experiments / "fragile.lives").write_text("2")
    first = gristmill("run", "tiny", check=True).stdout
    assert "trials whose process was lost: 1; the next run trains them again" in first
    second = gristmill("run", "tiny", check=True).stdout
    assert "1 trained, 2 known" in second
    assert "nothing to do" in gristmill("run", "tiny", check=True).stdout
