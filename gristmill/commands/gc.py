"""`gristmill runs gc`: remove what no registered model and no recent run needs."""

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
    """Everything that can be removed.

    Attributes:
        runs, trials: MLflow runs.
        packages: id and address of logged models of those runs without a registered version.
        folders: trial folders in `build/`.
        models: registered models without a version.
        busy: experiments with an active run; nothing of them is touched.
    """

    runs: list[tracking.StoredRun] = field(default_factory=list)
    trials: list[tracking.StoredRun] = field(default_factory=list)
    packages: list[tuple[str, str]] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    busy: set[str] = field(default_factory=set)


def collect(
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="Minimum age: 30d, 12h, 0s.")
    ] = "30d",
    keep: Annotated[
        int, typer.Option(min=0, help="Newest finished runs of each experiment to keep.")
    ] = 5,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List only; remove nothing.")] = False,
) -> None:
    """Remove what no registered model and no newer run needs."""
    project, screen = Project.find(), Screen()
    limit = time.time() - seconds(older_than)
    if not dry_run:
        tracking.mend_dead_runs(project)
    with _alone(project) as busy:
        with screen.turning("reading the store …"):
            found = find(project, limit, keep, busy)
            lines = _described(project, found)
        count = _flow_runs(project, limit, dry_run)
        for line in [*lines, f"{'flow runs':16s}{count:6,d}  in Prefect, with tasks and logs"]:
            screen.say(line)
        if not dry_run:
            with screen.turning("removing …"):
                _remove(project, found)
    for name in sorted(found.busy):
        screen.say(f"{name} is running now; nothing of it was removed")
    done = "nothing was removed" if dry_run else "removed"
    screen.say(f"{done}; older than {older_than}, {keep} runs of each experiment kept")
    if not tracking.is_local(project) and not dry_run:
        screen.say(
            "the store is on a server: its administrator deletes them for good with mlflow gc"
        )
    screen.say("data: DVC's cache is not cleaned; `dvc gc --all-commits --dry` lists what no")
    screen.say("commit pins, but runs and `data use` can still need it")


def seconds(text: str) -> float:
    """Return the seconds of `30d`, `12h`, `5m` or `0s`.

    Raises:
        ConfigError: the text has another form.
    """
    try:
        return read_duration(text)
    except ValueError as error:
        raise ConfigError(
            "--older-than needs a number and a unit", expected="such as 30d or 12h", found=text
        ) from error


def find(project: Project, limit: float, keep: int, busy: set[str]) -> Removable:
    """Find what can be removed.

    A run is kept if it is younger than the limit, among the newest finished ones, or the run of a
    registered version. A trial is kept if it is younger or a kept run needs it; a run that is kept
    only for its version needs the winner alone.

    Args:
        limit: seconds since 1970; what ended later is kept.
        keep: number of finished runs to keep of each experiment.
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
    """Return the trial folders in `build/` that are neither young nor needed."""
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
        ("runs", len(found.runs), size(found.runs), "in MLflow, also failed and killed ones"),
        ("trials", len(found.trials), size(found.trials), "in MLflow, with their weights"),
        ("packages", len(found.packages), packages, "in MLflow, without a registered version"),
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
    """Remove Prefect's flow runs that ended before the limit; return their number."""
    if "PREFECT_API_URL" not in os.environ and not (project.prefect_home / "prefect.db").exists():
        return 0
    before = datetime.fromtimestamp(limit, UTC).isoformat()
    with flows.serving(project) as server:
        return flows.remove_flow_runs(
            server.url, before, project.prefect_home / "logs", dry_run=dry_run
        )


@contextmanager
def _alone(project: Project) -> Iterator[set[str]]:
    """Hold the locks of all experiments without an active run; yield the names of the others."""
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
