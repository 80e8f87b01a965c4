"""Freshness: the age of the newest date in the data when a run starts.

The stage `validate` records the newest date. Its result is cached by DVC and must not depend on the
clock, so the flow checks the age, even if there is nothing else to do.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gristmill.pipelines.base import DataInvalid, read_duration, read_json
from gristmill.pipelines.config import Experiment, Project


def check_fresh(project: Project, experiment: Experiment, now: datetime | None = None) -> list[str]:
    """Check the age of the data; return a warning or nothing.

    Args:
        project: the project with the validated data.
        experiment: the experiment to run.
        now: time with a time zone; default: the current time.

    Raises:
        DataInvalid: the data are too old, and `schema.fresh` has the severity error.
    """
    fresh = experiment.document.schema_.fresh
    file = project.build(experiment.name) / "validation.json"
    if fresh is None or not file.exists():
        return []
    newest = read_json(file)["newest"]
    allowed = timedelta(seconds=read_duration(fresh.within))
    if newest is not None and (now or datetime.now(UTC)) - _moment(newest) <= allowed:
        return []
    if fresh.severity == "warning":
        return [f"the data are not fresh: {_found(fresh.column, newest)}, allowed {fresh.within}"]
    raise DataInvalid(
        "the data are not fresh",
        expected=f"a date in {fresh.column} that is at most {fresh.within} old",
        found=_found(fresh.column, newest),
        next=f"gristmill data refresh {experiment.name}, or correct schema.fresh",
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _found(column: str, newest: str | None) -> str:
    return f"the newest {column} is {newest}" if newest else f"no date in {column}"
