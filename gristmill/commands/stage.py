"""`gristmill stage`: one data stage, called by dvc.yaml."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Annotated

import typer

from gristmill.commands.endings import echo
from gristmill.commands.options import Name
from gristmill.pipelines.base import ConfigError, nearest, uncollected
from gristmill.pipelines.config import Project

STAGES = {
    "ingest": ("ingestion", "ingest"),
    "validate": ("validation", "validate"),
    "split": ("preparation", "split_table"),
    "scale": ("preparation", "scale"),
}
"""Folder in `pipelines` and function of each stage."""


def stage(
    step: Annotated[str, typer.Argument(metavar="STAGE", help="ingest, validate, split or scale.")],
    name: Name,
) -> None:
    """Run one data stage (called by dvc.yaml)."""
    project = Project.find()
    note = project.build(name) / "logs" / f"{step}.txt"
    with uncollected():  # validate: 0.7 s of 3.4 s of processor time, scale: 0.1 s of 1.4 s
        summary = str(_stage(step, name)(project, name))
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(summary + "\n", encoding="utf-8")
    if not os.environ.get("GRISTMILL_RECORD"):
        echo(f"{step} {name}: {summary}")


def _stage(stage: str, name: str) -> Callable[[Project, str], object]:
    if stage not in STAGES:
        near = nearest(stage, STAGES)
        raise ConfigError(
            f"there is no stage '{stage}'",
            expected="one of " + ", ".join(STAGES),
            found=stage,
            next=f"gristmill stage {near} {name}" if near else "",
        )
    folder, function = STAGES[stage]
    carry_out: Callable[[Project, str], object]
    carry_out = getattr(import_module(f"gristmill.pipelines.{folder}"), function)
    return carry_out
