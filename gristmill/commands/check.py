"""`gristmill check`: whether new rows have drifted."""

from __future__ import annotations

from typing import Annotated

import typer

from gristmill import flows
from gristmill.commands.options import Model, Rows


def check(
    model: Model,
    file: Rows,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the whole result as JSON.")
    ] = False,
) -> int:
    """Check whether new rows have drifted from a model's data; if so, the exit code is 5."""
    return flows.check(model, file, as_json=as_json)
