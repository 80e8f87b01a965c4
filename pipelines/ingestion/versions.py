"""Versions of data, and the stages that depend on them: the one module that imports dvc."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import psutil
from dvc.dependency import loads_from
from dvc.exceptions import DvcException, ReproductionError
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo
from dvc_data.hashfile.tree import Tree

from pipelines.config import (
    ConfigError,
    EnvironmentFault,
    GristmillError,
    InputError,
    Project,
    read_json,
)

STAGES = ("ingest", "validate", "split", "scale")
PIN = "data.dvc"
MISSING = ("deleted", "not in cache")
"""What DVC says of files of which only the hash is here."""


class DataState(Enum):
    """How a data set's folder on disk stands to the pin."""

    PINNED = "matches the pin"
    EDITED = "differs from the pin"
    MISSING = "is pinned, but not on disk"
    NEW = "is on disk, but not pinned"
    ABSENT = "is neither on disk nor pinned"


@dataclass(frozen=True)
class StageState:
    """Whether a stage has something to do, and why."""

    name: str
    changes: tuple[str, ...]


@contextmanager
def _opened(project: Project) -> Iterator[Any]:
    """The repository under DVC's lock; its own methods may take the lock again."""
    project.require_git()
    logging.getLogger("dvc").setLevel(logging.CRITICAL)  # below it, DVC draws progress bars
    try:
        with Repo(str(project.root), _wait_for_lock=True) as repo, lock_repo(repo):
            yield repo
    except LockError as error:
        raise EnvironmentFault(
            "another process holds DVC's lock", found=str(error), next="wait for it and try again"
        ) from error
    except DvcException as error:
        raise EnvironmentFault(
            "DVC could not do its part", found=_first_lines(error), next="dvc status -v"
        ) from error


def data_state(project: Project, folder: str) -> DataState:
    """Compares `data/<folder>` with what `data.dvc` pins, reading only files that changed."""
    with _opened(project) as repo:
        return _state(project, repo, folder)


def _state(project: Project, repo: Any, folder: str) -> DataState:
    place = project.root / "data" / folder
    there = place.is_dir() and any(place.iterdir())
    out = _pin(project, repo)
    if out is None:
        return DataState.NEW if there else DataState.ABSENT
    tree = out.get_obj()
    if tree is None:  # a clone without cache: only the whole, or what ingest last read, is known
        if not there:
            return DataState.MISSING
        if out.get_hash() == out.hash_info:
            return DataState.PINNED
        expected = _last_ingested(repo, folder)
        if expected is None:
            return DataState.NEW
        return DataState.PINNED if _hash_of(repo, folder) == expected else DataState.EDITED
    part = _subtree(tree, folder)
    if part is None:
        return DataState.NEW if there else DataState.ABSENT
    if not there:
        return DataState.MISSING
    return DataState.PINNED if _hash_of(repo, folder) == part else DataState.EDITED


def data_digest(project: Project, folder: str) -> str:
    """DVC's hash of `data/<folder>` as it is on disk."""
    with _opened(project) as repo:
        return str(_hash_of(repo, folder).value)


def cache_folder(project: Project) -> Path:
    """Where DVC keeps the bytes on this machine."""
    with _opened(project) as repo:
        return Path(repo.cache.local.path)


def restore_from_cache(project: Project, folder: str) -> bool:
    """Puts the pinned bytes of `data/<folder>` back from DVC's cache or its remote.

    Returns:
        Whether the folder then matches the pin.
    """
    target = f"data/{folder}"
    with _opened(project) as repo:
        if repo.config["core"].get("remote"):
            try:
                repo.pull(targets=[target], force=True)
            except DvcException:  # offline, or not there: the source comes next
                return _state(project, repo, folder) is DataState.PINNED
        elif _pin(project, repo) is not None and _pin(project, repo).get_obj() is not None:
            try:
                repo.checkout(targets=[target], force=True)
            except DvcException:
                return False
        return _state(project, repo, folder) is DataState.PINNED


def matches_pin(project: Project) -> bool:
    """Whether all of `data/` has the pinned hash; if so DVC's cache gets the bytes."""
    with _opened(project) as repo:
        out = _pin(project, repo)
        if out is None or not Path(out.fs_path).exists() or out.get_hash() != out.hash_info:
            return False
        if out.get_obj() is None:
            repo.add("data")
        return True


def pin(project: Project, folder: str) -> str:
    """Takes `data/<folder>` as it is into the pin; the other data sets stay as pinned.

    Returns:
        DVC's hash of the folder.

    Raises:
        ConfigError: other data sets are not on disk and the pin's list is not in the cache.
    """
    with _opened(project) as repo:
        out = _pin(project, repo)
        if out is None:
            repo.add("data")
        else:
            tree = out.get_obj()
            if tree is None:
                raise ConfigError(
                    "the other pinned data sets must be restored before a new one is pinned",
                    expected="all of data/ on disk, as data.dvc pins it",
                    found="a pin whose list of files is not in DVC's cache",
                    next="gristmill data restore",
                )
            repo.add(f"data/{folder}")
            names = {key[0] for key, _, _ in tree}
            if all((project.root / "data" / name).exists() for name in names):
                repo.add("data")  # a part's add leaves the size out of the pin
        return str(_hash_of(repo, folder).value)


def _reasons(stage: Any) -> tuple[str, ...]:
    entries = stage.status(check_updates=False).get(stage.addressing, [])
    if entries and not any(dep.hash_info for dep in stage.deps):
        return ("first time",)
    lines: list[str] = []
    missing = False
    for entry in entries:
        if isinstance(entry, str):
            lines.append(entry)
            continue
        for place, what in next(iter(entry.values())).items():
            if isinstance(what, dict):
                lines += [f"{key} in {place} {how}" for key, how in what.items()]
            elif what in MISSING and place.startswith("build/"):
                missing = True
            else:
                lines.append(f"{place} {what}")
    return tuple(lines) if lines or not missing else ("not made here yet",)


def run_stage(project: Project, stage: str, experiment: str, force: bool) -> bool:
    """Has DVC carry out one stage, unless nothing that it depends on has changed.

    Returns:
        Whether anything was done.

    Raises:
        GristmillError: what the stage's own process reported.
        KeyboardInterrupt: the stage was interrupted.
    """
    record = project.build(experiment) / "logs" / f"{stage}.json"
    record.unlink(missing_ok=True)
    os.environ["GRISTMILL_RECORD"] = str(record)
    try:
        with _opened(project) as repo:
            return bool(repo.reproduce(f"{stage}@{experiment}", single_item=True, force=force))
    except EnvironmentFault as fault:
        if record.is_file():
            raise GristmillError.from_record(read_json(record)) from fault
        cause: BaseException | None = fault
        while cause is not None:
            if isinstance(cause, ReproductionError) and "exited with -2" in str(cause.__cause__):
                raise KeyboardInterrupt from fault
            cause = cause.__cause__
        raise
    finally:
        os.environ.pop("GRISTMILL_RECORD", None)


def stop_stage(stage: str, experiment: str) -> None:
    """Ends the process that carries out a stage, if there is one."""
    wanted = f"stage {stage} {experiment}"
    for child in psutil.Process().children(recursive=True):
        try:
            if wanted in " ".join(child.cmdline()):
                child.kill()
        except psutil.NoSuchProcess:
            continue


@dataclass(frozen=True)
class DataPlan:
    """What DVC knows of an experiment.

    Attributes:
        data: how the data set stands to the pin.
        stages: what each stage would do, in their order.
        digests: DVC's hashes of what the stages read and made, by path.
    """

    data: DataState
    stages: tuple[StageState, ...]
    digests: Mapping[str, str]


def data_plan(project: Project, experiment: str, folder: str) -> DataPlan:
    """What DVC would do for the experiment over the data set in `data/<folder>`."""
    with _opened(project) as repo:
        data = _state(project, repo, folder)
        stages = list(repo.stage.load_all("dvc.yaml", f"*@{experiment}", glob=True))
        reasons = {stage.addressing.split("@")[0]: _reasons(stage) for stage in stages}
    states = tuple(StageState(name, reasons.get(name, ("first time",))) for name in STAGES)
    return DataPlan(data, states, _digests(stages))


def digests(project: Project, experiment: str) -> Mapping[str, str]:
    """DVC's hashes of what the experiment's stages read and made, by path."""
    with _opened(project) as repo:
        return _digests(repo.stage.load_all("dvc.yaml", f"*@{experiment}", glob=True))


def _digests(stages: Iterable[Any]) -> dict[str, str]:
    return {
        out.def_path: str(out.hash_info.value)
        for stage in stages
        for out in (*stage.deps, *stage.outs)
        if out.hash_info and out.def_path.startswith(("build/", "data/"))
    }


def _pin(project: Project, repo: Any) -> Any:
    if not (project.root / PIN).is_file():
        return None
    (out,) = repo.stage.load_one(PIN).outs
    return out


def _subtree(tree: Tree, folder: str) -> Any:
    part = Tree()
    for key, meta, hash_info in tree:
        if key[0] == folder:
            part.add(key[1:], meta, hash_info)
    if not len(part):
        return None
    part.digest()
    return part.hash_info


def _hash_of(repo: Any, folder: str) -> Any:
    stage = repo.stage.load_one(PIN) if Path(repo.root_dir, PIN).exists() else None
    (place,) = loads_from(stage, [str(Path(repo.root_dir, "data", folder))]) if stage else (None,)
    if place is None:
        raise InputError("there is no pin yet", expected=PIN, found="none")
    return place.get_hash()


def _last_ingested(repo: Any, experiment_folder: str) -> Any:
    """The hash of a data set's folder that `dvc.lock` has from the last ingest."""
    for stage in repo.stage.load_all("dvc.yaml", "ingest@*", glob=True):
        for dep in stage.deps:
            if dep.def_path == f"data/{experiment_folder}" and dep.hash_info:
                return dep.hash_info
    return None


def _first_lines(error: Exception) -> str:
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause).strip().split("\n")[0]
        if text and text not in parts:
            parts.append(text)
        cause = cause.__cause__
    return "\n".join(parts)[:600]
