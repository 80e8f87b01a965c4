"""Refresh: fetch and check a new version of a data set separately, then move the pin."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from gristmill.pipelines.base import (
    ConfigError,
    GristmillError,
    Problem,
    lock_holder,
    locked,
    read_yaml,
)
from gristmill.pipelines.config import Experiment, Project, load_experiment
from gristmill.pipelines.ingestion.sources import Progress, fetch
from gristmill.pipelines.ingestion.table import Ingested, ingest_file
from gristmill.pipelines.ingestion.versions.moves import lay_out_version, take, would_be
from gristmill.pipelines.ingestion.versions.pins import DataState, data_state, pinned_digest
from gristmill.pipelines.ingestion.versions.snapshot import edited, not_pinned
from gristmill.pipelines.ingestion.versions.stages import data_plan

Accept = Callable[[Experiment, Path], object]
"""Raises an error if an ingested table does not fit the experiment."""

Compare = Callable[[Path, Path], object]
"""Called with the old version's table and the new one's; its result is passed on."""

PREFIX = ".refresh-"


@dataclass(frozen=True)
class Refreshed:
    """The result of a refresh.

    Attributes:
        folder: name of the data set under `data/`.
        before: DVC's hash of the version that was pinned; None if there was none.
        after: DVC's hash of the version that is pinned now.
        made: size of the new version's table; None if nothing changed.
        difference: the result of `Compare`; None if the old version is not available here.
        accepted: the experiments that accept the new version.
        unread: experiment files that could not be read and were not checked.
        notes: notes for the user about the source.
    """

    folder: str
    before: str | None
    after: str
    made: Ingested | None = None
    difference: Any = None
    accepted: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        return self.before != self.after


def refresh(
    project: Project,
    name: str,
    given: Path | None,
    accept: Accept,
    compare: Compare,
    progress: Progress | None = None,
) -> Refreshed:
    """Fetch a new version of a data set and pin it, if all experiments that use it accept it.

    Args:
        project: the project.
        name: the experiment.
        given: a file to use instead of the experiment's source.
        accept: called for each experiment that reads the file, with its ingested table.
        compare: called with the tables of the old and the new version.
        progress: called with the downloaded bytes and the expected total.

    Raises:
        GristmillError: the new version cannot be used; the old one stays pinned.
    """
    experiment = load_experiment(project, name)
    data, path = experiment.data, PurePosixPath(experiment.data.path)
    if given is None and data.source is None:
        raise ConfigError(
            f"{name} names no source to fetch from",
            expected="data.source in the experiment file, or --data FILE",
            found="neither",
        )
    edits = given is not None and given.resolve().is_relative_to(
        (project.root / "data" / data.folder).resolve()
    )
    state = _replaceable(project, experiment, edits)
    before = pinned_digest(project, data.folder)
    sweep(project)
    with _aside(project) as aside:
        raw = aside / "new" / path.name
        query = data.query if given is None else None
        notes = fetch(project, str(given or data.source), raw, query=query, progress=progress)
        after = would_be(project, path, raw, edits=edits)
        if after == before:
            if state is not DataState.PINNED:
                take(project, path, raw, edits=edits)
            return Refreshed(data.folder, before, after, notes=notes)
        readers, unread = _readers(project, experiment)
        made = {one.name: ingest_file(raw, _table(aside, one.name), one.data) for one in readers}
        _all_accept(readers, aside, accept)
        old = _old_table(project, experiment, before, state, aside)
        difference = None if old is None else compare(old, _table(aside, name))
        after = take(project, path, raw, edits=edits)
    accepted = tuple(one.name for one in readers)
    notes = (*notes, *made[name].notes)
    return Refreshed(data.folder, before, after, made[name], difference, accepted, unread, notes)


def _replaceable(project: Project, experiment: Experiment, edits: bool) -> DataState:
    """Return the state of the data set, if replacing it loses nothing.

    Raises:
        InputError: it was edited by hand, or was never pinned.
    """
    data = experiment.data
    state = data_state(project, data.folder)
    if edits:
        return state
    if state is DataState.EDITED:
        raise edited(data.folder, data.path, experiment.name)
    if state is DataState.NEW:
        raise not_pinned(data.folder, data.path, experiment.name)
    return state


def _readers(project: Project, experiment: Experiment) -> tuple[list[Experiment], tuple[str, ...]]:
    """Return all experiments that read the same file, and the unreadable experiment files."""
    path = PurePosixPath(experiment.data.path)
    found, unread = [experiment], []
    for name in project.experiment_names():
        if name == experiment.name:
            continue
        try:
            theirs = _path_of(project, name)
            if theirs is not None and (path == theirs or path in theirs.parents):
                found.append(load_experiment(project, name))
        except GristmillError:
            unread.append(f"experiments/{name}.yaml")
    return found, tuple(unread)


def _path_of(project: Project, name: str) -> PurePosixPath | None:
    data = read_yaml(project.experiment_file(name)).get("data")
    path = data.get("path") if isinstance(data, dict) else None
    return PurePosixPath(path) if isinstance(path, str) else None


def _table(aside: Path, name: str) -> Path:
    return aside / "tables" / name / "table.parquet"


def _all_accept(readers: Sequence[Experiment], aside: Path, accept: Accept) -> None:
    refused: dict[str, GristmillError] = {}
    for one in readers:
        try:
            accept(one, _table(aside, one.name))
        except GristmillError as error:
            refused[one.name] = error
    if not refused:
        return
    first = next(iter(refused.values()))
    if len(readers) == 1:
        raise first
    accepted = ", ".join(one.name for one in readers if one.name not in refused)
    raise type(first)(
        f"the new version does not fit {', '.join(refused)}; the old one stays pinned",
        problems=[
            Problem(f"{name}: {problem.where}", problem.expected, problem.found, problem.hint)
            for name, error in refused.items()
            for problem in error.problems or (Problem(error.what, error.expected, error.found),)
        ],
        expected=f"data that all {len(readers)} experiments with this file accept",
        found=f"accepted by {accepted or 'none'}",
        next="fix the source, or the schema that is wrong, or give that experiment a separate file",
    )


def _old_table(
    project: Project, experiment: Experiment, before: str | None, state: DataState, aside: Path
) -> Path | None:
    """Return the pinned version's table, from the last run or newly ingested; None if missing."""
    data, path = experiment.data, PurePosixPath(experiment.data.path)
    raw = project.root / path
    if state is DataState.PINNED:
        table = project.build(experiment.name) / "table.parquet"
        plan = data_plan(project, experiment.name, data.folder)
        if table.exists() and not plan.stages[0].changes:
            return table
    table = aside / "old" / "table.parquet"
    try:
        if state is not DataState.PINNED:
            if before is None:
                return None
            lay_out_version(project, data.folder, before, aside / "old" / "raw")
            raw = aside.joinpath("old", "raw", *path.parts[2:])
        ingest_file(raw, table, data)
    except (
        GristmillError
    ):  # its bytes are missing, or only an earlier version of the code can read them
        return None
    return table


@contextmanager
def _aside(project: Project) -> Iterator[Path]:
    """Yield a temporary folder, with a lock that shows others that this process runs."""
    scratch = project.root / "build"
    scratch.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=scratch, prefix=PREFIX) as folder,
        locked(Path(folder, "lock")),
    ):
        yield Path(folder)


def sweep(project: Project) -> int:
    """Remove the folders of refreshes whose process was killed; return how many."""
    swept = 0
    for folder in (project.root / "build").glob(f"{PREFIX}*"):
        if _is_dead(folder):
            shutil.rmtree(folder, ignore_errors=True)
            swept += 1
    return swept


def _is_dead(folder: Path) -> bool:
    if (folder / "lock").is_file():
        return lock_holder(folder / "lock") is None
    try:  # killed before it took its lock, or just about to take it
        return time.time() - folder.stat().st_mtime > 60
    except FileNotFoundError:
        return False
