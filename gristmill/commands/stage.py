"""`gristmill stage`: one data stage, as dvc.yaml calls it."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import Annotated

import typer

from gristmill.commands.options import Name
from gristmill.pipelines.base import ConfigError, nearest
from gristmill.pipelines.config import Project


def stage(
    step: Annotated[str, typer.Argument(metavar="STAGE", help="ingest, validate, split or scale.")],
    name: Name,
) -> None:
    """Carry out one data stage; this is what dvc.yaml calls."""
    project = Project.find()
    gc.disable()  # a search through all that an import makes, again and again, is a quarter of it
    note = project.build(name) / "logs" / f"{step}.txt"
    said = str(_stage(step, name)(project, name))
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(said + "\n", encoding="utf-8")
    if not os.environ.get("GRISTMILL_RECORD"):
        typer.echo(f"{step} {name}: {said}")


def _stage(stage: str, name: str) -> Callable[[Project, str], object]:
    if stage == "ingest":
        from gristmill.pipelines.ingestion import ingest

        return ingest
    if stage == "validate":
        from gristmill.pipelines.validation import validate

        return validate
    if stage == "split":
        from gristmill.pipelines.preparation import split_table

        return split_table
    if stage == "scale":
        from gristmill.pipelines.preparation import scale

        return scale
    stages = ("ingest", "validate", "split", "scale")
    near = nearest(stage, stages)
    raise ConfigError(
        f"there is no stage '{stage}'",
        expected="one of " + ", ".join(stages),
        found=stage,
        next=f"gristmill stage {near} {name}" if near else "",
    )
