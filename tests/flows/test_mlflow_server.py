"""Runs whose store is a team's MLflow server, which keeps the artifacts as well."""

from __future__ import annotations

from pathlib import Path

import pytest
from aftermath import tiny_rows
from mlflow_server import mlflow_server

from gristmill.pipelines.config.project import Project
from tests.conftest import Run

pytestmark = pytest.mark.slow


def test_runs_on_a_server_end_with_a_champion_that_is_compared_and_scores(
    tiny: Project, gristmill: Run, tmp_path: Path
) -> None:
    team = tmp_path / "team"
    team.mkdir()
    with mlflow_server(team, "--artifacts-destination", str(team / "artifacts")) as (address, _):
        env = {"MLFLOW_TRACKING_URI": address}
        first = gristmill("run", "tiny", env=env, check=True).stdout
        assert "tiny version 1 is the champion now" in first
        assert address not in first  # MLflow itself would print an address after each trial
        assert "nothing to do" in gristmill("run", "tiny", env=env, check=True).stdout
        second = gristmill("run", "tiny", "-P", "units=3", env=env)
        assert "of version 1 on" in second.stdout, second.stderr
        assert "champion" in gristmill("models", "tiny", env=env, check=True).stdout
        rows = tmp_path / "rows.csv"
        rows.write_text("\n".join(["a,b,label", *tiny_rows()[:3]]) + "\n")
        assert "3 rows scored" in gristmill("score", "tiny", str(rows), env=env, check=True).stdout
