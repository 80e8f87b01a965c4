"""Schedules and monitors of experiments, as Prefect deployments."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gristmill.flows.servers import Process, process_of
from gristmill.pipelines.config import Document, Project, Rhythm, load_experiments


def schedules_of(project: Project) -> dict[str, Document]:
    """Return the valid experiments with a schedule or a monitor."""
    found = {name: experiment.document for name, experiment in load_experiments(project)[0].items()}
    return {name: it for name, it in found.items() if it.schedule or it.monitor}


@contextmanager
def scheduler(project: Project, scheduled: dict[str, Document]) -> Iterator[Process | None]:
    """Yield the process that starts scheduled runs; None if nothing is scheduled."""
    if not scheduled:
        yield None
        return
    log = project.root / "build" / "schedules.log"
    with process_of(project, ["-m", __name__, str(project.root)], log) as process:
        yield process


def schedule_lines(name: str, document: Document) -> Iterator[str]:
    """Yield a line each about an experiment's schedule and monitor."""
    schedule, monitor = document.schedule, document.monitor
    if schedule is not None:
        yield f"schedule {name}: {_rhythm(schedule)}" + ", new data first" * schedule.refresh
    if monitor is not None:
        what = monitor.path or "what the source has"
        yield f"monitor  {name}: {_rhythm(monitor)}, {what}" + ", drift retrains" * monitor.retrain


def _rhythm(rhythm: Rhythm) -> str:
    if rhythm.cron is not None:
        return f"{rhythm.cron} ({rhythm.timezone})"
    return f"every {rhythm.interval} s"


def _serve_schedules(root: Path) -> None:
    """Start scheduled runs, in a separate process, until it ends."""
    os.chdir(root)
    from prefect import serve

    every = schedules_of(Project.find(root)).items()
    serve(*(made for name, document in every for made in deployments(name, document)))


def deployments(name: str, document: Document) -> Iterator[Any]:
    """Yield the Prefect deployments of an experiment with a schedule or a monitor."""
    from gristmill.flows.monitor import monitor, retrains
    from gristmill.flows.train import train

    schedule, watch = document.schedule, document.monitor
    retrain = watch is not None and watch.retrain
    if schedule is not None or retrain:
        yield train.to_deployment(
            name=name,
            schedule=None if schedule is None else _times(schedule),
            parameters={"experiment": name, "refresh": schedule is not None and schedule.refresh},
            triggers=[retrains(name)] * retrain,
            concurrency_limit=1,
        )
    if watch is not None:
        yield monitor.to_deployment(
            name=name, schedule=_times(watch), parameters={"experiment": name}, concurrency_limit=1
        )


def _times(rhythm: Rhythm) -> Any:
    from prefect.schedules import Cron, Interval

    if rhythm.cron is not None:
        return Cron(rhythm.cron, timezone=rhythm.timezone)
    return Interval(rhythm.interval or 0, timezone=rhythm.timezone)


if __name__ == "__main__":
    _serve_schedules(Path(sys.argv[1]))
