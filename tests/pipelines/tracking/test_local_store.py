"""Reading the tables of the local store gives the results of MLflow's client."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

import pytest
from registered import make_versions

from gristmill.pipelines.config import Project
from gristmill.pipelines.registry.promotion import promote, set_aside
from gristmill.pipelines.registry.registered_models import asked_models
from gristmill.pipelines.tracking import DataInput, Tracker, TrialRun, client
from gristmill.pipelines.tracking.local_store import local_models, local_runs
from gristmill.pipelines.tracking.run_store import find_run, find_runs
from tests.mlflow_server import mlflow_server

RESULT: dict[str, Any] = {
    "status": "finished",
    "history": {"loss": [3.0, 0.1 + 0.2]},
    "scores": {"loss": math.pi},
    "started": 1000.0,
    "seconds": 30.0,
    "error": "",
}


@pytest.fixture
def filled(stored: Project) -> Project:
    """Return a store with runs, trials, versions, aliases, a prompt and deleted entries."""
    for place in range(3):
        with suppress(KeyError), Tracker(stored, f"tiny{place % 2}") as tracker:
            TrialRun(tracker, f"key{place}", "one", {"units": place}, {"seed": "0"}).finish(
                RESULT, []
            )
            tracker.log(metrics={"test_mae": 0.1 * place, "lost": math.nan}, tags={"a": "b"})
            roles = {"training": 36, "validation": 12, "test": 12}
            inputs = [DataInput("d", f"{place}.dir", role, n, "a.csv") for role, n in roles.items()]
            tracker.log_data(inputs)
            if place == 2:
                raise KeyError
    connection = client(stored)
    connection.delete_run(tracker.run_id)
    connection.create_run("0", tags={"a": "made with MLflow alone"})
    make_versions(stored, 4)
    make_versions(stored, 1, "another")
    promote(stored, "tiny", "1", "first")
    set_aside(stored, "tiny", "2", "reject", "unfair")
    connection.set_registered_model_alias("tiny", "shown", "1")
    connection.delete_model_version("tiny", "3")
    connection.create_registered_model("empty")
    connection.register_prompt("asks", "What is {{it}}?")
    return stored


ASKED: tuple[tuple[Mapping[str, Collection[str]], Mapping[str, Any]], ...] = (
    ({}, {"deleted": True}),
    ({}, {}),
    ({"gristmill.kind": ["run"]}, {"most": 2}),
    ({"gristmill.kind": ()}, {"status": "FINISHED"}),
    ({"gristmill.experiment": ["tiny0"], "gristmill.parts": ()}, {"status": "FINISHED"}),
    ({"gristmill.trial": ["key1", "key0", "nothing"]}, {}),
    ({"a": ["b"]}, {"status": "FAILED", "deleted": True}),
    ({"no such tag": ()}, {}),
)


def test_runs_equal_those_that_the_client_finds(
    filled: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = [list(map(repr, local_runs(filled, tags, **how))) for tags, how in ASKED]
    assert [len(runs) for runs in local] == [9, 8, 2, 7, 2, 2, 1, 0]
    every = local_runs(filled, {}, deleted=True)
    assert [repr(find_run(filled, run.run_id)) for run in every] == list(map(repr, every))
    assert find_run(filled, "0" * 32) is None
    with mlflow_server(filled.store) as (address, _):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        assert [list(map(repr, find_runs(filled, tags, **how))) for tags, how in ASKED] == local
        assert [repr(find_run(filled, run.run_id)) for run in every] == list(map(repr, every))
        assert find_run(filled, "0" * 32) is None


def test_models_equal_those_that_the_client_finds(filled: Project) -> None:
    found = local_models(filled)
    assert [model.name for model in found] == ["another", "empty", "tiny"]
    assert [version.number for version in found[2].versions] == ["4", "2", "1"]
    assert found == asked_models(filled)
    assert local_models(filled, "tiny") == asked_models(filled, "tiny") == found[2:]
    assert local_models(filled, "nothing") == asked_models(filled, "nothing") == []
