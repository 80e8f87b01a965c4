"""git, asked as a program."""

from __future__ import annotations

import subprocess
from pathlib import Path

from gristmill.pipelines.base.errors import EnvironmentFault


def run_git(folder: Path, *words: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command of git in a folder; paths are printed as they are.

    Args:
        folder: In the repository.
        words: Of the command.
        given: Its standard input.
    """
    command = ("git", "-c", "core.quotepath=off", "-C", str(folder), *words)
    return subprocess.run(command, input=given, capture_output=True, check=False)


def ask_git(folder: Path, *words: str, check: bool = False) -> str:
    """Return what a command of git prints; nothing where it fails.

    Raises:
        EnvironmentFault: It fails, and `check` is true.
    """
    done = run_git(folder, *words)
    if check and done.returncode:
        raise EnvironmentFault(
            f"git {words[0]} failed", found=done.stderr.decode(errors="replace").strip()[:500]
        )
    return done.stdout.decode(errors="replace")
