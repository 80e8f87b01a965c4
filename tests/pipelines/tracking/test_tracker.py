"""Runs in MLflow: their final states, their content, and runs whose process is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from gristmill.pipelines.base.errors import EnvironmentFault
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.tracking import (
    BEGUN,
    HOST,
    PID,
    DataInput,
    Tracker,
    TrialRun,
    client,
    fetch_artifact,
    know_packages,
    mend_dead_runs,
    process_lives,
    process_tags,
    store_errors,
    whole,
)
from gristmill.pipelines.tracking.liveness import heartbeat
from gristmill.pipelines.tracking.run_store import find_runs

RESULT: dict[str, Any] = {
    "key": "k",
    "status": "finished",
    "history": {"loss": [3.0, 2.0, 1.0], "val_loss": [4.0, 2.5, 3.5]},
    "scores": {"loss": 2.0, "val_loss": 2.5},
    "started": 1000.0,
    "seconds": 30.0,
    "error": "",
}


def run_of(project: Project, run_id: str) -> Any:
    return client(project).get_run(run_id)


class Oops(Exception):
    pass


@pytest.mark.parametrize(
    ("raised", "parent", "trial"),
    [
        (None, "FINISHED", "KILLED"),
        (Oops, "FAILED", "FAILED"),
        (KeyboardInterrupt, "KILLED", "KILLED"),
        (SystemExit, "KILLED", "KILLED"),
    ],
)
def test_a_run_and_its_open_trials_end_whatever_happens(
    stored: Project, raised: type[BaseException] | None, parent: str, trial: str
) -> None:
    tracker = Tracker(stored, "tiny")
    started: list[str] = []

    def body() -> None:
        with tracker:
            one, two = (TrialRun(tracker, key, key, {}, {}) for key in ("k", "l"))
            one.add(1, [{"loss": 3.0}], now=0.0)
            one.send(older_than=0.0)
            two.finish(RESULT, [])
            started.extend([one.run_id, two.run_id])
            if raised is not None:
                raise raised("stop")

    if raised is None:
        body()
    else:
        with pytest.raises(raised, match="stop"):
            body()
    import mlflow

    assert mlflow.active_run() is None
    ended = [run_of(stored, run_id).info for run_id in (tracker.run_id, *started)]
    assert [info.status for info in ended] == [parent, trial, "FINISHED"]
    assert all(info.end_time for info in ended)


def test_a_trial_contains_its_parameters_epochs_scores_and_files(
    stored: Project, tmp_path: Path
) -> None:
    file = tmp_path / "weights.npz"
    file.write_bytes(b"weights")
    with Tracker(stored, "tiny") as tracker:
        opened = TrialRun(tracker, "k" * 32, "units=3", {"units": 3}, {"seed": "0"})
        opened.finish(RESULT, [file])
    trial = opened.run_id
    made = run_of(stored, trial)
    assert made.info.start_time == 1_000_000
    assert made.info.run_name == "units=3"
    assert made.data.params == {"units": "3"}
    assert made.data.tags["mlflow.parentRunId"] == tracker.run_id
    assert made.data.tags["gristmill.trial"] == "k" * 32
    assert json.loads(made.data.tags["gristmill.parts"]) == {"seed": "0"}
    kept = json.loads(made.data.tags["gristmill.result"])
    assert kept == {name: value for name, value in RESULT.items() if name != "history"}
    history = client(stored).get_metric_history(trial, "val_loss")
    assert [(m.step, m.value) for m in history] == [(1, 4.0), (2, 2.5), (3, 3.5)]
    assert [m.timestamp for m in history] == [1_010_000, 1_020_000, 1_030_000]
    assert made.data.metrics["best_val_loss"] == 2.5
    fetched = fetch_artifact(stored, trial, "weights.npz", tmp_path / "fetched")
    assert fetched.read_bytes() == b"weights"


def test_equal_recipes_and_parts_are_stored_as_equal_text(stored: Project) -> None:
    with Tracker(stored, "tiny") as tracker:
        made = []
        for order in (1, -1):
            recipe = dict([("model", {"units": 3}), ("epochs", 5)][::order])
            parts = dict([("seed", "0"), ("data", "d")][::order])
            trial = TrialRun(tracker, "k", "one", {}, parts, recipe=recipe)
            trial.finish(RESULT, [])
            made.append(run_of(stored, trial.run_id).data.tags)
    first, second = made
    assert json.loads(first["gristmill.recipe"]) == {"model": {"units": 3}, "epochs": 5}
    for name in ("gristmill.recipe", "gristmill.parts"):
        assert first[name] == second[name]


def test_more_epochs_than_fit_into_one_call_are_all_stored(stored: Project) -> None:
    long = {**RESULT, "history": {"loss": [float(i) for i in range(2500)]}, "scores": {}}
    with Tracker(stored, "tiny") as tracker:
        trial = TrialRun(tracker, "k", "long", {}, {})
        trial.finish(long, [])
    history = client(stored).get_metric_history(trial.run_id, "loss")
    assert [m.step for m in history] == list(range(1, 2501))


def epochs_of(project: Project, trial: TrialRun, metric: str) -> list[tuple[int, float]]:
    history = client(project).get_metric_history(trial.run_id, metric)
    assert [m.timestamp for m in history] == sorted(m.timestamp for m in history)
    return [(m.step, m.value) for m in history]


def test_a_running_trial_shows_its_epochs_and_finishing_adds_missing_ones(stored: Project) -> None:
    losses = [{"loss": value} for value in RESULT["history"]["loss"]]
    with Tracker(stored, "tiny") as tracker:
        trial = TrialRun(tracker, "k", "one", {"units": 3}, {})
        trial.add(1, losses[:1], now=1005.0)
        trial.send(older_than=1004.0)
        assert trial.run_id == ""  # too little time has passed
        trial.send(older_than=1005.0)
        assert run_of(stored, trial.run_id).info.status == "RUNNING"
        assert run_of(stored, trial.run_id).data.params == {"units": "3"}
        assert epochs_of(stored, trial, "loss") == [(1, 3.0)]
        trial.add(2, losses[1:2], now=1020.0)
        trial.finish(RESULT, [])
    assert epochs_of(stored, trial, "loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_a_resumed_trial_has_each_epoch_once(stored: Project) -> None:
    with Tracker(stored, "tiny") as tracker:
        trial = TrialRun(tracker, "k", "one", {}, {})
        trial.add(3, [{"loss": 1.0, "val_loss": 3.5}], now=5000.0)
        trial.send(older_than=5000.0)
        trial.finish(RESULT, [])
    assert epochs_of(stored, trial, "loss") == [(1, 3.0), (2, 2.0), (3, 1.0)]
    assert epochs_of(stored, trial, "val_loss") == [(1, 4.0), (2, 2.5), (3, 3.5)]


def test_a_short_trial_is_written_in_one_batch(
    stored: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Tracker(stored, "tiny") as tracker:
        batches: list[str] = []
        write = tracker.client.log_batch

        def counted(run_id: str, **rest: Any) -> None:
            batches.append(run_id)
            write(run_id, **rest)

        monkeypatch.setattr(tracker.client, "log_batch", counted)
        trial = TrialRun(tracker, "k", "one", {"units": 3}, {})
        trial.add(1, [{"loss": 3.0}], now=1005.0)
        trial.finish(RESULT, [])
    assert batches == [trial.run_id]


def test_a_failed_trial_stores_its_error(stored: Project) -> None:
    failed = {**RESULT, "status": "failed", "history": {}, "scores": {}, "error": "diverged"}
    with Tracker(stored, "tiny") as tracker:
        trial = TrialRun(tracker, "k", "one", {}, {})
        trial.add(2, [{"loss": 3.0}, {"loss": 2.0}], now=1000.0)
        trial.finish(failed, [])
    made = run_of(stored, trial.run_id)
    assert made.data.metrics == {"loss": 2.0}
    assert made.info.status == "FAILED"
    assert made.data.tags["gristmill.error"] == "diverged"
    assert run_of(stored, tracker.run_id).info.status == "FINISHED"


def test_a_run_contains_what_is_logged_and_the_data_it_read(stored: Project) -> None:
    digest = "0123456789abcdef0123456789abcdef.dir"
    with Tracker(stored, "tiny") as tracker:
        tracker.log(params={"long": "x" * 9000}, metrics={"test_accuracy": 0.5}, tags={"a": "b"})
        roles = ("training", "test")
        tracker.log_data([DataInput("tiny", digest, r, 90, "sklearn:digits") for r in roles])
    made = run_of(stored, tracker.run_id)
    assert made.data.metrics == {"test_accuracy": 0.5}
    assert len(made.data.params["long"]) == 6000
    assert made.data.tags["a"] == "b"
    assert made.data.tags["gristmill.experiment"] == "tiny"
    inputs = {i.tags[0].value: i.dataset for i in made.inputs.dataset_inputs}
    assert set(inputs) == {"training", "test"}
    assert inputs["test"].digest == digest
    assert inputs["test"].source_type == "dvc"
    assert json.loads(inputs["test"].source) == {"uri": "sklearn:digits"}
    assert json.loads(inputs["test"].profile) == {"num_rows": 90}


def test_an_artifact_has_an_address_in_the_ui_of_its_store(
    stored: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Tracker(stored, "tiny") as tracker:
        run = f"#/experiments/1/runs/{tracker.run_id}/artifacts/report.html"
        assert tracker.address("report.html", "http://here:5001") == f"http://here:5001/{run}"
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:secret@team:8080/mlflow/")
        assert tracker.address("report.html", "") == f"https://team:8080/mlflow/{run}"
        monkeypatch.undo()


def test_a_deleted_experiment_is_restored_by_its_next_run(stored: Project) -> None:
    with Tracker(stored, "tiny"):
        pass
    connection = client(stored)
    connection.delete_experiment(connection.get_experiment_by_name("tiny").experiment_id)
    with Tracker(stored, "tiny") as tracker:
        pass
    assert run_of(stored, tracker.run_id).info.status == "FINISHED"
    assert connection.get_experiment_by_name("tiny").lifecycle_stage == "active"


def left_running(project: Project, tags: dict[str, str]) -> str:
    connection = client(project)
    found = connection.get_experiment_by_name("tiny")
    experiment = found.experiment_id if found else connection.create_experiment("tiny")
    return str(connection.create_run(experiment, tags=tags).info.run_id)


def gone() -> dict[str, str]:
    """Return the tags of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "pass"])
    begun = psutil.Process(process.pid).create_time()
    process.wait()
    return {**process_tags(), PID: str(process.pid), BEGUN: f"{begun:.2f}"}


def test_the_next_run_ends_runs_whose_process_is_gone_and_no_others(stored: Project) -> None:
    dead = left_running(stored, gone())
    reused = left_running(stored, {**process_tags(), BEGUN: "12345.00"})  # another with this pid
    alive = left_running(stored, process_tags())
    far = left_running(stored, {**gone(), HOST: "another-host"})
    foreign = left_running(stored, {})
    with Tracker(stored, "tiny"):
        pass
    states = [run_of(stored, r).info.status for r in (dead, reused, alive, far, foreign)]
    assert states == ["KILLED", "KILLED", "RUNNING", "RUNNING", "RUNNING"]
    assert mend_dead_runs(stored) == 0


def test_a_run_on_another_host_counts_as_dead_after_a_long_silence(stored: Project) -> None:
    far = {**process_tags(), HOST: "another-host"}
    beats = {
        place: {"gristmill.beat": str(time.time() - ago)} for place, ago in ((0, 5), (1, 2000))
    }
    there, silent = (left_running(stored, {**far, **beats[place]}) for place in (0, 1))
    trials = [left_running(stored, {**far, "mlflow.parentRunId": run}) for run in (there, silent)]
    old = left_running(stored, far)  # from a release without heartbeats
    assert mend_dead_runs(stored) == 2
    states = [run_of(stored, r).info.status for r in (there, silent, *trials, old)]
    assert states == ["RUNNING", "KILLED", "RUNNING", "KILLED", "RUNNING"]


def test_a_run_sends_a_heartbeat_at_intervals(stored: Project) -> None:
    with Tracker(stored, "tiny") as tracker:
        client(stored).set_tag(tracker.run_id, "gristmill.beat", "0")
        with heartbeat(stored, tracker.run_id, every=0.05):
            while run_of(stored, tracker.run_id).data.tags["gristmill.beat"] == "0":
                time.sleep(0.05)
        assert time.time() - float(run_of(stored, tracker.run_id).data.tags["gristmill.beat"]) < 60
    assert "heartbeat" not in {thread.name for thread in threading.enumerate()}


def test_a_process_is_identified_by_pid_and_start_time() -> None:
    mine = process_tags()
    assert process_lives(mine[HOST], mine[PID], mine[BEGUN])
    assert mine[PID] == str(os.getpid())
    assert not process_lives(mine[HOST], mine[PID], "0")
    assert not process_lives(mine[HOST], "no number", "0")


def test_a_missing_artifact_is_named(stored: Project, tmp_path: Path) -> None:
    with Tracker(stored, "tiny") as tracker:
        pass
    words = rf"the artifact gone\.npz of run {tracker.run_id[:8]} is not in the store"
    with pytest.raises(EnvironmentFault, match=words):
        fetch_artifact(stored, tracker.run_id, "gone.npz", tmp_path / "fetched")
    with pytest.raises(EnvironmentFault, match="is not in the store"):
        fetch_artifact(stored, "0" * 32, "gone.npz", tmp_path / "fetched")


def test_an_mlflow_exception_becomes_one_readable_error(stored: Project) -> None:
    connection = client(stored)
    with (
        pytest.raises(EnvironmentFault, match=r"(?s)MLflow could not read a run.*not found"),
        store_errors("read a run"),
    ):
        connection.get_run("0" * 32)


def test_find_runs_returns_finished_runs_with_a_tag_newest_first(stored: Project) -> None:
    made = []
    for key in ("a", "a", "b"):
        with Tracker(stored, "tiny") as tracker:
            tracker.log(tags={"gristmill.run": key})
        made.append(tracker.run_id)
    left_running(stored, {**process_tags(), "gristmill.run": "a"})
    found = find_runs(stored, {"gristmill.run": ["a"]}, status="FINISHED")
    assert [run.run_id for run in found] == [made[1], made[0]]
    assert found[0].tags["gristmill.run"] == "a"


def test_ctrl_c_waits_until_a_store_call_has_ended() -> None:
    done: list[str] = []

    def body() -> None:
        with whole():
            with whole():
                os.kill(os.getpid(), signal.SIGINT)
                done.append("inner")
            done.append("outer")
        done.append("after")

    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        body()
    assert done == ["inner", "outer"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_store_calls_from_other_threads_do_not_touch_signal_handlers() -> None:
    seen: list[object] = []

    def body() -> None:
        with whole():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_mlflows_list_of_modules_and_packages_is_built_ahead() -> None:
    know_packages()
    from mlflow.utils import requirements_utils

    assert requirements_utils._MODULES_TO_PACKAGES
