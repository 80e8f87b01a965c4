"""`gristmill runs`: list runs, show their logs, cancel one."""

from __future__ import annotations

import json
from collections.abc import Callable

import psutil
import pytest
from aftermath import Command, edit, flow_states, mlflow_runs, processes_of, until

from gristmill.flows.session import holder
from gristmill.pipelines.config.project import Project
from tests.conftest import Run

Start = Callable[..., Command]


def test_runs_are_listed_in_eighty_columns(finished: Project, gristmill: Run) -> None:
    said = gristmill("runs", "list", check=True, env={"COLUMNS": "80"}).stdout
    assert all(len(line) <= 80 for line in said.splitlines())
    (line,) = [line for line in said.splitlines() if "digits" in line]
    assert "promoted 1" in line
    assert "val_accuracy 0.9" in line
    wrong = gristmill("runs", "list", "digit")
    assert wrong.returncode == 1
    assert "there is no experiment 'digit'" in wrong.stderr
    none = gristmill("runs", "list", "diabetes", check=True).stdout
    assert "no run yet; next: gristmill run diabetes" in none


def test_the_log_of_a_run_is_kept(finished: Project, gristmill: Run) -> None:
    listed = gristmill("runs", "list", check=True).stdout
    run = next(line for line in listed.splitlines() if "digits" in line).split()[0]
    ((file,), server) = (finished.prefect_home / "logs").iterdir(), finished.prefect_home
    started = (server / "server.log").stat().st_mtime_ns
    by_id, by_name, by_flow = (
        gristmill("runs", "logs", word, check=True) for word in (run, "digits", file.stem[:8])
    )
    assert by_id.stdout == by_name.stdout == by_flow.stdout
    assert (server / "server.log").stat().st_mtime_ns == started
    for words in ("✓ validate", "✓ search", "digits version 1 is the champion now"):
        assert words in by_id.stdout
    wrong = gristmill("runs", "logs", "digit")
    assert wrong.returncode == 1
    assert "did you mean digits?" in wrong.stderr


@pytest.mark.slow
def test_the_log_of_a_run_without_a_file_is_read_from_the_server(
    finished: Project, gristmill: Run
) -> None:
    (file,) = (finished.prefect_home / "logs").iterdir()
    file.unlink()
    said = gristmill("runs", "logs", "digits", check=True).stdout
    for words in ("✓ validate", "✓ search", "digits version 1 is the champion now"):
        assert words in said
    assert processes_of(finished) == []


def test_a_finished_run_cannot_be_cancelled(finished: Project, gristmill: Run) -> None:
    done = gristmill("runs", "cancel", "digits")
    assert done.returncode == 1
    assert "of digits is not running" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["validate", "search"])
def test_cancelling_a_run_has_the_effect_of_ctrl_c(
    tiny: Project, command: Start, gristmill: Run, moment: str
) -> None:
    edit(tiny.experiment_file("tiny"), "epochs: 20}", "epochs: 900, batch: 1}")
    edit(tiny.experiment_file("tiny"), "epochs: $epochs", "epochs: $epochs, batch_size: $batch")
    edit(tiny.experiment_file("tiny"), "max: 100", "max: 99")
    run = command(tiny, "run", "tiny")
    if moment == "search":
        until(lambda: mlflow_runs(tiny, "RUNNING") >= 2, "a run with a trial")
    else:
        run.wait_for("✓ ingest")
    said = gristmill("runs", "cancel", "tiny", check=True).stdout
    assert "the run of tiny was ended; the next run continues from there" in said
    assert run.process.wait(10) == 130, run.said
    until(lambda: not processes_of(tiny), "the end of its processes", 10)
    assert mlflow_runs(tiny, "RUNNING") == 0
    assert flow_states(tiny)[-1] in ("CRASHED", "CANCELLED", "FAILED")
    assert holder(tiny, "tiny") is None


@pytest.mark.slow
def test_a_process_that_does_not_belong_to_the_run_is_never_ended(
    tiny: Project, command: Start, gristmill: Run
) -> None:
    sleeper = psutil.Popen(["sleep", "600"])
    lock = tiny.build("tiny") / ".lock"
    try:
        import fcntl

        with lock.open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            json.dump({"gristmill.pid": str(sleeper.pid), "gristmill.begun": "1.0"}, file)
            file.flush()
            elsewhere = gristmill("runs", "cancel", "tiny")
            assert "is on another machine" in elsewhere.stderr
            import socket

            file.seek(0)
            about = {"gristmill.host": socket.gethostname(), "gristmill.begun": "1.0"}
            json.dump({**about, "gristmill.pid": str(sleeper.pid)}, file)
            file.flush()
            gone = gristmill("runs", "cancel", "tiny", check=True).stdout
            assert "its process had ended already" in gone
        assert sleeper.is_running()
    finally:
        sleeper.kill()
        sleeper.wait()
