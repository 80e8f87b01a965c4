"""The section `score`: what `gristmill score` refuses."""

from __future__ import annotations

from pydantic import Field

from gristmill.pipelines.config.section import Section


class Score(Section):
    """What `gristmill score` refuses."""

    unseen: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="refuse a file if a larger share of its rows has values unseen in training",
    )
