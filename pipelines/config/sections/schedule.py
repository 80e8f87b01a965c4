"""The section `schedule`: when `gristmill up` runs the experiment."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from pydantic import Field, field_validator, model_validator

from gristmill.pipelines.base import suggest
from gristmill.pipelines.config.section import Section


class Rhythm(Section):
    """The times of a scheduled action of `gristmill up`."""

    cron: str | None = None
    interval: int | None = Field(None, ge=60, description="seconds")
    timezone: str = "UTC"

    @model_validator(mode="after")
    def _one_rhythm(self) -> Self:
        if (self.cron is None) == (self.interval is None):
            raise ValueError("needs either cron or interval")
        return self

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, cron: str | None) -> str | None:
        if cron is None:
            return None
        from cronsim import CronSim, CronSimError

        try:
            CronSim(cron, datetime(2000, 1, 1))
        except CronSimError as error:
            raise ValueError(
                f"{error}; cron has five fields: minute hour day month weekday"
            ) from error
        return cron

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, timezone: str) -> str:
        from zoneinfo import available_timezones

        if timezone not in available_timezones():
            near = suggest(timezone, available_timezones(), before=", ")
            raise ValueError(f"unknown timezone {timezone!r}{near}")
        return timezone


class Schedule(Rhythm):
    """When `gristmill up` runs the experiment."""

    refresh: bool = Field(False, description="fetch the source again before each run")
