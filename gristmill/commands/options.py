"""Arguments and options shared by several commands."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from gristmill.pipelines import config
from gristmill.pipelines.base import ConfigError, GristmillError
from gristmill.pipelines.config import Project


def complete_experiment(incomplete: str) -> list[str]:
    """Return the experiments whose names begin with the text."""
    try:
        return [name for name in Project.find().experiment_names() if name.startswith(incomplete)]
    except GristmillError:
        return []


NameOrAll = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME]", help="An experiment; default: all.", autocompletion=complete_experiment
    ),
]
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="An experiment: experiments/NAME.yaml.",
        autocompletion=complete_experiment,
    ),
]
Override = Annotated[
    list[str],
    typer.Option(
        "--parameter", "-P", metavar="NAME=VALUE", help="Replace a declared parameter for this run."
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Repeat every step, even if its result is known.")
]
Model = Annotated[
    str,
    typer.Argument(
        metavar="NAME[@ALIAS]",
        help="A registered model; @champion by default, or another alias or version.",
    ),
]
Registered = Annotated[str, typer.Argument(metavar="NAME", help="A registered model.")]
Number = Annotated[str, typer.Option("--version", help="Number of the version.")]
Reason = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Reason, stored in the history.")
]
Rows = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="A file or folder like the data, with or without the target."
    ),
]


def load(name: str, parameters: list[str]) -> tuple[Project, config.Experiment]:
    """Load an experiment of the project that contains this folder, with `-P` applied."""
    project = Project.find()
    return project, config.load_experiment(
        project, name, dict(map(config.read_override, parameters))
    )


def whole_id(ids: Iterable[str], text: str) -> str:
    """Return the run id that begins with the text, or "" if there is none.

    Raises:
        ConfigError: several ids begin with it.
    """
    is_id = re.fullmatch(r"[0-9a-f]{4,32}", text) is not None
    alike = [run_id for run_id in ids if is_id and run_id.startswith(text)]
    if len(alike) > 1:
        raise ConfigError(
            f"several runs begin with {text}",
            expected="more characters of the id",
            found=", ".join(run_id[:12] for run_id in alike[:8]),
        )
    return alike[0] if alike else ""
