"""`gristmill check`: whether new rows have drifted."""

from __future__ import annotations

from typing import Annotated

import typer

from gristmill import flows
from gristmill.commands.options import Model, Rows


def check(
    model: Model,
    file: Rows,
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> int:
    """Find out whether new rows have drifted from those of the champion; then exit code 5."""
    return flows.check(model, file, as_json=as_json)
