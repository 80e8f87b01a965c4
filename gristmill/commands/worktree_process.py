"""Run a command with the code of a working tree, in a process that ends with this one."""

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
    """Run a `gristmill` command in a working tree; return the answer that it wrote.

    Its standard input stays open while this process waits for it.

    Args:
        tree: folder of the working tree.
        words: the command and its arguments; the path of the answer file is appended.
        aside: folder for the answer, the log and temporary files.
        without: prefixes of environment variables to remove.
        grace: seconds that the process has to end by itself once this one no longer waits.

    Raises:
        GristmillError: the error that ended the command.
        EnvironmentFault: the command ended without an answer.
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
    raise EnvironmentFault("the training did not finish", found=last)


def _command_line(tree: Path) -> str:
    """Return the module of the command line of a working tree's code.

    A folder without code uses the installed code.
    """
    moved = (tree / "gristmill" / "app.py").exists()
    return "flows.cli" if not moved and (tree / "flows" / "cli.py").exists() else "gristmill.app"


def _with_script(folder: Path, command: Sequence[str], path: str) -> str:
    """Return a search path on which `gristmill`, as DVC calls it, runs this command.

    The installed script imports `gristmill.app`, which an older tree does not have.
    """
    folder.mkdir(parents=True)
    script = folder / "gristmill"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
    script.chmod(0o755)
    return os.pathsep.join([str(folder), str(Path(sys.executable).parent), path])
