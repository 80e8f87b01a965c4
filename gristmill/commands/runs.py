"""`gristmill runs list`, `logs` and `cancel`."""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from collections.abc import Mapping
from typing import Annotated

import typer

from gristmill import flows
from gristmill.commands.options import NameOrAll, whole_id
from gristmill.pipelines import tracking
from gristmill.pipelines.base import ConfigError, EnvironmentFault, nearest
from gristmill.pipelines.config import Project
from gristmill.pipelines.reporting import Screen, Table, number
from gristmill.pipelines.tracking import tags as names

SHOWN = 20

PATIENCE = 30.0
"""Seconds to wait for a run to end after it was interrupted."""

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="The beginning of a run's id, or an experiment: its newest run."
    ),
]


def show(name: NameOrAll = None) -> None:
    """List the newest runs: when, trials, decision, objective."""
    project = Project.find()
    screen = Screen()
    found = tracking.stored_runs(project, "run", name or "", SHOWN + 1)
    if not found:
        if name is not None:
            project.require_experiment(name)
        screen.say(f"no run yet; next: gristmill run {name or 'NAME'}")
        return
    rows = [
        (
            run.run_id[:8],
            time.strftime("%m-%d %H:%M", time.localtime(run.began)),
            run.experiment,
            run.tags.get(names.TRIALS, ""),
            _outcome(run),
            _objective(run),
        )
        for run in found[:SHOWN]
    ]
    heading = ("run", "when", "experiment", "trials", "outcome", "objective")
    screen.show(Table(heading, rows, numbers=("trials",), whole=("run", "when")))
    if len(found) > SHOWN:
        screen.say("… and older ones; gristmill up shows all")


def _outcome(run: tracking.StoredRun) -> str:
    """Return the decision on the version, or the status of a run without one."""
    if run.status == "RUNNING":
        return "running" if _lives(run.tags) else "gone"
    decision, version = run.tags.get(names.DECISION, ""), run.tags.get(names.VERSION, "")
    return f"{flows.DONE[decision]} {version}" if decision in flows.DONE else run.status.lower()


def _objective(run: tracking.StoredRun) -> str:
    name = run.params.get("search.objective", "")
    value = run.metrics.get(f"{name}_mean", run.metrics.get(f"best_{name}"))
    return name if value is None else f"{name} {number(value)}"


def logs(run: Run) -> None:
    """Print the log of a run."""
    project = Project.find()
    screen = Screen()
    name, flow = _flow_run(project, run)
    lines = flows.log_lines(project, flow) if flow else []
    if not lines:
        raise EnvironmentFault(
            f"{name} has no log",
            expected=f".prefect/logs/{flow or 'ID'}.log, or its flow run in Prefect's store",
            found=f"no lines of flow run {flow[:8]}" if flow else "no flow run was recorded",
            next="gristmill up; the report is among the run's artifacts in MLflow",
        )
    for line in lines:
        screen.say(line)


def _flow_run(project: Project, text: str) -> tuple[str, str]:
    """Return a run's display name and its flow run.

    The text is the beginning of the id of either, or an experiment, which means its newest run.
    """
    if re.fullmatch(r"[0-9a-f-]{4,36}", text) and len(kept := flows.kept_logs(project, text)) == 1:
        return f"flow run {kept[0][:8]}", kept[0]
    run = _find(project, text)
    return f"run {run.run_id[:8]}", run.tags.get(names.FLOW, "")


def cancel(run: Run) -> None:
    """Stop a run on this machine, as Ctrl-C in its terminal would."""
    project = Project.find()
    screen = Screen()
    name, process = _running(project, run)
    host, pid = process.get(tracking.HOST, ""), process.get(tracking.PID, "")
    if host != socket.gethostname():
        raise ConfigError(
            f"{name} is on another machine",
            found=host,
            next=f"type there: gristmill runs cancel {run}",
        )
    if not _lives(process):
        tracking.mend_dead_runs(project)
        screen.say(f"{name}: its process had ended already; it is now marked as killed")
        return
    os.kill(int(pid), signal.SIGINT)
    end = time.monotonic() + PATIENCE
    while _lives(process):
        if time.monotonic() > end:
            raise EnvironmentFault(
                f"{name} did not end",
                expected=f"the end of process {pid} within {PATIENCE:.0f} s",
                next=f"kill -9 {pid}; the next run repairs what it leaves behind",
            )
        time.sleep(0.1)
    screen.say(f"{name} was ended; the next run continues from there")


def _running(project: Project, text: str) -> tuple[str, Mapping[str, str]]:
    """Return the display name of the run to stop, and the tags of its process."""
    if text in project.experiment_names() and (process := flows.holder(project, text)) is not None:
        return f"the run of {text}", process
    run = _find(project, text)
    name = f"run {run.run_id[:8]} of {run.experiment}"
    if run.status != "RUNNING":
        raise ConfigError(f"{name} is not running", found=run.status.lower())
    return name, run.tags


def _lives(tags: Mapping[str, str]) -> bool:
    return tracking.process_lives(
        tags.get(tracking.HOST, ""), tags.get(tracking.PID, ""), tags.get(tracking.BEGUN, "0")
    )


def _find(project: Project, text: str) -> tracking.StoredRun:
    """Find a run by the beginning of its id, or the newest run of an experiment.

    Raises:
        ConfigError: no run or several runs match.
    """
    found = tracking.stored_runs(project, "run")
    wanted = whole_id((run.run_id for run in found), text)
    for run in found:  # the newest first
        if run.run_id == wanted or (not wanted and run.experiment == text):
            return run
    near = nearest(text, {run.experiment for run in found})
    raise ConfigError(
        f"there is no run '{text}'",
        expected="the beginning of a run's id, or an experiment's name for its newest run",
        found=text,
        next=f"did you mean {near}?" if near else "gristmill runs list",
    )
