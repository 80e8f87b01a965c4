"""`gristmill data who-used`: the runs and models that used a data version."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from gristmill.pipelines import ingestion, registry, tracking
from gristmill.pipelines.base import ConfigError
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion.versions import pin_file
from gristmill.pipelines.ingestion.versions.pin_file import Pin
from gristmill.pipelines.reporting import Screen, Table


def who_used(
    data: Annotated[
        str,
        typer.Argument(
            metavar="HASH|COMMIT|FILE",
            help="A hash from `data log`, a commit, branch or tag, a file or a folder.",
        ),
    ],
) -> None:
    """List the runs and models that used a version of the data."""
    _list_users(data)


def _list_users(asked: str) -> None:
    """Print a line per run, newest first, with the versions that it registered.

    Args:
        asked: a hash of a data set or of a pin, a commit, branch or tag, a file or a folder.

    Raises:
        ConfigError: the text is none of these.
    """
    project = Project.find()
    runs = [
        (run, folder, digest)
        for run in tracking.stored_runs(project, "run")
        for folder, digest in run.data.items()
    ]
    models = registry.trained(project)
    known = {digest for _, _, digest in runs} | {model.data for model in models}
    wanted = _digests(project, asked, known)
    found = [used for used in runs if used[2] in wanted]
    ids = {run.run_id for run, _, _ in found}
    made: dict[str, list[registry.Version]] = {}
    for model in models:
        if model.data in wanted or model.run_id in ids:
            made.setdefault(model.run_id, []).append(model)
    screen = Screen()
    if not found and not made:
        screen.say(f"no run and no model used the data of {asked}")
        return
    rows = []
    for run, folder, digest in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.began))
        data, versions = f"{folder} {digest[:8]}", _named(made.pop(run.run_id, []))
        outcome = run.decision or run.status.lower()
        rows.append((run.run_id[:8], when, run.experiment, data, outcome, versions))
    for run_id, models in made.items():  # their run used other data or is gone
        rows.append((run_id[:8], "", models[0].model, models[0].data[:8], "", _named(models)))
    heading = ("run", "when", "experiment", "data", "outcome", "versions")
    screen.show(Table(heading, rows, whole=("run",)))


def _named(models: list[registry.Version]) -> str:
    return ", ".join(
        f"{model.model} {model.number}" + f" ({', '.join(model.aliases)})" * bool(model.aliases)
        for model in models
    )


def _digests(project: Project, asked: str, known: set[str]) -> set[str]:
    """Return the hashes of the data sets that the text refers to."""
    if Path(asked).exists():
        digest = ingestion.hash_of(project, Path(asked).absolute())
        return {digest} if digest in known else ingestion.sets_with(project, digest)
    if pin_file.DIGITS.fullmatch(asked):
        fitting = {digest for digest in known if digest.startswith(asked)}
        if len(fitting) > 1:
            raise ConfigError(
                f"{asked} is the beginning of {len(fitting)} versions",
                expected="enough digits to identify one",
                found=", ".join(sorted(digest[:12] for digest in fitting)[:8]),
            )
        if fitting:
            return fitting
    at = pin_file.pin_at(project, asked)
    pin = at.pin if at else _pin(project, asked)
    if pin:
        return set(ingestion.sets_in(project, pin, asked).values())
    if pin_file.DIGITS.fullmatch(asked):  # data that no run has used
        return set()
    raise ConfigError(
        f"there is no data '{asked}'",
        expected="a hash from gristmill data log, a commit, branch or tag, a file or a folder",
        found="git knows no such revision, and there is no such file",
        next="gristmill data log NAME",
    )


def _pin(project: Project, asked: str) -> Pin | None:
    """Return the only pin of all data sets whose hash begins with the text."""
    pins = {at.pin.whole: at.pin for at in pin_file.pins(project, "--all") if at.pin.whole}
    fitting = [pin for whole, pin in pins.items() if whole.startswith(asked)]
    return fitting[0] if len(fitting) == 1 and pin_file.DIGITS.fullmatch(asked) else None
