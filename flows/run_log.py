"""The log of a flow run, kept in a file, so that it can be read without a server."""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from gristmill.flows.servers.flow_runs import post
from gristmill.flows.servers.prefect_server import serving
from gristmill.pipelines.config import Project

LOGGERS = ("prefect.flow_runs", "prefect.task_runs")
CLOCK = "%H:%M:%S"


def log_file(project: Project, flow_run: str) -> Path:
    """Return the log file of a flow run."""
    return project.prefect_home / "logs" / f"{flow_run}.log"


def keep_log(project: Project, flow_run: str) -> None:
    """Write what a flow run and its tasks log from now on, line by line: a kill loses no line."""
    file = log_file(project, flow_run)
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", CLOCK))
    handler.addFilter(lambda record: str(getattr(record, "flow_run_id", "")) == flow_run)
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)


def kept_logs(project: Project, beginning: str) -> list[str]:
    """Return the ids of flow runs with a kept log that begin with the text."""
    found = (project.prefect_home / "logs").glob("*.log")
    return sorted(file.stem for file in found if file.stem.startswith(beginning))


def log_lines(project: Project, flow_run: str) -> list[str]:
    """Return the log lines of a flow run, with clock times, oldest first.

    Without a log file, as in older releases, they are requested from the server at
    `PREFECT_API_URL`, else from the project's own server.
    """
    file = log_file(project, flow_run)
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    if "PREFECT_API_URL" not in os.environ and not (project.prefect_home / "prefect.db").is_file():
        return []
    with serving(project) as server:
        return _lines_of_server(server.url, flow_run)


def _lines_of_server(url: str, flow_run: str) -> list[str]:
    wanted = {"logs": {"flow_run_id": {"any_": [flow_run]}}, "sort": "TIMESTAMP_ASC"}
    kept: list[str] = []
    while page := post(f"{url}/logs/filter", {**wanted, "offset": len(kept)}):
        for entry in page:
            when = datetime.fromisoformat(entry["timestamp"])
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            kept.append(f"{when.astimezone().strftime(CLOCK)}  {entry['message']}")
    return kept
