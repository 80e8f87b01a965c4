"""`gristmill data`: the pinned data sets."""

from __future__ import annotations

from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from flows.screen import Screen
from pipelines.config import Project, load_experiment
from pipelines.ingestion import snapshot
from pipelines.ingestion.versions import DataState, data_digest, data_state
from pipelines.validation import validate_table


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


def restore(name: str | None) -> None:
    """Brings pinned bytes back; only a data set that is named may lose edits."""
    project = Project.find()
    screen = Screen()
    for experiment in [name] if name else project.experiment_names():
        with screen.turning(f"data of {experiment} …"):
            how = snapshot.restore(
                project, experiment, discard=name is not None, progress=screen.arriving
            )
        screen.say(f"data of {experiment}: {how}")


def refresh(name: str, data: Path | None) -> None:
    """Takes a new version, if there is one and it is valid."""
    project = Project.find()
    report = project.build(name) / "refresh" / "validation"
    shown = project.relative(report.parent)
    screen = Screen()
    with screen.turning(f"new data for {name} …"):
        done = snapshot.refresh(
            project,
            name,
            data.absolute() if data else None,
            lambda table, document: validate_table(table, document, report, shown),
            screen.arriving,
        )
    for note in done.notes:
        screen.say(f"{name}: {note}")
    if not done.changed:
        screen.say(f"{name}: the source has nothing new")
        return
    before = f", before it were {done.before:,} rows" if done.before is not None else ""
    screen.say(f"{name}: new data pinned, {done.after}{before}")
    screen.say(f"next: git commit -m 'New data for {name}' data.dvc && gristmill run {name}")
