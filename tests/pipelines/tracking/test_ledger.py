"""The ledger: known trials and runs are found without mlflow."""

from __future__ import annotations

import math
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tiny import make_project

from gristmill.pipelines.base.errors import EnvironmentFault
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.tracking import (
    DataInput,
    Tracker,
    TrialRun,
    client,
    data_rows,
    known_run,
    known_trials,
    local_database,
    past_trials,
    reads_with,
    search_began,
    tried,
)
from tests.mlflow_server import mlflow_server

RESULT: dict[str, Any] = {
    "key": "k",
    "status": "finished",
    "history": {"loss": [1.0]},
    "scores": {"loss": 1.0},
    "started": 0.0,
    "seconds": 1.0,
    "error": "",
}


def record_trial(project: Project, key: str, experiment: str = "tiny", **changes: Any) -> str:
    with Tracker(project, experiment) as tracker:
        trial = TrialRun(tracker, key, "one", {}, {"key": key})
        trial.finish({**RESULT, **changes}, [])
    return trial.run_id


def record_run(project: Project, key: str, decision: str = "promote", version: str = "1") -> str:
    tags = {
        "gristmill.run": key,
        "gristmill.decision": decision,
        "gristmill.reasons": "good",
        "gristmill.model": "tiny",
        "gristmill.version": version,
        "gristmill.winner": "w",
    }
    with Tracker(project, "tiny") as tracker:
        tracker.log(tags=tags)
    return tracker.run_id


def register(project: Project) -> str:
    connection = client(project)
    if not connection.search_registered_models():
        connection.create_registered_model("tiny")
    return str(connection.create_model_version("tiny", "somewhere").version)


def test_without_a_store_nothing_is_known(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert known_trials(project, ["k"]) == {}
    assert known_run(project, "k") is None
    assert past_trials(project, "tiny") == []
    project.store.mkdir()
    local_database(project).touch()
    assert known_trials(project, ["k"]) == {}


Ask = Callable[[], AbstractContextManager[object]]


@pytest.fixture(params=["in the local store", "of a server"])
def asked(request: pytest.FixtureRequest, stored: Project, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Query what is recorded so far, in the store itself or through a real server over it."""

    @contextmanager
    def ask() -> Iterator[None]:
        if request.param == "in the local store":
            yield
            return
        with mlflow_server(stored.store) as (address, _):
            monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
            yield

    return ask


def test_finished_trials_are_known_newest_first(stored: Project, asked: Ask) -> None:
    first, second = record_trial(stored, "a"), record_trial(stored, "a", seconds=2.0)
    other = record_trial(stored, "b", experiment="another")
    record_trial(stored, "c", status="failed", error="diverged")
    with asked():
        found = known_trials(stored, ["a", "b", "c", "d", "a"])
    assert {key: [t.run_id for t in known] for key, known in found.items()} == {
        "a": [second, first],
        "b": [other],
    }
    assert found["a"][0].result["seconds"] == 2.0
    assert found["a"][0].artifacts.startswith(stored.store.as_uri())
    assert "history" not in found["a"][0].result


def test_deleted_trials_are_not_known(stored: Project) -> None:
    trial = record_trial(stored, "a")
    client(stored).delete_run(trial)
    assert known_trials(stored, ["a"]) == {}


def test_a_run_is_known_while_its_version_exists(stored: Project) -> None:
    version = register(stored)
    run_id = record_run(stored, "r", "hold", version)
    found = known_run(stored, "r")
    assert found is not None
    assert (found.run_id, found.decision, found.reasons) == (run_id, "hold", "good")
    assert (found.model, found.version) == ("tiny", version)
    assert known_run(stored, "other") is None
    client(stored).delete_model_version("tiny", version)
    assert known_run(stored, "r") is None


def test_a_run_without_a_decision_or_a_version_is_not_known(stored: Project) -> None:
    version = register(stored)
    record_run(stored, "r", "", version)
    record_run(stored, "s", "promote", "")
    assert known_run(stored, "r") is None
    assert known_run(stored, "s") is None


def test_a_deleted_run_is_not_known(stored: Project) -> None:
    version = register(stored)
    older = record_run(stored, "r", "promote", version)
    client(stored).delete_run(record_run(stored, "r", "hold", version))
    found = known_run(stored, "r")
    assert found is not None
    assert found.run_id == older


def test_past_trials_are_those_of_the_experiment_newest_first_and_each_key_once(
    stored: Project,
) -> None:
    for key in ("a", "b", "a"):
        record_trial(stored, key)
    record_trial(stored, "c", experiment="another")
    assert [past.parts for past in past_trials(stored, "tiny")] == [{"key": "a"}, {"key": "b"}]


def test_the_settings_of_a_trial_are_stored_if_they_fit_in_a_tag(stored: Project) -> None:
    with Tracker(stored, "tiny") as tracker:
        for key, recipe in (("a", {"units": 3}), ("b", {"units": "x" * 5000})):
            TrialRun(tracker, key, "one", {}, {"key": key}, recipe=recipe).finish(RESULT, [])
    assert {past.parts["key"]: past.recipe for past in past_trials(stored, "tiny")} == {
        "a": {"units": 3},
        "b": None,
    }
    assert past_trials(stored, "tiny")[0].parent == tracker.run_id


ASK = """
import sys
from pathlib import Path
from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import known_run, known_trials, past_trials
project = Project(Path({root!r}))
print(len(known_trials(project, ["a"])), known_run(project, "r").decision,
      [past.parts for past in past_trials(project, "tiny")], "mlflow" in sys.modules)
"""


def test_reading_the_local_store_does_not_import_mlflow(
    stored: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    record_trial(stored, "a")
    record_run(stored, "r", "promote", register(stored))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    command = [sys.executable, "-c", ASK.format(root=str(stored.root))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "1 promote [{'key': 'a'}] False\n"


def test_another_store_is_queried_through_mlflow(
    stored: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = record_trial(stored, "a")
    record_run(stored, "r", "promote", "1")
    guest = make_project(tmp_path / "guest")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{local_database(stored)}")
    assert [t.run_id for t in known_trials(guest, ["a"])["a"]] == [trial]
    found = known_run(guest, "r")
    assert found is not None
    assert found.decision == "promote"
    assert [past.parts for past in past_trials(guest, "tiny")] == [{"key": "a"}]


def test_a_store_without_tables_knows_nothing(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    project.store.mkdir()
    database = sqlite3.connect(local_database(project))
    database.execute("CREATE TABLE other (x)")
    database.close()
    assert known_trials(project, ["a"]) == {}


def test_an_unreadable_store_is_not_treated_as_an_empty_one(stored: Project) -> None:
    database = sqlite3.connect(local_database(stored))
    database.execute("ALTER TABLE runs RENAME COLUMN lifecycle_stage TO stage")
    database.close()
    with pytest.raises(EnvironmentFault, match=r"(?s)cannot be read.*lifecycle_stage"):
        known_trials(stored, ["a"])


def test_the_row_count_of_a_version_includes_all_roles_of_a_run(stored: Project) -> None:
    parts = {"training": 36, "validation": 12, "test": 12}
    for experiment, roles in (("tiny", parts), ("part", {"training": 36}), ("other", parts)):
        digest = f"{experiment}.dir"
        with Tracker(stored, experiment) as tracker:
            tracker.log_data([DataInput("d", digest, role, n, "") for role, n in roles.items()])
    assert data_rows(stored, "d", ["tiny", "part"]) == {"tiny.dir": 60}
    assert data_rows(stored, "e", ["tiny"]) == {}


def test_without_a_store_no_row_counts_are_known(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert data_rows(project, "d", ["tiny"]) == {}


def test_trials_from_before_a_search_began_are_found_with_their_parameters(
    stored: Project, asked: Ask
) -> None:
    assert tried(stored, "tiny", math.inf) == []
    record_trial(stored, "a")
    record_trial(stored, "b", experiment="another")
    record_trial(stored, "c", status="failed", error="diverged")
    before = time.time_ns() // 10**6  # a start in the same millisecond does not count as later
    while time.time_ns() // 10**6 == before:
        pass
    for _ in range(2):
        with suppress(KeyboardInterrupt), Tracker(stored, "tiny") as tracker:
            tracker.log(tags={"gristmill.search": "s"})
            trial = TrialRun(tracker, "d", "one", {"rate": 0.1, "deep": True}, {})
            trial.finish({**RESULT, "key": "d"}, [])
            raise KeyboardInterrupt
    with asked():
        began = search_began(stored, "s")
        assert search_began(stored, "t") == math.inf
        assert [past.key for past in tried(stored, "tiny", began)] == ["a"]
        every = {past.run_id: past for past in tried(stored, "tiny", math.inf)}
    assert sorted(past.key for past in every.values()) == ["a", "d", "d"]
    assert every[trial.run_id].params == {"rate": "0.1", "deep": "True"}


def test_reads_of_a_test_set_are_counted_by_distinct_answers(stored: Project) -> None:
    for answers in ("a", "b", "a", "c", "b"):
        reads = reads_with(stored, "rows", answers)
        tags = {"gristmill.test": "rows", "gristmill.answers": answers}
        with suppress(KeyError), Tracker(stored, "tiny") as tracker:
            tracker.log(tags=tags | {"gristmill.reads": str(reads)})
            raise KeyError  # a run that fails after reading the rows counts
    assert reads_with(stored, "rows", "c") == 3
    assert reads_with(stored, "rows", "d") == 4
    assert reads_with(stored, "other rows", "a") == 1
