"""Work beside the steps of a run: in order, and ended without a process left behind."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from gristmill.flows.background import Work
from gristmill.pipelines.base.errors import ConfigError, EnvironmentFault


def test_work_returns_its_result_or_raises_its_error() -> None:
    def fails() -> int:
        raise ConfigError("broken")

    assert Work(lambda: 3).result() == 3
    with pytest.raises(ConfigError, match="broken"):
        Work(fails).result()


def test_work_starts_after_the_preceding_work_is_done() -> None:
    """The first waits in vain for the second; if both ran together it would end at once."""
    begun = threading.Event()
    first = Work(lambda: begun.wait(1))
    second = Work(begun.set, after=first)
    second.result()
    assert first.result() is False


def test_work_after_failed_work_is_not_started() -> None:
    def fails() -> None:
        raise ConfigError("broken")

    done: list[str] = []
    with pytest.raises(ConfigError, match="broken"):
        Work(lambda: done.append("second"), after=Work(fails)).result()
    assert done == []


def test_ended_work_leaves_no_process_and_starts_none() -> None:
    """As in the data stages: without `end` the second would start when the first is killed."""
    processes: list[subprocess.Popen[bytes]] = []

    def sleeps() -> int:
        processes.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))
        return processes[-1].wait()

    def stop() -> None:
        for process in processes:
            process.kill()

    first = Work(sleeps, stop)
    second = Work(sleeps, stop, after=first)
    while not processes:
        time.sleep(0.01)
    Work.end([first, second])
    assert len(processes) == 1
    assert processes[0].poll() is not None
    with pytest.raises(EnvironmentFault, match="ended before it began"):
        second.result()
