"""`gristmill data`: the pinned data sets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from gristmill import flows
from gristmill.commands.options import Name, NameOrAll
from gristmill.pipelines import config, ingestion, registry, tracking
from gristmill.pipelines.base import GristmillError
from gristmill.pipelines.config import Project
from gristmill.pipelines.reporting import Facts, Screen, Table, Titled


def status() -> None:
    """Compare the data sets on disk with the pinned versions."""
    project = Project.find()
    users: dict[str, list[str]] = {}
    experiments, faults = config.load_experiments(project)
    for name, experiment in experiments.items():
        users.setdefault(experiment.data.folder, []).append(name)
    rows = []
    for folder, names in sorted(users.items()):
        state = ingestion.data_state(project, folder)
        there = state not in (ingestion.DataState.MISSING, ingestion.DataState.ABSENT)
        digest = ingestion.data_digest(project, folder)[:8] if there else ""
        rows.append((folder, state.value, digest, ", ".join(names)))
    Screen().show(Table(("data set", "state", "hash", "used by"), rows))
    if faults:  # shown after the valid ones
        raise next(iter(faults.values()))


def formats() -> None:
    """List the supported data formats and sources."""
    kinds = [f"{kind.form}: {kind.description}" for kind in config.SOURCES]
    for title, lines in (
        ("data.path may be", ingestion.describe_formats()),
        ("data.source may be", kinds),
    ):
        facts = dict(line.split(": ", 1) for line in lines)
        Screen().show(Titled(title, [Facts(facts)]))


def restore(name: NameOrAll = None) -> None:
    """Restore the pinned data; manual edits of the named data set are discarded."""
    project = Project.find()
    screen = Screen()
    failed: list[GristmillError] = []
    for experiment in [name] if name else project.experiment_names():
        try:
            with screen.turning(f"data of {experiment} …"):
                how = ingestion.restore(
                    project, experiment, discard=name is not None, progress=screen.arriving
                )
        except GristmillError as error:  # the others can still be restored
            failed.append(error)
            how = f"not restored, {error.what}"
        screen.say(f"data of {experiment}: {how}")
    if failed:
        raise failed[0]


def refresh(
    name: Name,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE", help="File or folder to use instead of the source."),
    ] = None,
) -> None:
    """Fetch new data, validate them in a temporary folder, and pin them."""
    project = Project.find()
    screen = Screen()
    with screen.turning(f"new data for {name} …"):
        done = flows.take_new_version(
            project, name, data.absolute() if data else None, screen.arriving
        )
    for line in flows.described(done):
        screen.say(f"{name}: {line}", whole=True)
    if done.changed:
        users = " && ".join(f"gristmill run {user}" for user in done.accepted)
        screen.say(f"next: git commit -m 'New data for {name}' data.dvc && {users}")
        if done.before:
            screen.say(f"      gristmill data use {name} {done.before[:8]} undoes this")


def log(name: Name) -> None:
    """List the versions of the data: commit, rows, hash, and the models trained on each."""
    project = Project.find()
    experiment = config.load_experiment(project, name)
    folder = experiment.data.folder
    found = ingestion.data_log(project, folder)
    rows = data_rows_of(project, name, folder, [version.digest for version in found.versions])

    models: dict[str, list[str]] = {}
    for model in registry.trained(project):
        alias = f" ({', '.join(model.aliases)})" if model.aliases else ""
        models.setdefault(model.data, []).append(f"{model.model} {model.number}{alias}")
    lines = [
        (
            "*" if version.on_disk else "",
            version.commit[:8] or "not committed",
            date_of(version.when),
            f"{rows[version.digest]:,}" if version.digest in rows else "?",
            version.digest[:8],
            ", ".join(models.get(version.digest, [])),
            _remarks(version),
        )
        for version in found.versions
    ]
    screen = Screen()
    if lines:
        heading = ("", "commit", "date", "rows", "hash", "trained on it", "")
        screen.show(Table(heading, lines, numbers=("rows",), whole=("commit", "date", "hash")))
        screen.say("* on disk now", "dim")
    else:
        screen.say(f"data/{folder} has never been pinned; next: gristmill run {name}")
    if found.unknown:
        one = found.unknown == 1
        screen.say(
            f"{found.unknown} older {'pin is' if one else 'pins are'} not shown: "
            f"{'its list' if one else 'the lists'} of files {'is' if one else 'are'} neither in "
            "DVC's cache nor in a remote",
            whole=True,
        )


def _remarks(version: ingestion.DataVersion) -> str:
    pinned = "pinned" if version.pinned and not version.on_disk else ""
    return ", ".join(filter(None, (pinned, version.kept.value)))


def data_rows_of(project: Project, name: str, folder: str, digests: list[str]) -> dict[str, int]:
    """Return the number of rows of data versions, by digest, as far as it is recorded.

    Args:
        project: the project.
        name: experiment.
        folder: the data set's folder below `data/`.
        digests: versions to look up.
    """
    known = tracking.data_rows(project, folder, [name]) if tracking.is_local(project) else {}
    return ingestion.recorded_rows(project, name, [d for d in digests if d not in known]) | known


def date_of(seconds: float | None) -> str:
    """Return seconds since 1970 as local date and time; "" for None."""
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


def use(
    name: Name,
    revision: Annotated[
        str,
        typer.Argument(metavar="REV", help="A commit, branch or tag, or a hash from `data log`."),
    ],
) -> None:
    """Switch one data set to another version; the others stay as they are."""
    project = Project.find()
    data = config.load_experiment(project, name).data
    screen = Screen()
    found = ingestion.find(project, name, revision)
    state = ingestion.data_state(project, data.folder)
    before = ingestion.pinned_digest(project, data.folder)
    if state is ingestion.DataState.PINNED and before == found:
        screen.say(f"{name}: version {found[:8]} is on disk already, nothing to do")
        return
    if state is ingestion.DataState.EDITED:
        raise ingestion.edited(data.folder, data.path, name)
    if state is ingestion.DataState.NEW:
        raise ingestion.not_pinned(data.folder, data.path, name)
    ingestion.go_to(project, data.folder, found)
    was = f", it was {before[:8]}" if before and before != found else ""
    screen.say(f"{name}: version {found[:8]} is now on disk and pinned{was}")
    screen.say(f"next: gristmill run {name}")
    screen.say(f"      git commit -m 'Data of {name} as of {revision}' data.dvc")
    if was and before:
        screen.say(f"      gristmill data use {name} {before[:8]} undoes this")
