"""`gristmill score`: predictions for the rows of a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gristmill import flows
from gristmill.commands.options import Name, Rows


def score(
    name: Name,
    file: Rows,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="CSV or Parquet file; default: FILE with the ending .scored.csv."
        ),
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Version to use instead of the champion.")
    ] = None,
) -> None:
    """Predict the rows of a file with the champion."""
    flows.score(name, file, output, version)
