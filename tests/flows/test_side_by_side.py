"""Two runs at the same time."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest
from aftermath import Command, champions, edit, flow_states, mlflow_runs, rows_of

from gristmill.pipelines.config.project import Project

pytestmark = pytest.mark.slow
Start = Callable[..., Command]


def finished_trials(project: Project) -> list[int]:
    """Return how often each trial finished."""
    query = (
        "SELECT count(*) FROM tags t JOIN runs r USING (run_uuid) "
        "WHERE t.key = 'gristmill.trial' AND r.status = 'FINISHED' GROUP BY t.value"
    )
    return [count for (count,) in rows_of(project.store / "mlflow.db", query)]


def test_a_second_run_of_the_same_experiment_waits_and_trains_nothing(
    tiny: Project, command: Start
) -> None:
    edit(tiny.experiment_file("tiny"), "units: 4", "units: 5")
    before = mlflow_runs(tiny, "FINISHED")
    first = command(tiny, "run", "tiny")
    first.wait_for("snapshot")
    second = command(tiny, "run", "tiny")
    assert first.process.wait(120) == 0, first.said
    assert second.process.wait(120) == 0, second.said
    assert "waiting for another run of tiny to end" in second.said
    assert mlflow_runs(tiny, "FINISHED") == before + 3  # one run with two trials
    assert set(finished_trials(tiny)) == {1}
    assert set(flow_states(tiny)) == {"COMPLETED"}


def test_different_experiments_run_in_parallel(tiny: Project, command: Start) -> None:
    shutil.copy(tiny.experiment_file("tiny"), tiny.experiment_file("other"))
    edit(tiny.experiment_file("tiny"), "units: 4", "units: 5")
    runs = [command(tiny, "run", name) for name in ("tiny", "other")]
    for run in runs:
        assert run.process.wait(180) == 0, run.said
        assert "waiting for another run" not in run.said
    assert {"tiny", "other"} <= set(champions(tiny))  # other reuses the trials of tiny
    assert set(finished_trials(tiny)) == {1}
    assert set(flow_states(tiny)) == {"COMPLETED"}
