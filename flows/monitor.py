"""The flow that checks new rows on a schedule; drift emits an event that starts `train`."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events import DeploymentEventTrigger, emit_event
from prefect.events.worker import EventsWorker
from prefect.runtime import flow_run

from gristmill.flows.check_page import Checked, markdown, table_rows
from gristmill.flows.checking import examine, folder_of, write
from gristmill.flows.run_log import keep_log
from gristmill.pipelines.base import ConfigError, InputError, Problem, content_digest, redact
from gristmill.pipelines.config import Data, Project, load_experiment
from gristmill.pipelines.ingestion import fetch
from gristmill.pipelines.registry import require_champion
from gristmill.pipelines.reporting import escaped

DRIFT_FOUND = "gristmill.drift.found"
"""Name of the event; its resource is `resource_of` the experiment."""

MARK = "monitored"
"""Name of the file next to the page of a checked file, after its drift was reported."""

DRAIN = 10.0
"""Seconds to wait for the event to reach the server."""


def resource_of(experiment: str) -> str:
    """Return the id of an experiment among Prefect's resources."""
    return f"gristmill.experiment.{experiment}"


def retrains(experiment: str) -> DeploymentEventTrigger:
    """Return a trigger that starts `train` with new data after drift; the gate still decides."""
    return DeploymentEventTrigger(
        name=f"retrain {experiment} when its data have drifted",
        expect={DRIFT_FOUND},
        match={"prefect.resource.id": resource_of(experiment)},
        parameters={"experiment": experiment, "refresh": True},
    )


@task(name="check", task_run_name="{shown}", cache_policy=NO_CACHE)
def check_file(experiment: str, file: Path, shown: str) -> Checked:
    """Check a file against the champion and publish the result in Prefect.

    Args:
        experiment: name of the experiment and its model.
        file: file to check.
        shown: name of the file in messages.
    """
    project = Project.find()
    made = examine(project, require_champion(project, experiment), file, shown)
    page = write(project, made, file)
    key = "".join(c if c.isalnum() and c.isascii() else "-" for c in experiment.lower())
    text = f"{markdown(made)}\nThe page: {escaped(project.relative(page))}\n"
    create_markdown_artifact(text, key=f"check-{key}", description=escaped(f"check of {shown}"))
    rows = table_rows(made)
    create_table_artifact(rows, key=f"drift-{key}", description=escaped(f"drift in {shown}"))
    return made


@flow(name="monitor", flow_run_name="{experiment}", log_prints=False)
def monitor(experiment: str, path: str | None = None) -> list[str]:
    """Check each file that was not checked before, and report drift to Prefect.

    Args:
        experiment: name of a file in `experiments/`.
        path: files to check instead of `monitor.path`, for example `incoming/*.csv`.

    Returns:
        The files that have drifted.

    Raises:
        InputError: some files could not be checked; the next run tries them again.
    """
    project, say = Project.find(), get_run_logger().info
    keep_log(project, str(flow_run.id))
    document = load_experiment(project, experiment).document
    pattern = path or (document.monitor.path if document.monitor is not None else None)
    checked: list[tuple[Checked, Path]] = []
    problems: list[Problem] = []
    with _files(project, document.data, pattern) as files:
        for shown, file in files.items():
            mark = folder_of(project, experiment, file, content_digest(file)) / MARK
            if mark.exists():
                say(f"{shown}: checked already")
                continue
            try:
                made = check_file(experiment, file, shown)
            except (InputError, ConfigError) as error:
                problems.append(Problem(shown, error.expected, error.found or error.what))
                continue
            say(f"{shown}: {made.verdict}")
            checked.append((made, mark))
    if not files:
        say(f"no file at {pattern}")
    drifted = [made for made, _ in checked if made.drifted]
    if drifted:
        _report(experiment, drifted)
    for _, mark in checked:
        mark.touch()
    if problems:
        raise InputError(
            f"{len(problems)} of {len(files)} files could not be checked", problems=problems
        )
    return [made.file for made in drifted]


@contextmanager
def _files(project: Project, data: Data, pattern: str | None) -> Iterator[dict[str, Path]]:
    """Yield the files of a pattern by display name; without a pattern, the source's data."""
    if pattern is not None:
        wanted = PurePath(pattern)
        place = Path(wanted.anchor) if wanted.is_absolute() else project.root
        found = sorted(place.glob(str(wanted.relative_to(wanted.anchor))))
        yield {project.relative(file): file for file in found}
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / PurePath(data.path).name
        fetch(project, str(data.source), file, query=data.query)
        yield {redact(str(data.source)): file}


def _report(experiment: str, drifted: list[Checked]) -> None:
    """Emit one event for all files of this run."""
    about: dict[str, Any] = {
        "files": [made.file for made in drifted],
        "version": drifted[0].version,
        "found": drifted[0].verdict,
    }
    resource = {"prefect.resource.id": resource_of(experiment), "prefect.resource.name": experiment}
    emit_event(DRIFT_FOUND, resource=resource, payload=about)
    EventsWorker.drain_all(timeout=DRAIN)
