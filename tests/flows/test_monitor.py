"""`monitor`: scheduled checks, each file once, and drift that starts a training run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from aftermath import Command, free_ports, until
from prefect.events import DeploymentEventTrigger

from gristmill.flows.monitor import retrains
from gristmill.flows.schedules import deployments, schedule_lines
from gristmill.flows.servers.flow_runs import post
from gristmill.flows.servers.password import credentials
from gristmill.pipelines.base.yaml_file import read_yaml
from gristmill.pipelines.config.experiment import load_experiment
from gristmill.pipelines.config.project import Project
from tests.conftest import ROOT

Start = Callable[..., Command]


def shifted(project: Project, rows: int, seed: int = 0) -> pd.DataFrame:
    """Return digits shifted one pixel to the right."""
    table = pd.read_csv(project.root / "data" / "digits" / "digits.csv")
    some = table.sample(rows, random_state=seed)
    pixels = [name for name in table if name.startswith("pixel")]
    some[pixels] = np.roll(some[pixels].to_numpy(), 1, axis=1)
    return some


@pytest.mark.slow
def test_a_drifted_file_is_reported_once_and_starts_a_gated_training_run(
    finished: Project, command: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    with finished.experiment_file("digits").open("a") as file:
        file.write("monitor: {interval: 86400, path: incoming/*.csv}\n")
    incoming = finished.root / "incoming"
    incoming.mkdir()
    shifted(finished, 300).to_csv(incoming / "a.csv", index=False)
    (incoming / "b.csv").write_text("no,digits\n1,2\n")
    prefect, mlflow = free_ports(2)
    up = command(
        finished, "up", f"--prefect-port={prefect}", f"--mlflow-port={mlflow}",
        env={"PREFECT_RUNNER_POLL_FREQUENCY": "1"},
    )  # fmt: skip
    up.wait_for("Ctrl-C stops everything")
    assert "monitor  digits: every 86400 s, incoming/*.csv, drift retrains" in up.said
    api = f"http://127.0.0.1:{prefect}/api"
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", credentials(finished))

    def ask(what: str, **content: Any) -> list[dict[str, Any]]:
        try:
            return list(post(f"{api}/{what}/filter", content))
        except OSError:  # the server is busy
            return []

    def runs(flow: str) -> list[dict[str, Any]]:
        """Return the flow runs that have started, newest first."""
        wanted = {"name": {"any_": [flow]}}
        found = ask("flow_runs", flows=wanted, sort="START_TIME_DESC")
        return [run for run in found if run["deployment_id"] and run["start_time"]]

    def monitored() -> str:
        """Run one more check; return its final state."""
        before = len(runs("monitor"))
        (one,) = ask("deployments", flows={"name": {"any_": ["monitor"]}})
        wanted = {"state": {"type": "SCHEDULED"}}
        post(f"{api}/deployments/{one['id']}/create_flow_run", wanted)
        until(lambda: len(runs("monitor")) > before, "a check", 120)
        until(lambda: (runs("monitor") or [{}])[0].get("end_time"), "the end of a check", 120)
        return str(runs("monitor")[0]["state_type"])

    until(lambda: len(ask("deployments")) == 2, "two deployments")
    assert monitored() == "FAILED"  # b.csv cannot be checked
    until(lambda: runs("train"), "a training", 120)
    (train,) = runs("train")
    assert train["parameters"] == {"experiment": "digits", "refresh": True}
    (incoming / "b.csv").unlink()
    assert monitored() == "COMPLETED"
    until(lambda: (runs("train") or [{}])[0].get("end_time"), "the end of the training", 120)
    assert [run["state_type"] for run in runs("train")] == ["COMPLETED"]  # a.csv was reported once
    assert {"check-digits", "drift-digits"} <= {one["key"] for one in ask("artifacts")}
    assert up.interrupt() in (0, 130)


def test_up_serves_the_schedules_and_monitors_of_an_experiment(project: Project) -> None:
    file = project.experiment_file("digits")
    asked = file.read_text(encoding="utf-8")
    for lines, names, words in (
        ("schedule: {cron: '0 6 * * *'}", ["train"], ["schedule digits: 0 6 * * * (UTC)"]),
        (
            "monitor: {interval: 60}",
            ["train", "monitor"],
            ["monitor  digits: every 60 s, what the source has, drift retrains"],
        ),
        (
            "monitor: {cron: '0 * * * *', path: a/*.csv, retrain: false}",
            ["monitor"],
            ["monitor  digits: 0 * * * * (UTC), a/*.csv"],
        ),
    ):
        file.write_text(f"{asked}\n{lines}\n", encoding="utf-8")
        document = load_experiment(project, "digits").document
        assert list(schedule_lines("digits", document)) == words
        made = list(deployments("digits", document))
        assert [one.flow_name for one in made] == names
        assert [bool(one.triggers) for one in made] == [len(names) == 2, False][: len(names)]
        assert bool(made[0].schedules) is (len(names) == 1)


def test_prefect_yaml_starts_training_on_the_same_event() -> None:
    listed = read_yaml(ROOT / "prefect.yaml")["deployments"]
    (given,) = next(one for one in listed if one["name"] == "train-digits")["triggers"]
    made = retrains("digits")
    assert DeploymentEventTrigger(**given, name=made.name) == made
