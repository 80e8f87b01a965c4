"""DVC's repository, opened under its lock after repairing what killed processes left."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

from dvc.exceptions import DvcException
from dvc.fs import RemoteMissingDepsError
from dvc.lock import LockError, make_lock
from dvc.repo import Repo, lock_repo
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK

from gristmill.pipelines.base import EnvironmentFault, read_json, write_json
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion.versions import cache
from gristmill.pipelines.ingestion.versions.pin_file import read_pin

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = 600.0
"""Seconds to wait for data stages of other processes."""

MOVE = "gristmill-move.json"
"""A file in DVC's folder for temporary files: the move of a data set in progress."""


@contextmanager
def opened(project: Project) -> Iterator[Repo]:
    """Open the repository under DVC's lock, which its own methods can acquire again."""
    project.require_git()
    for package in ("dvc", "dvc_objects", "dvc_data"):
        logging.getLogger(package).setLevel(logging.CRITICAL)  # below it, DVC draws progress bars
    try:
        with unlocked(project, wait=True) as repo, lock_repo(repo):
            _drop_broken_users(repo)
            finish_move(project, repo)
            yield repo
    except LockError as error:
        raise _locked(error) from error
    except DvcException as error:
        for one in cache.causes(error):
            if isinstance(one, LockError):
                raise _locked(one) from error
        raise EnvironmentFault(
            "DVC failed", found=_first_lines(error), next="dvc status -v"
        ) from error


class Locked(EnvironmentFault):
    """Another process uses files of a data stage, or DVC's repository."""


def _locked(error: LockError) -> Locked:
    return Locked(
        "another process holds DVC's lock",
        found=str(error).partition("\n\n")[0],  # DVC's advice follows: to remove the lock's file
        next="wait for it and try again",
    )


def patient(function: Callable[P, T]) -> Callable[P, T]:
    """Repeat a function while another process runs a stage that writes files which it reads.

    DVC waits for the lock of the repository, but not for those of files.
    """

    @wraps(function)
    def waiting(*args: P.args, **kwargs: P.kwargs) -> T:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return function(*args, **kwargs)
            except Locked:
                if time.monotonic() > end:
                    raise
                time.sleep(0.5)

    return waiting


@contextmanager
def unlocked(project: Project, *, wait: bool = False) -> Iterator[Repo]:
    """Open the repository without DVC's lock, for a process of git while another one holds it."""
    try:
        with Repo(str(project.root), _wait_for_lock=wait) as repo:
            yield repo
    except (ImportError, RemoteMissingDepsError) as error:
        raise cache.without_package(error) from error


def dvc_path(project: Project, name: str) -> str:
    """Return a path in the project as DVC expects it: relative to the current folder."""
    return os.path.relpath(project.root / name)


def _drop_broken_users(repo: Repo) -> None:
    """Remove DVC's list of used files if a process was killed while writing it.

    DVC reads and writes it under a separate lock, and treats a missing list as an empty one.
    """
    file = Path(repo.tmp_dir) / RWLOCK_FILE
    if _is_json(file):
        return
    hardlink = repo.config["core"].get("hardlink_lock", False)
    guard = make_lock(
        f"{file.with_name(RWLOCK_LOCK)}", tmp_dir=repo.tmp_dir, hardlink_lock=hardlink, wait=True
    )
    with guard:
        if not _is_json(file):
            file.unlink()


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


def begin_move(repo: Repo, folder: str, digest: str) -> None:
    """Record that the pin is about to move to a version whose bytes are in the cache.

    Args:
        repo: DVC's repository.
        folder: name of the data set under `data/`.
        digest: hash of the version.
    """
    write_json(Path(repo.tmp_dir, MOVE), {"folder": folder, "digest": digest})


def finish_move(project: Project, repo: Repo) -> None:
    """Check out the files of a move whose pin is written; discard a move that was not so far."""
    journal = Path(repo.tmp_dir, MOVE)
    if not journal.exists():
        return
    move = read_json(journal)
    folder, digest = move["folder"], move.get("digest")
    if digest and read_pin(project).sets.get(folder) == digest:
        cache.check_out(repo, project.root / "data" / folder, cache.load_list(repo, digest))
    journal.unlink()


def _first_lines(error: Exception) -> str:
    lines = [str(one).strip().split("\n")[0] for one in cache.causes(error)]
    return "\n".join(dict.fromkeys(filter(None, lines)))[:600]
