"""Variables that other work left in the shell do not decide where or what is recorded."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest
from aftermath import Command, flow_states, mlflow_runs, rows_of

from gristmill.pipelines.config.project import Project
from gristmill.shell_variables import ignore
from tests.conftest import ROOT, Run, clean_environment

LEFT = {
    "MLFLOW_EXPERIMENT_ID": "77",
    "MLFLOW_EXPERIMENT_NAME": "other",
    "MLFLOW_REGISTRY_URI": "http://127.0.0.1:1",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "true",
    "PREFECT_API_KEY": "x",
    "PREFECT_PROFILE": "nope",
    "PREFECT_SERVER_DATABASE_CONNECTION_URL": "sqlite+aiosqlite:////nowhere/prefect.db",
    "PYTHONWARNINGS": "error",
    "KERAS_BACKEND": "jax",
    "TF_USE_LEGACY_KERAS": "1",
    "OMP_NUM_THREADS": "3",
}


def test_variables_of_other_work_are_removed_and_named() -> None:
    environment = {**LEFT, "MLFLOW_TRACKING_URI": "http://a", "PREFECT_LOGGING_LEVEL": "INFO"}
    assert sorted(ignore(environment)) == sorted(LEFT)
    assert environment == {
        "MLFLOW_TRACKING_URI": "http://a",
        "PREFECT_LOGGING_LEVEL": "INFO",
        "KERAS_BACKEND": "tensorflow",
    }
    assert ignore(environment) == []


def test_settings_of_a_server_elsewhere_are_kept() -> None:
    given = {"PREFECT_API_URL": "http://a/api", "PREFECT_API_KEY": "x", "PREFECT_PROFILE": "team"}
    environment = dict(given)
    assert ignore(environment) == []
    assert environment.items() >= given.items()


def test_they_are_ignored_wherever_gristmill_is_imported() -> None:
    code = (
        "import os, sys, warnings; import gristmill; warnings.warn('seen'); "
        "print(sorted(gristmill.IGNORED), os.environ['KERAS_BACKEND'], sys.warnoptions)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=clean_environment() | LEFT | {"PYTHONPATH": str(ROOT)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"{sorted(LEFT)} tensorflow []\n"
    assert "UserWarning: seen" in done.stderr


@pytest.mark.slow
def test_a_run_is_recorded_as_if_nothing_had_been_set(
    tiny: Project, command: Callable[..., Command], gristmill: Run
) -> None:
    store = tiny.store / "mlflow.db"
    query = (
        "SELECT name, status, end_time FROM runs WHERE run_uuid = "
        "(SELECT run_id FROM model_versions WHERE name = 'tiny')"
    )
    ((run_id,),) = rows_of(store, "SELECT run_id FROM model_versions WHERE name = 'tiny'")
    before, models = rows_of(store, query), gristmill("models", "tiny", check=True).stdout
    left = LEFT | {
        "MLFLOW_RUN_ID": run_id,
        "PREFECT_HOME": str(tiny.root.parent / "home"),
    }
    done = gristmill("run", "tiny", "--force", env=left)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in LEFT:
        assert name in done.stderr
    assert done.stderr.count("\n") == 1
    assert rows_of(store, query) == before
    assert gristmill("models", "tiny", check=True, env=left).stdout == models
    assert mlflow_runs(tiny, "RUNNING") == mlflow_runs(tiny, "FAILED") == 0
    assert flow_states(tiny) == ["COMPLETED"] * 3
    assert not (tiny.root.parent / "home").exists()
    assert rows_of(store, "SELECT DISTINCT lifecycle_stage FROM experiments") == [("active",)]
