"""Requests to a Prefect server: health and flow runs."""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

PATIENCE = 3.0
"""Seconds to wait for the answer of an existing server."""

REFUSED = (401, 403)
"""Statuses of a request without the right password."""

UNAVAILABLE = 503
"""Status of a server whose database is locked by one of its own services."""

BUSY = (0.2, 0.5, 1.0, 2.0)
"""Seconds before each retry."""


def answers(url: str) -> bool:
    """Return whether a healthy Prefect server is at this address."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def knows(url: str) -> bool:
    """Return whether the server at this address accepts the password of this process."""
    try:
        post(f"{url}/flow_runs/count", {})
    except urllib.error.HTTPError as error:
        if error.code in REFUSED:
            return False
        raise
    return True


def mend_dead_flow_runs(url: str, *, alone: bool = False) -> int:
    """Mark flow and task runs of dead processes as crashed; return the number of flow runs.

    Args:
        url: address of the server's API.
        alone: whether no other process uses it; then a run without a recorded process is dead.
    """
    from gristmill.pipelines.tracking import process_lives

    wanted = {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}
    crashed = {"state": {"type": "CRASHED", "message": "its process is gone"}, "force": True}
    mended = 0
    for run in post(f"{url}/flow_runs/filter", {"flow_runs": wanted}):
        about = dict(tag.split(":", 1) for tag in run["tags"] if ":" in tag)
        lives = (
            process_lives(about.get("host", ""), about["pid"], about.get("begun", "0"))
            if "pid" in about
            else not alone
        )
        if lives:
            continue
        post(f"{url}/flow_runs/{run['id']}/set_state", crashed)
        of_run = {"flow_runs": {"id": {"any_": [run["id"]]}}, "task_runs": wanted}
        for task in post(f"{url}/task_runs/filter", of_run):
            post(f"{url}/task_runs/{task['id']}/set_state", crashed)
        mended += 1
    if alone:  # the last states of tasks are lost if the server is killed
        over = {"state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]}}}
        for task in post(f"{url}/task_runs/filter", {"flow_runs": over, "task_runs": wanted}):
            post(f"{url}/task_runs/{task['id']}/set_state", crashed)
    return mended


def remove_flow_runs(url: str, before: str, logs: Path, *, dry_run: bool) -> int:
    """Remove flow runs that ended before a time, with tasks, logs and artifacts.

    Args:
        url: address of the server's API.
        before: time in ISO 8601.
        logs: folder of the files that `keep_log` wrote.
        dry_run: only count them.

    Returns:
        Number of flow runs.
    """
    wanted = {
        "flow_runs": {
            "state": {"type": {"any_": ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]}},
            "end_time": {"before_": before},
        }
    }
    count = int(post(f"{url}/flow_runs/count", wanted))
    while not dry_run and (removed := post(f"{url}/flow_runs/bulk_delete", wanted)["deleted"]):
        for flow_run in removed:
            (logs / f"{flow_run}.log").unlink(missing_ok=True)
        of_these = {"logs": {"flow_run_id": {"any_": removed}}, "limit": 1}
        end = time.monotonic() + PATIENCE
        while post(f"{url}/logs/filter", of_these) and time.monotonic() < end:
            time.sleep(0.1)  # the server removes them after it has answered
    return count


def wait_until_recorded(url: str, flow_run: str, seconds: float = 1.0) -> bool:
    """Wait until the states of a flow run's tasks are stored: they are sent as events.

    Args:
        url: address of the server's API.
        flow_run: id of the flow run.
        seconds: longest wait.

    Returns:
        Whether the flow run itself is stored as ended.
    """
    end = time.monotonic() + seconds
    wanted = {"flow_runs": {"id": {"any_": [flow_run]}}}
    while time.monotonic() < end:
        with suppress(urllib.error.URLError, OSError):
            tasks = post(f"{url}/task_runs/filter", wanted)
            if tasks and all(
                task["state_type"] not in ("RUNNING", "PENDING", None) for task in tasks
            ):
                break
        time.sleep(0.05)
    with suppress(urllib.error.URLError, OSError):
        (run,) = post(f"{url}/flow_runs/filter", wanted)
        return run["state_type"] not in ("RUNNING", "PENDING", None)
    return False


def post(url: str, content: Mapping[str, Any]) -> Any:
    """Send JSON to a Prefect server; return the decoded answer. Retry while it is busy."""
    request = urllib.request.Request(
        url, json.dumps(content).encode(), {"Content-Type": "application/json"}
    )
    if auth := os.environ.get("PREFECT_API_AUTH_STRING"):
        import base64

        request.add_header("Authorization", "Basic " + base64.b64encode(auth.encode()).decode())
    for wait in BUSY:
        try:
            return _answer(request)
        except urllib.error.HTTPError as error:
            if error.code != UNAVAILABLE:
                raise
        time.sleep(wait)
    return _answer(request)


def _answer(request: urllib.request.Request) -> Any:
    with urllib.request.urlopen(request, timeout=10) as reply:
        return json.load(reply)
