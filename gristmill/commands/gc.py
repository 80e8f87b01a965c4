"""`gristmill runs gc`: removes what no registered model and no run within the limit needs."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from gristmill import flows
from gristmill.pipelines import tracking
from gristmill.pipelines.base import ConfigError, locked, read_duration
from gristmill.pipelines.config import Project
from gristmill.pipelines.registry import registered_models as registry
from gristmill.pipelines.reporting import Screen

MEGA = 1e6


@dataclass
class Removable:
    """What may go.

    Attributes:
        runs, trials: in MLflow.
        packages: logged models of those runs that no version is made of: id and address.
        folders: of trials, in `build/`.
        models: registered ones without a version.
        busy: experiments at which a run is at work; nothing of theirs is touched.
    """

    runs: list[tracking.StoredRun] = field(default_factory=list)
    trials: list[tracking.StoredRun] = field(default_factory=list)
    packages: list[tuple[str, str]] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)


def collect(
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="Only what ended before: 30d, 12h, 0s.")
    ] = "30d",
    keep: Annotated[
        int, typer.Option(min=0, help="Newest finished runs of each experiment to keep.")
    ] = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Remove what no registered model and no newer run needs."""
    project, screen = Project.find(), Screen()
    limit = time.time() - seconds(older_than)
    if not dry_run:
        tracking.mend_dead_runs(project)
    with _alone(project) as busy:
        with screen.turning("looking at what the store has …"):
            found = find(project, limit, keep, busy)
            lines = _described(project, found)
        count = _flow_runs(project, limit, dry_run)
        for line in [*lines, f"{'flow runs':16s}{count:6,d}  in Prefect, with tasks and logs"]:
            screen.say(line)
        if not dry_run:
            with screen.turning("removing …"):
                _remove(project, found)
    for name in sorted(found.busy):
        screen.say(f"{name} is being run now; nothing of it was touched")
    done = "nothing was removed" if dry_run else "removed"
    screen.say(f"{done}; older than {older_than}, {keep} runs of each experiment kept")
    if not tracking.is_local(project) and not dry_run:
        screen.say("the store is a server's: its administrator removes them for good: mlflow gc")
    screen.say("data: DVC's cache is left alone; `dvc gc --all-commits --dry` says what no")
    screen.say("commit pins, but runs and `data use` may still need it")


def seconds(text: str) -> float:
    """`30d`, `12h`, `5m` or `0s` in seconds.

    Raises:
        ConfigError: it is none of these.
    """
    try:
        return read_duration(text)
    except ValueError as error:
        raise ConfigError(
            "--older-than takes a number and a unit", expected="such as 30d or 12h", found=text
        ) from error


def find(project: Project, limit: float, keep: int, busy: set[str]) -> Removable:
    """What may go.

    A run stays while it is younger than the limit, among the newest finished ones, or that of a
    registered version. A trial stays while it is younger, or a run that stays needs it; of a run
    that stays only for its version, the winner is needed.

    Args:
        limit: seconds since 1970; what ended later stays.
        keep: how many finished runs of each experiment stay.
        busy: experiments that another process works on.
    """
    every = tracking.stored_runs(project, deleted=True)
    runs = [run for run in every if run.kind == "run"]
    trials = [run for run in every if run.kind == "trial"]
    busy = busy | {run.experiment for run in runs if run.status == "RUNNING"}
    known = registry.model_names(project)
    versions = [one for model in known for one in registry.versions(project, model)]
    models = {one.model for one in versions}
    of_versions = {one.run_id for one in versions}
    keys = {one.tags.get(registry.TRIAL, "") for one in versions}
    newest = _newest(runs, keep)
    gone = []
    for run in runs:
        if _young(run, limit) or run.run_id in newest or run.experiment in busy:
            keys |= tracking.needed_keys(project, run, trials)
        elif run.run_id not in of_versions:
            gone.append(run)
    old = [
        trial
        for trial in trials
        if not _young(trial, limit) and trial.experiment not in busy and trial.key not in keys
    ]
    packaged = {one.source.rpartition("/")[2] for one in versions}
    packages = tracking.packages_of(project, {run.run_id for run in gone})
    return Removable(
        gone,
        old,
        [(model, place) for model, place in packages if model not in packaged],
        _folders(project, limit, keys, busy),
        [name for name in known if name not in models | busy],
        busy,
    )


def _young(run: tracking.StoredRun, limit: float) -> bool:
    return run.status == "RUNNING" or (run.ended or run.began) > limit


def _newest(runs: Sequence[tracking.StoredRun], keep: int) -> set[str]:
    kept: dict[str, list[str]] = {}
    for run in runs:  # the newest first
        if run.status == "FINISHED" and not run.deleted:
            kept.setdefault(run.experiment, []).append(run.run_id)
    return {run_id for listed in kept.values() for run_id in listed[:keep]}


def _folders(project: Project, limit: float, keys: set[str], busy: set[str]) -> list[Path]:
    """Trials' folders in `build/` that are neither young nor needed."""
    found = []
    for folder in sorted((project.root / "build").glob("*/trials/*")):
        files = [file.stat().st_mtime for file in folder.rglob("*") if file.is_file()]
        newest = max(files, default=folder.stat().st_mtime)
        experiment = folder.parent.parent.name
        if newest <= limit and folder.name not in keys and experiment not in busy:
            found.append(folder)
    return found


def _described(project: Project, found: Removable) -> list[str]:
    def size(runs: Sequence[tracking.StoredRun]) -> int:
        return sum(tracking.bytes_of(project, run.artifacts) for run in runs)

    packages = sum(tracking.bytes_of(project, place) for _, place in found.packages)
    folders = sum(
        file.stat().st_size
        for folder in found.folders
        for file in folder.rglob("*")
        if file.is_file()
    )
    rows = [
        ("runs", len(found.runs), size(found.runs), "in MLflow, failed and killed ones too"),
        ("trials", len(found.trials), size(found.trials), "in MLflow, with their weights"),
        ("packages", len(found.packages), packages, "in MLflow, of no registered version"),
        ("trial folders", len(found.folders), folders, "in build/"),
        ("empty models", len(found.models), 0, "registered, without a version"),
    ]
    return [
        f"{what:16s}{count:6,d}  {where}" + (f", {size_ / MEGA:,.1f} MB" if size_ else "")
        for what, count, size_, where in rows
    ]


def _remove(project: Project, found: Removable) -> None:
    for model, place in found.packages:
        tracking.remove_package(project, model, place)
    for run in [*found.trials, *found.runs]:
        tracking.remove_run(project, run)
    for folder in found.folders:
        shutil.rmtree(folder, ignore_errors=True)
    for name in found.models:
        registry.remove_empty(project, name)


def _flow_runs(project: Project, limit: float, dry_run: bool) -> int:
    """Removes Prefect's flow runs that ended before the limit; returns how many there are."""

    if "PREFECT_API_URL" not in os.environ and not (project.prefect_home / "prefect.db").exists():
        return 0
    before = datetime.fromtimestamp(limit, UTC).isoformat()
    with flows.serving(project) as server:
        return flows.remove_flow_runs(
            server.url, before, project.prefect_home / "logs", dry_run=dry_run
        )


@contextmanager
def _alone(project: Project) -> Iterator[set[str]]:
    """Holds the locks of all experiments that no run has; gives the names of the others."""
    busy: set[str] = set()

    def refuse() -> None:
        raise BlockingIOError

    with ExitStack() as held:
        for folder in sorted((project.root / "build").glob("*/trials")):
            try:
                held.enter_context(locked(folder.parent / flows.LOCK, refuse))
            except BlockingIOError:
                busy.add(folder.parent.name)
        yield busy
