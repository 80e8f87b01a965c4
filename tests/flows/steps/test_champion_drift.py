"""Drift in a run, measured against the data of the champion kept with its version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tiny import write_experiment

from gristmill.flows.session import Session
from gristmill.flows.steps.champion_drift import DISTRIBUTIONS, DRIFT, FOLDER, check_drift
from gristmill.pipelines.base.errors import DataInvalid
from gristmill.pipelines.base.files import read_json
from gristmill.pipelines.config.project import Project
from gristmill.pipelines.registry.promotion import promote
from gristmill.pipelines.registry.registered_models import register
from gristmill.pipelines.reporting.screen import Screen
from gristmill.pipelines.tracking import Tracker


def session(project: Project, shift: int = 0, **drift: Any) -> Session:
    experiment = write_experiment(project, schema={"drift": drift})
    folder = project.build("tiny")
    folder.mkdir(parents=True, exist_ok=True)
    rows = [number // 2 for number in range(shift, shift + 300)]
    frame = pd.DataFrame({"width": rows, "kind": ["low", "top"] * 150})
    frame.to_parquet(folder / "table.parquet")
    return Session(project, experiment, Screen())


def champion_of(run: Session) -> None:
    with Tracker(run.project, "tiny") as tracker:
        for name in (DISTRIBUTIONS, DRIFT):
            if (run.build / name).exists():
                tracker.log_file(run.build / name, FOLDER)
        register(run.project, "tiny", "somewhere", tracker.run_id, {})
    promote(run.project, "tiny", None, "best")


def test_a_first_version_has_no_champion_to_compare_with_and_reports_it(stored: Project) -> None:
    run = session(stored)
    assert check_drift(run) == ("no champion to compare with yet", [])
    assert read_json(run.build / DISTRIBUTIONS)["rows"] == 300
    assert not (run.build / DRIFT).exists()


def test_a_champion_without_distributions_is_not_treated_as_equal(stored: Project) -> None:
    run = session(stored)
    champion_of(run)
    said, warnings = check_drift(run)
    assert said == "version 1, the champion, has no stored distributions"
    assert warnings == []
    assert not (run.build / DRIFT).exists()


def test_drift_from_the_champions_data_is_shown_or_stops_the_run(
    stored: Project,
) -> None:
    run = session(stored)
    check_drift(run)
    champion_of(run)
    assert check_drift(run) == ("no column drifted from the data of version 1, the champion", [])
    assert read_json(run.build / DRIFT) == {"version": "1", "drifted": []}

    said, warnings = check_drift(session(stored, shift=200))
    assert said == "1 column drifted from the data of version 1, the champion"
    (line,) = warnings
    assert line.startswith("width drifted: PSI ")
    assert read_json(run.build / DRIFT)["drifted"][0]["column"] == "width"

    with pytest.raises(DataInvalid, match=r"(?s)1 column drifted.*width.*PSI.*exclude"):
        check_drift(session(stored, shift=200, severity="error"))
    assert check_drift(session(stored, shift=200, severity="error", exclude=["wid*"]))[1] == []

    assert check_drift(session(stored, shift=200, severity="off")) == ("switched off", [])
    left = {path.name for path in Path(run.build).iterdir()}
    assert left & {DISTRIBUTIONS, DRIFT} == set()
