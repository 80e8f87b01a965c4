"""Freshness of data: checked at the start of a run, never in the cached DVC stage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tiny import make_project, write_experiment

from gristmill.pipelines.base.durations import read_duration
from gristmill.pipelines.base.errors import DataInvalid
from gristmill.pipelines.base.files import write_json
from gristmill.pipelines.config.experiment import Experiment
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.validation.schema.freshness import check_fresh

NOW = datetime(2026, 3, 8, tzinfo=UTC)


def validated(folder: Path, newest: str | None, severity: str) -> tuple[Project, Experiment]:
    project = make_project(folder / "project")
    fresh = {"column": "when", "within": "7d", "severity": severity}
    experiment = write_experiment(project, schema={"fresh": fresh})
    write_json(project.build("tiny") / "validation.json", {"newest": newest})
    return project, experiment


@pytest.mark.parametrize(
    ("newest", "fresh"),
    [
        ("2026-03-01", True),
        ("2026-02-28", False),
        ("2026-03-01T00:00:00+09:00", False),
        ("2026-03-01T09:00:00+09:00", True),
        ("2027-01-01", True),
        (None, False),
    ],
)
def test_data_are_fresh_up_to_the_allowed_age(
    tmp_path: Path, newest: str | None, fresh: bool
) -> None:
    project, experiment = validated(tmp_path, newest, "warning")
    assert (check_fresh(project, experiment, NOW) == []) is fresh
    project, experiment = validated(tmp_path / "error", newest, "error")
    if fresh:
        assert check_fresh(project, experiment, NOW) == []
    else:
        with pytest.raises(DataInvalid, match=r"(?s)not fresh.*when.*gristmill data refresh tiny"):
            check_fresh(project, experiment, NOW)


@pytest.mark.parametrize(
    ("text", "length"),
    [("90s", timedelta(seconds=90)), ("36h", timedelta(hours=36)), ("1.5w", timedelta(days=10.5))],
)
def test_a_duration_is_a_number_and_a_letter(text: str, length: timedelta) -> None:
    assert timedelta(seconds=read_duration(text)) == length
