"""`gristmill data`: the pinned data sets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gristmill.flows import described, take_new_version
from gristmill.pipelines.base import GristmillError
from gristmill.pipelines.config import Project, load_experiment
from gristmill.pipelines.ingestion import (
    DataState,
    Version,
    data_digest,
    data_log,
    data_state,
    find,
    go_to,
    pinned_digest,
    recorded_rows,
)
from gristmill.pipelines.ingestion.versions import snapshot
from gristmill.pipelines.reporting import Screen
from gristmill.pipelines.tracking import data_rows, is_local

if TYPE_CHECKING:
    pass

SHOWN = 8
"""Names that are listed before the rest is counted."""


def status() -> None:
    """A line a data set: how it stands to the pin, and who uses it."""
    project = Project.find()
    users: dict[str, list[str]] = {}
    for name in project.experiment_names():
        users.setdefault(load_experiment(project, name).data.folder, []).append(name)
    table = Table("data set", "state", "hash", "used by", box=box.SIMPLE_HEAD, pad_edge=False)
    for folder, names in sorted(users.items()):
        state = data_state(project, folder)
        there = state not in (DataState.MISSING, DataState.ABSENT)
        digest = data_digest(project, folder)[:8] if there else ""
        table.add_row(folder, state.value, digest, ", ".join(names))
    Console(highlight=False).print(table)


def formats() -> None:
    """The formats that are read, and the sources that they may come from."""
    from gristmill.pipelines.config import SOURCES
    from gristmill.pipelines.ingestion import describe_formats

    kinds = [f"{kind.form}: {kind.description}" for kind in SOURCES]
    table = Table.grid(padding=(0, 2))
    table.add_column(ratio=1)
    table.add_column(ratio=2)
    for title, lines in (("data.path may be", describe_formats()), ("data.source may be", kinds)):
        table.add_row(f"[bold]{title}[/]")
        for line in lines:
            table.add_row(*map(escape, line.split(": ", 1)))
    Console(highlight=False).print(table)


def restore(name: str | None) -> None:
    """Brings pinned bytes back; only a data set that is named may lose edits."""
    project = Project.find()
    screen = Screen()
    failed: list[GristmillError] = []
    for experiment in [name] if name else project.experiment_names():
        try:
            with screen.turning(f"data of {experiment} …"):
                how = snapshot.restore(
                    project, experiment, discard=name is not None, progress=screen.arriving
                )
        except GristmillError as error:  # the others may still come
            failed.append(error)
            how = f"not restored, {error.what}"
        screen.say(f"data of {experiment}: {how}")
    if failed:
        raise failed[0]


def refresh(name: str, data: Path | None) -> None:
    """Takes a new version, if there is one and all who use it accept it."""
    project = Project.find()
    console = Console(highlight=False)
    screen = Screen(console)
    with screen.turning(f"new data for {name} …"):
        done = take_new_version(project, name, data.absolute() if data else None, screen.arriving)
    said = [f"{name}: {line}" for line in described(done)]
    console.print("\n".join(said), soft_wrap=True, markup=False)
    if done.changed:
        users = " && ".join(f"gristmill run {user}" for user in done.accepted)
        console.print(f"next: git commit -m 'New data for {name}' data.dvc && {users}")
        if done.before:
            console.print(f"      gristmill data use {name} {done.before[:8]} goes back")


def log(name: str) -> None:
    """A line a version, the newest first."""
    project = Project.find()
    experiment = load_experiment(project, name)
    folder = experiment.data.folder
    found = data_log(project, folder)
    rows = data_rows_of(project, name, folder, [version.digest for version in found.versions])
    from gristmill.pipelines.registry import trained

    models: dict[str, list[str]] = {}
    for model in trained(project):
        alias = f" ({', '.join(model.aliases)})" if model.aliases else ""
        models.setdefault(model.data, []).append(f"{model.model} {model.version}{alias}")
    table = Table(
        *("", "commit", "date", "rows", "hash", "trained on it", ""),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    table.columns[3].justify = "right"
    for column in (1, 2, 3, 4):
        table.columns[column].no_wrap = True
    for version in found.versions:
        counted = rows.get(version.digest)
        table.add_row(
            "*" if version.on_disk else "",
            version.commit[:8] or "not committed",
            date_of(version.when),
            "?" if counted is None else f"{counted:,}",
            version.digest[:8],
            ", ".join(models.get(version.digest, [])),
            _remarks(version),
        )
    console = Console(highlight=False)
    if found.versions:
        console.print(table)
        console.print("* on disk now", style="dim")
    else:
        console.print(f"data/{folder} was never pinned; next: gristmill run {name}")
    if found.unknown:
        console.print(
            f"{found.unknown} older pins are not shown: their lists of files are neither in DVC's "
            "cache nor in a remote",
            soft_wrap=True,
        )


def _remarks(version: Version) -> str:
    pinned = "pinned" if version.pinned and not version.on_disk else ""
    kept = {
        "cache": "",
        "remote": "in the remote only",
        "unasked": "bytes not in the cache; the remote cannot be asked",
        "nowhere": "bytes neither in the cache nor in a remote",
    }
    return ", ".join(filter(None, (pinned, kept[version.kept])))


def data_rows_of(project: Project, name: str, folder: str, digests: list[str]) -> dict[str, int]:
    known = data_rows(project, folder, [name]) if is_local(project) else {}
    return recorded_rows(project, name, [d for d in digests if d not in known]) | known


def date_of(seconds: float | None) -> str:
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def use(name: str, revision: str) -> None:
    """Goes back to a version of one data set."""
    project = Project.find()
    data = load_experiment(project, name).data
    console = Console(highlight=False)
    found = find(project, name, revision)
    state = data_state(project, data.folder)
    before = pinned_digest(project, data.folder)
    if state is DataState.PINNED and before == found.digest:
        console.print(f"{name}: version {found.digest[:8]} is in place already, nothing to do")
        return
    if state is DataState.EDITED:
        raise snapshot.edited(data.folder, data.path, name)
    if state is DataState.NEW:
        raise snapshot.not_pinned(data.folder, data.path, name)
    go_to(project, data.folder, found.whole, found.digest)
    was = f", it was {before[:8]}" if before and before != found.digest else ""
    console.print(f"{name}: version {found.digest[:8]} is in place and pinned{was}")
    console.print(f"next: gristmill run {name}")
    console.print(f"      git commit -m 'Data of {name} as of {revision}' data.dvc")
    if was and before:
        console.print(f"      gristmill data use {name} {before[:8]} returns")
