"""A command carried out by the code of a working tree, in a process that ends with this one."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gristmill.pipelines.base import started


def run_in_worktree(
    tree: Path,
    words: Sequence[str],
    aside: Path,
    *,
    without: tuple[str, ...],
    settings: Mapping[str, str] | None = None,
    grace: float = 0.0,
) -> str:
    """Carry out a command of `gristmill` in a working tree, and wait for it.

    Its standard input stays open as long as this process waits for it.

    Args:
        words: the command and its arguments.
        aside: folder for what is written on the way.
        without: beginnings of the names of environment variables that it does not get.
        settings: environment variables for it.
        grace: seconds that it has to end by itself when nobody waits for it any more.

    Returns:
        The last line that it wrote; its exit code where it wrote none.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith(without)}
    environment |= {"PYTHONPATH": str(tree), "DVC_SITE_CACHE_DIR": str(aside / "dvc")}
    environment |= settings or {}
    command = [sys.executable, "-m", _command_line(tree)]
    if command[-1] != "gristmill.app":
        environment["PATH"] = _with_script(aside / "bin", command, environment.get("PATH", ""))
    log = aside / "output.txt"
    with (
        log.open("w") as output,
        started([*command, *words], tree, environment, output, grace) as process,
    ):
        process.wait()
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else f"exit code {process.returncode}"


def _command_line(tree: Path) -> str:
    """The module that is the command line of the code in a working tree.

    A folder without code is served by the code that is installed.
    """
    moved = (tree / "gristmill" / "app.py").exists()
    return "flows.cli" if not moved and (tree / "flows" / "cli.py").exists() else "gristmill.app"


def _with_script(folder: Path, command: Sequence[str], path: str) -> str:
    """A search path on which `gristmill`, as DVC calls it for a stage, is this command.

    The installed script imports `gristmill.app`, which such a tree does not have.
    """
    folder.mkdir(parents=True)
    script = folder / "gristmill"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    script.chmod(0o755)
    return os.pathsep.join([str(folder), str(Path(sys.executable).parent), path])
