"""Calls of the git program."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gristmill.pipelines.base.errors import EnvironmentFault


def run_git(folder: Path, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a git command in a folder; paths in its output are not quoted.

    Args:
        folder: A folder in the repository.
        words: The command and its arguments, without `git`.
        given: Its standard input.
    """
    command = ("git", "-c", "core.quotepath=off", "-C", str(folder), *words)
    return subprocess.run(command, input=given, capture_output=True, check=False)


def ask_git(folder: Path, *words: str, check: bool = False) -> str:
    """Return the standard output of a git command; a failure is ignored unless `check` is true.

    Raises:
        EnvironmentFault: The command fails and `check` is true.
    """
    done = run_git(folder, *words)
    if check and done.returncode:
        raise EnvironmentFault(
            f"git {words[0]} failed", found=done.stderr.decode(errors="replace").strip()[:500]
        )
    return done.stdout.decode(errors="replace")
