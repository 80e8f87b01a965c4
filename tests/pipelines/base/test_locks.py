"""Locks: held by one process at a time, with a readable holder, released when it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gristmill.pipelines.base import lock_holder, locked

HOLDING = """
import sys
from pathlib import Path
from gristmill.pipelines.base import locked
with locked(Path(sys.argv[1]), about={"pid": "7"}):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock until its standard input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(tmp_path / "lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_holder_of_a_lock_can_be_read_while_others_try_to_acquire_it(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    def refuse() -> None:
        raise BlockingIOError("taken")

    with pytest.raises(BlockingIOError, match="taken"), locked(tmp_path / "lock", refuse):
        pass
    assert lock_holder(tmp_path / "lock") == {"pid": "7"}
    other.communicate()
    assert lock_holder(tmp_path / "lock") is None


def test_a_wait_is_reported_once_and_ends_when_the_holder_is_killed(
    tmp_path: Path, other: subprocess.Popen[str]
) -> None:
    said: list[str] = []

    def wait() -> None:
        said.append("waiting")
        other.kill()
        other.communicate()

    with locked(tmp_path / "lock", wait, {"pid": "8"}):
        assert said == ["waiting"]
        assert lock_holder(tmp_path / "lock") == {"pid": "8"}


def test_a_lock_that_was_never_held_has_no_holder(tmp_path: Path) -> None:
    assert lock_holder(tmp_path / "lock") is None
    assert not list(tmp_path.iterdir())
