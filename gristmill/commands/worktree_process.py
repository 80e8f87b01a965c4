"""A command carried out by the code of a working tree, in a process that ends with this one."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gristmill.pipelines.base import EnvironmentFault, GristmillError, read_json, started


def ask_in_worktree(
    tree: Path, words: Sequence[str], aside: Path, *, without: tuple[str, ...], grace: float = 0.0
) -> dict[str, Any]:
    """Carry out a command of `gristmill` in a working tree; returns the answer that it wrote.

    Its standard input stays open as long as this process waits for it.

    Args:
        words: the command and its arguments; the file for its answer is the last one.
        aside: folder for what is written on the way.
        without: beginnings of the names of environment variables that it does not get.
        grace: seconds that it has to end by itself when nobody waits for it any more.

    Raises:
        GristmillError: the one that ended it.
        EnvironmentFault: it ended without an answer.
    """
    answer, fault, log = (aside / name for name in ("answer.json", "fault.json", "output.txt"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(without)}
    environment |= {"PYTHONPATH": str(tree), "DVC_SITE_CACHE_DIR": str(aside / "dvc")}
    environment |= {"GRISTMILL_RECORD": str(fault)}
    command = [sys.executable, "-m", _command_line(tree)]
    if command[-1] != "gristmill.app":
        environment["PATH"] = _with_script(aside / "bin", command, environment.get("PATH", ""))
    command += [*words, str(answer)]
    with log.open("w") as output, started(command, tree, environment, output, grace) as process:
        process.wait()
    if fault.is_file():
        raise GristmillError.from_record(read_json(fault))
    if answer.is_file():
        return dict(read_json(answer))
    lines = log.read_text(errors="replace").strip().splitlines()
    last = lines[-1][:300] if lines else f"exit code {process.returncode}"
    raise EnvironmentFault("the training did not come to its end", found=last)


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
