"""`gristmill up`: both UIs and the schedules, until Ctrl-C."""

from __future__ import annotations

import os
import shlex
import signal
import time
from typing import Annotated

import typer

from gristmill import flows
from gristmill.pipelines import tracking
from gristmill.pipelines.base import ConfigError, redact
from gristmill.pipelines.config import Project, load_experiments
from gristmill.pipelines.reporting import Screen


def up(
    prefect_port: Annotated[int, typer.Option(help="Port of the Prefect server.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow server.")] = 5000,
    env: Annotated[
        bool,
        typer.Option(
            "--env", help="Print what other tools need to use the running servers, and end."
        ),
    ] = False,
) -> None:
    """Serve both UIs and run all schedules and monitors, until Ctrl-C."""
    project, screen = Project.find(), Screen()
    if env:
        for name, value in _variables(project).items():
            typer.echo(f"export {name}={shlex.quote(value)}")
        return
    scheduled = flows.schedules_of(project)
    for name, fault in load_experiments(project)[1].items():
        screen.say(f"! {name} is left out: {fault.what} (gristmill config show {name})")
    if "PREFECT_API_URL" not in os.environ:
        flows.require_free(prefect_port, "Prefect", "--prefect-port")
        _require_down(project)
        _wait_for_runs(project, screen)
    tracking.check_store(project)
    if tracking.is_local(project):
        flows.require_free(mlflow_port, "MLflow", "--mlflow-port")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server, local = flows.Server(project), tracking.is_local(project)
    try:
        server.start(prefect_port, ui=True, mlflow=mlflow_port if local else None)
        with flows.mlflow_server(project, mlflow_port) as (address, mlflow):
            server.wait()
            server.mend()
            with flows.scheduler(project, scheduled) as starter:
                screen.say(f"Prefect  {redact(server.url.removesuffix('/api'))}")
                screen.say(f"MLflow   {redact(address)}")
                if local or server.is_ours:
                    screen.say(_login(project), whole=True)
                for line in (
                    line for one in scheduled.items() for line in flows.schedule_lines(*one)
                ):
                    screen.say(line)
                if not scheduled:
                    screen.say("no experiment has a schedule")
                screen.say("Ctrl-C stops everything")
                flows.watch_over([mlflow, starter], "mlflow.log, schedules.log")
    except KeyboardInterrupt:
        screen.say("ended")
    finally:
        server.leave()


def _login(project: Project) -> str:
    file = project.relative(flows.password_file(project))
    single = f"(Prefect's single field takes {flows.USER}:PASSWORD)"
    return f"login    user {flows.USER}, password in {file} {single}"


def _variables(project: Project) -> dict[str, str]:
    """Return the environment in which Prefect, MLflow and notebooks use the running servers."""
    running = flows.running_server(project)
    if running is None or not running["ui"]:
        raise ConfigError(
            "the project is not up",
            expected="a running `gristmill up`, whose servers the variables name",
            found="no Prefect server with a UI",
            next="gristmill up",
        )
    found = {
        "PREFECT_API_URL": f"http://{flows.HOST}:{running['port']}/api",
        "PREFECT_API_AUTH_STRING": flows.credentials(project),
    }
    if running["mlflow"]:
        found["MLFLOW_TRACKING_URI"] = f"http://{flows.HOST}:{running['mlflow']}"
        found["MLFLOW_TRACKING_USERNAME"] = flows.USER
        found["MLFLOW_TRACKING_PASSWORD"] = flows.password(project)
    return found


def _require_down(project: Project) -> None:
    running = flows.running_server(project)
    if running is not None and running["ui"]:
        raise ConfigError(
            "the project is up already",
            expected="one `gristmill up` per project",
            found=f"its Prefect server at http://{flows.HOST}:{running['port']}",
        )


def _wait_for_runs(project: Project, screen: Screen) -> None:
    """Wait for the temporary server of a run, which has no UI, to end."""
    if flows.running_server(project) is not None:
        screen.say("waiting for a run to end")
    while flows.running_server(project) is not None:
        time.sleep(0.5)
