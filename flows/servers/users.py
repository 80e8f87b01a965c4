"""Which processes of this machine use the project's Prefect server: a file each.

The file of a process that was killed stays, so that the next command finishes what it left.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gristmill.pipelines.base import read_json, write_json
from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import BEGUN, HOST, PID, process_lives, process_tags


def file_of_user(project: Project) -> Path:
    """The file of this process."""
    file = project.prefect_home / "users" / str(os.getpid())
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def users(home: Path) -> list[Path]:
    """The files of the processes of this machine that need the server."""
    return [file for file in (home / "users").glob("*") if lives(_read_user(file))]


def left_by_the_dead(project: Project) -> list[Path]:
    """The files of processes of this machine that were killed."""
    read = {file: _read_user(file) for file in (project.prefect_home / "users").glob("*")}
    here = socket.gethostname()
    return [
        file for file, about in read.items() if about.get(HOST, here) == here and not lives(about)
    ]


def _read_user(file: Path) -> dict[str, Any]:
    """What the file of a process says; a release before this one wrote no record."""
    try:
        about = read_json(file)
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return about if isinstance(about, dict) else {}


def lives(about: Mapping[str, Any]) -> bool:
    """Whether this is a process of this machine, and still there."""
    host = about.get(HOST, "")
    return host == socket.gethostname() and process_lives(host, about[PID], about[BEGUN])


@contextmanager
def under_way(project: Project) -> Iterator[None]:
    """Say in a file that this process has a flow run; the file outlives its being killed."""
    file = file_of_user(project)
    write_json(file, process_tags())
    try:
        yield
    except Exception:  # the flow run is recorded as failed; after Ctrl-C it may be not
        file.unlink(missing_ok=True)
        raise
    file.unlink(missing_ok=True)
