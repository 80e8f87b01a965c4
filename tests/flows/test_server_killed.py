"""A run whose Prefect server is killed: its result does not depend on the server."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from aftermath import Command, flow_states, mlflow_runs, processes_of, task_states, until

from gristmill.flows.servers.prefect_server import running_server
from gristmill.pipelines.config.project import Project
from tests.conftest import Run

pytestmark = pytest.mark.slow
Start = Callable[..., Command]


def kill_server(project: Project) -> bool:
    running = running_server(project)
    if running is not None:
        with suppress(ProcessLookupError):
            os.kill(running["pid"], signal.SIGKILL)
    return running is not None


def test_a_server_killed_in_a_run_is_started_again(tiny: Project, command: Start) -> None:
    run = command(tiny, "run", "tiny", "-P", "learning_rate=0.03")
    run.wait_for("✓ snapshot")
    assert kill_server(tiny)
    assert run.process.wait(120) == 0, run.said
    assert "Error" not in run.said
    assert flow_states(tiny)[-1] == "COMPLETED"
    assert mlflow_runs(tiny, "FAILED") == mlflow_runs(tiny, "RUNNING") == 0


def test_a_run_keeps_its_result_if_the_server_never_comes_back(
    tiny: Project, command: Start, gristmill: Run
) -> None:
    over = threading.Event()

    def kill_again() -> None:
        while not over.wait(0.1):
            kill_server(tiny)

    run = command(tiny, "run", "tiny", "-P", "learning_rate=0.03")
    run.wait_for("✓ search")
    thread = threading.Thread(target=kill_again, daemon=True)
    thread.start()
    run.wait_for("✓ register")
    began = time.monotonic()
    assert run.process.wait(120) == 0, run.said
    assert time.monotonic() - began < 90  # 20 s on a quiet machine
    over.set()
    thread.join()
    assert run.said.count("Prefect's server does not answer") == 1
    assert "tiny version 2" in run.said
    assert "Traceback" not in run.said
    assert mlflow_runs(tiny, "FAILED") == mlflow_runs(tiny, "RUNNING") == 0
    until(lambda: not processes_of(tiny), "the end of all processes", 10)
    again = gristmill("run", "tiny", "-P", "learning_rate=0.03", check=True)
    assert "nothing to do" in again.stdout
    assert {"RUNNING", "PENDING"}.isdisjoint({*flow_states(tiny), *task_states(tiny)})
