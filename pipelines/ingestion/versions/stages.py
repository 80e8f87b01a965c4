"""The data stages in DVC: what they would do and why, their runs, and hashes of their files."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
from dvc.exceptions import ReproductionError
from dvc.repo import Repo
from dvc.stage import Stage

from gristmill.pipelines.base import EnvironmentFault, GristmillError, read_json, writing
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion.versions import pin_file
from gristmill.pipelines.ingestion.versions.cache import causes, place_of
from gristmill.pipelines.ingestion.versions.pins import DataState, state_of
from gristmill.pipelines.ingestion.versions.repository import dvc_path, opened, patient

STAGES = ("ingest", "validate", "split", "scale")
MISSING = ("deleted", "not in cache")
"""DVC's words for files of which only the hash is known here."""


@dataclass(frozen=True)
class StageState:
    """The reasons for a stage to run; none if it is up to date."""

    name: str
    changes: tuple[str, ...]


@dataclass(frozen=True)
class DataPlan:
    """DVC's plan for an experiment.

    Attributes:
        data: the data set compared with the pin.
        stages: the stages in order, with the reasons to run.
        digests: DVC's hashes of the inputs and outputs of the stages, by path.
    """

    data: DataState
    stages: tuple[StageState, ...]
    digests: Mapping[str, str]


@patient
def data_plan(project: Project, experiment: str, folder: str) -> DataPlan:
    """Return what DVC would do for an experiment.

    Args:
        project: the project.
        experiment: its name.
        folder: name of its data set under `data/`.
    """
    with opened(project) as repo:
        data = state_of(project, repo, folder)
        stages = _stages(project, repo, experiment)
        reasons = {stage.addressing.split("@")[0]: _reasons(stage) for stage in stages}
    states = tuple(StageState(name, reasons.get(name, ("first time",))) for name in STAGES)
    return DataPlan(data, states, _digests(stages))


@patient
def stage_digests(project: Project, experiment: str) -> Mapping[str, str]:
    """Return DVC's hashes of the inputs and outputs of the experiment's stages, by path."""
    with opened(project) as repo:
        return _digests(_stages(project, repo, experiment))


def cached_files(project: Project, digests: Collection[str]) -> dict[str, Path]:
    """Return the paths in DVC's cache, by hash, of the files that are there."""
    with opened(project) as repo:
        places = {digest: place_of(repo, digest) for digest in digests}
    return {digest: place for digest, place in places.items() if place.exists()}


def cache_folder(project: Project) -> Path:
    """Return the folder of DVC's cache on this machine."""
    with opened(project) as repo:
        return Path(repo.cache.local.path)


@patient
def run_stage(project: Project, stage: str, experiment: str, force: bool) -> bool:
    """Run one stage with DVC, unless none of its dependencies has changed.

    Args:
        project: the project.
        stage: one of `STAGES`.
        experiment: name of the experiment.
        force: whether to run it even if nothing has changed.

    Returns:
        Whether the stage ran.

    Raises:
        GristmillError: the error that the stage's process reported.
        KeyboardInterrupt: the stage was interrupted.
    """
    record = project.build(experiment) / "logs" / f"{stage}.json"
    record.unlink(missing_ok=True)
    os.environ["GRISTMILL_RECORD"] = str(record)
    target = f"{stage}@{experiment}"
    if (file := dvc_path(project, "dvc.yaml")) != "dvc.yaml":
        target = f"{file}:{target}"
    try:
        with opened(project) as repo:
            return bool(repo.reproduce(target, single_item=True, force=force))
    except EnvironmentFault as fault:
        if record.is_file():
            raise GristmillError.from_record(read_json(record)) from fault
        for one in causes(fault):
            if isinstance(one, ReproductionError) and "exited with -2" in str(one.__cause__):
                raise KeyboardInterrupt from fault
        raise
    finally:
        os.environ.pop("GRISTMILL_RECORD", None)


def forget_stages(project: Project, experiment: str) -> int:
    """Remove an experiment's stages from `dvc.lock`; return how many there were."""
    with opened(project):
        file = project.root / pin_file.LOCK
        document = pin_file.load_map(file.read_text(encoding="utf-8")) if file.exists() else {}
        stages = document.get("stages") or {}
        mine = [name for name in stages if name.partition("@")[2] == experiment]
        for name in mine:
            del stages[name]
        if mine:
            with writing(file) as aside:
                aside.write_text(pin_file.dump(document), encoding="utf-8")
    return len(mine)


def stop_stage(stage: str, experiment: str) -> None:
    """Kill the process that runs a stage, if there is one."""
    wanted = f"stage {stage} {experiment}"
    for child in psutil.Process().children(recursive=True):
        try:
            if wanted in " ".join(child.cmdline()):
                child.kill()
        except psutil.NoSuchProcess:
            continue


def _stages(project: Project, repo: Repo, experiment: str) -> list[Stage]:
    return list(repo.stage.load_all(dvc_path(project, "dvc.yaml"), f"*@{experiment}", glob=True))


def _reasons(stage: Stage) -> tuple[str, ...]:
    entries = stage.status(check_updates=False).get(stage.addressing, [])
    if entries and not any(dep.hash_info for dep in stage.deps):
        return ("first time",)
    lines: list[str] = []
    missing = False
    for entry in entries:
        if isinstance(entry, str):
            lines.append(entry)
            continue
        for shown, what in next(iter(entry.values())).items():
            place = os.path.relpath(shown, stage.repo.root_dir)
            if isinstance(what, dict):
                lines += [f"{key} in {place} {how}" for key, how in what.items()]
            elif what in MISSING and place.startswith("build/"):
                missing = True
            else:
                lines.append(f"{place} {what}")
    return tuple(lines) if lines or not missing else ("no result on this machine yet",)


def _digests(stages: Iterable[Stage]) -> dict[str, str]:
    return {
        out.def_path: str(out.hash_info.value)
        for stage in stages
        for out in (*stage.deps, *stage.outs)
        if out.hash_info and out.def_path.startswith(("build/", "data/"))
    }
