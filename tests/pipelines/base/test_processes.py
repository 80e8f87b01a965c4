"""Child processes end with their parent; a reused pid is not the same process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gristmill.pipelines.base import began, is_running, started

SLEEPING = "import time; time.sleep(600)"
WITH_A_CHILD = f"""
import subprocess, sys
from pathlib import Path
child = subprocess.Popen([sys.executable, "-c", {SLEEPING!r}])
Path(sys.argv[1]).write_text(str(child.pid))
child.wait()
"""
ALONE = """
from gristmill.pipelines.base import end_with_parent
end_with_parent()
print("watching", flush=True)
import time; time.sleep(600)
"""


def wait_for(file: Path) -> int:
    for _ in range(600):
        if file.is_file() and file.read_text():
            return int(file.read_text())
        time.sleep(0.05)
    raise TimeoutError(file)


def gone(pid: int) -> bool:
    for _ in range(600):
        if not began(pid):
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("grace", [0.0, 30.0])
def test_a_process_and_its_children_end_with_the_block(tmp_path: Path, grace: float) -> None:
    command = [sys.executable, "-c", WITH_A_CHILD, str(tmp_path / "pid")]
    with (tmp_path / "log").open("w") as log:
        with started(command, tmp_path, os.environ, log, grace) as process:
            child = wait_for(tmp_path / "pid")
            assert began(child)
        assert process.returncode is not None
        assert gone(child)


def test_a_process_ends_when_its_standard_input_is_closed() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", ALONE], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == b"watching\n"
    assert process.poll() is None
    process.stdin.close()
    assert process.wait(30) == 9
    process.stdout.close()


def test_a_process_is_running_only_if_its_start_time_matches() -> None:
    me = os.getpid()
    assert is_running(me, began(me))
    assert is_running(str(me), f"{float(began(me)) + 0.01:.2f}")
    assert not is_running(me, f"{float(began(me)) - 60:.2f}")
    assert not is_running("", "0")
    assert not is_running(me, "")


def test_a_zombie_process_is_not_running() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    assert gone(process.pid)
    assert not is_running(process.pid, "0")
    process.wait()
