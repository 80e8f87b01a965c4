from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress

import psutil
import pytest
from aftermath import (
    Command,
    champions,
    edit,
    flow_states,
    left_aside,
    mlflow_runs,
    processes_of,
    read_tree,
    task_states,
    until,
)

from gristmill.pipelines.base.files import write_json
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.reporting.screen import Screen
from gristmill.pipelines.tracking import process_tags, whole
from tests.conftest import Run, git

Start = Callable[..., Command]
pytestmark = pytest.mark.slow


def slow_search(project: Project) -> None:
    """Make trials last some seconds, so that a test can interrupt the search."""
    edit(project.experiment_file("tiny"), "epochs: 20}", "epochs: 1500, batch: 1}")
    edit(project.experiment_file("tiny"), "epochs: $epochs", "epochs: $epochs, batch_size: $batch")


def test_ctrl_c_in_a_data_stage_ends_every_process_and_keeps_earlier_results(
    tiny: Project, command: Start
) -> None:
    edit(tiny.experiment_file("tiny"), "max: 100", "max: 99")
    before = read_tree(tiny)
    run = command(tiny, "run", "tiny")
    until(lambda: is_at_work("stage validate tiny") or run.process.poll() is not None, "validate")
    assert run.process.poll() is None, run.said
    assert run.interrupt() == 130, run.said
    assert "interrupted; the next run continues from here" in run.said
    assert "Traceback" not in run.said
    left_as_it_should_be(tiny, ends=("COMPLETED", *CUT_SHORT))  # the flow may not have started yet
    assert read_tree(tiny) == before


def test_ctrl_c_just_after_the_flow_has_started_ends_it_and_the_stages(
    tiny: Project, command: Start
) -> None:
    """The stages have already run for a while, and some may be done."""
    edit(tiny.experiment_file("tiny"), "max: 100", "max: 99")
    run = command(tiny, "run", "tiny")
    until(lambda: flow_states(tiny)[-1] == "RUNNING" or run.process.poll() is not None, "a flow")
    assert run.process.poll() is None, run.said
    assert run.interrupt() == 130, run.said
    assert "Traceback" not in run.said
    left_as_it_should_be(tiny, changed=("dvc.lock", "experiments/tiny.yaml"))


def test_ctrl_c_in_a_search_marks_its_runs_as_killed_and_the_next_run_finishes(
    tiny: Project, command: Start, gristmill: Run
) -> None:
    slow_search(tiny)
    run = command(tiny, "run", "tiny")
    until(lambda: mlflow_runs(tiny, "RUNNING") >= 2, "a run with a trial")
    assert run.interrupt() == 130, run.said
    assert "Traceback" not in run.said
    left_as_it_should_be(tiny)
    assert mlflow_runs(tiny, "KILLED") >= 2
    done = gristmill("run", "tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    assert flow_states(tiny)[-1] == "COMPLETED"
    assert mlflow_runs(tiny, "RUNNING") == 0


def test_ctrl_c_while_packaging_registers_nothing(tiny: Project, command: Start) -> None:
    run = command(tiny, "run", "tiny", "-P", "learning_rate=0.03")
    run.wait_for("✓ pictures")
    assert run.interrupt() == 130, run.said
    assert "Traceback" not in run.said
    left_as_it_should_be(tiny)
    assert champions(tiny) == {"digits": 1, "tiny": 1}
    assert "✓ register" not in run.said


def test_after_a_kill_the_next_run_repairs_states_still_marked_running_and_finishes(
    tiny: Project, command: Start, gristmill: Run
) -> None:
    slow_search(tiny)
    run = command(tiny, "run", "tiny")
    until(lambda: mlflow_runs(tiny, "RUNNING") >= 2, "a run with a trial")
    os.kill(run.process.pid, signal.SIGKILL)
    assert run.process.wait() == -signal.SIGKILL
    until(lambda: not processes_of(tiny), "the end of workers and server", 10)
    open_runs = mlflow_runs(tiny, "RUNNING")
    assert open_runs >= 2
    kept = max((tiny.prefect_home / "logs").iterdir(), key=lambda file: file.stat().st_mtime)
    assert "✓ scale" in gristmill("runs", "logs", kept.stem, check=True).stdout
    assert flow_states(tiny)[-1] == "RUNNING"
    done = gristmill("run", "tiny")
    assert done.returncode == 0, done.stdout + done.stderr
    assert mlflow_runs(tiny, "RUNNING") == 0
    assert mlflow_runs(tiny, "KILLED") == open_runs
    assert flow_states(tiny)[-2:] == ["CRASHED", "COMPLETED"]
    assert "RUNNING" not in task_states(tiny)
    assert left_aside(tiny) == []
    assert champions(tiny)["tiny"] in (1, 2)


def test_a_run_with_nothing_to_do_repairs_the_state_of_a_killed_run(
    tiny: Project, gristmill: Run
) -> None:
    with closing(sqlite3.connect(tiny.prefect_home / "prefect.db")) as prefect, prefect:
        prefect.execute("UPDATE flow_run SET state_type = 'RUNNING', tags = '[]'")
        prefect.execute("UPDATE task_run SET state_type = 'RUNNING'")
    with subprocess.Popen(["true"]) as gone:
        about = process_tags(gone.pid)
    left = tiny.prefect_home / "users" / str(gone.pid)
    write_json(left, about)
    with closing(sqlite3.connect(tiny.store / "mlflow.db")) as store, store:
        store.execute(
            "UPDATE runs SET status = 'RUNNING' WHERE run_uuid IN (SELECT run_uuid FROM tags "
            "WHERE key = 'gristmill.experiment' AND value = 'digits')"
        )
    said = gristmill("run", "tiny", check=True).stdout
    assert "nothing to do" in said
    assert set(flow_states(tiny)) == {"CRASHED"}
    assert task_states(tiny) == {"CRASHED"}
    assert not left.exists()
    assert mlflow_runs(tiny, "RUNNING") == 0


def test_ctrl_c_waits_for_a_store_call_to_finish() -> None:
    ended = []

    @whole()
    def call() -> None:
        signal.raise_signal(signal.SIGINT)
        ended.append("the call")

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt, match=r"^$"):
            call()
        assert ended == ["the call"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, handler)


def test_ctrl_c_stays_ctrl_c_when_a_library_converts_it_into_another_error() -> None:
    screen = Screen()
    with pytest.raises(ValueError, match="task run"), screen.ctrl_c():
        raise ValueError("task run is not set")
    screen.interrupted = True
    with pytest.raises(KeyboardInterrupt), screen.ctrl_c():
        raise ValueError("task run is not set")


def is_at_work(words: str) -> bool:
    """Check for a process with these words in its command line that has started to import."""
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            if words in " ".join(process.cmdline()) and process.cpu_times().user > 0.3:
                return True
    return False


CUT_SHORT = ("CRASHED", "CANCELLED", "FAILED")


def left_as_it_should_be(
    project: Project,
    ends: tuple[str, ...] = CUT_SHORT,
    changed: tuple[str, ...] = ("experiments/tiny.yaml",),
) -> None:
    """Check that no process, partly written file or state "running" is left.

    Args:
        ends: allowed states of the last flow run.
        changed: files that may differ from the committed ones.
    """
    end = time.monotonic() + 5
    while time.monotonic() < end and processes_of(project):
        time.sleep(0.05)
    assert processes_of(project) == []
    assert left_aside(project) == []
    assert mlflow_runs(project, "RUNNING") == 0
    assert flow_states(project)[-1] in ends
    assert task_states(project).isdisjoint({"RUNNING", "PENDING"})
    assert champions(project) == {"digits": 1, "tiny": 1}
    differing = git(project.root, "status", "--porcelain").splitlines()
    assert {*differing} <= {f" M {name}" for name in changed}
