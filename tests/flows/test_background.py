"""Work beside the steps of a run: in order, and ended without a process left behind."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

import pytest

from gristmill.flows.background import Work
from gristmill.pipelines.base.errors import ConfigError, EnvironmentFault


def test_work_gives_what_it_came_to_or_the_error_that_it_raised() -> None:
    def fails() -> int:
        raise ConfigError("broken")

    assert Work(lambda: 3).result() == 3
    with pytest.raises(ConfigError, match="broken"):
        Work(fails).result()


def test_work_begins_when_that_before_it_is_done() -> None:
    """The first one waits for the second, in vain; if both were at work, it would end at once."""
    begun = threading.Event()
    first = Work(lambda: begun.wait(1))
    second = Work(begun.set, after=first)
    second.result()
    assert first.result() is False


def test_work_after_one_that_failed_is_not_begun() -> None:
    def fails() -> None:
        raise ConfigError("broken")

    done: list[str] = []
    with pytest.raises(ConfigError, match="broken"):
        Work(lambda: done.append("second"), after=Work(fails)).result()
    assert done == []


def test_ended_work_leaves_no_process_and_begins_none() -> None:
    """As the data stages do it: the second would begin when the first one is killed."""
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
