"""`gristmill up`: both UIs and the schedules, until Ctrl-C."""

from __future__ import annotations

from typing import Annotated

import typer

from gristmill import flows


def up(
    prefect_port: Annotated[int, typer.Option(help="Port of the Prefect server.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(help="Port of the MLflow server.")] = 5000,
) -> None:
    """Serve both UIs and run every experiment's schedule, until Ctrl-C."""
    flows.up(prefect_port, mlflow_port)
