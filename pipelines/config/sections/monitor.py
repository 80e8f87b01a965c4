"""The section `monitor`: when `gristmill up` checks new rows for drift."""

from __future__ import annotations

from pydantic import Field

from gristmill.pipelines.config.sections.schedule import Rhythm


class Monitor(Rhythm):
    """When `gristmill up` checks new rows for drift from those of the champion."""

    path: str | None = Field(
        None, description="files to check, such as incoming/*.csv; default: data of the source"
    )
    retrain: bool = Field(
        True, description="fetch the source and run the experiment when there is drift"
    )
