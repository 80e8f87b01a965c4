"""The section `gate`: what decides over promotion."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from gristmill.pipelines.config.section import Range, Section, Share


class Requirement(Range):
    """Absolute bounds on a test metric, on `calibration` or on a figure of the package."""

    of: Literal["value", "low"] = Field(
        "value", description="low: the cautious end of its 95 % interval keeps the bound, too"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("needs min or max")
        return self


class RequiredSlice(Section):
    """What rows of one kind must not fall below: the champion, and a share predicted right."""

    min: Share | None = Field(None, description="of these rows predicted right")


class Comparison(Section):
    """How a candidate must beat the champion on the same test rows, one-sided."""

    metric: str | None = Field(None, description="default: the first metric of evaluation")
    confidence: float = Field(0.95, gt=0.5, lt=1)
    margin: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="by less than this the same recipe on newer data may be worse: points, or a "
        "share of the champion's value where the metric has the target's unit",
    )
    fresh_after: int = Field(7, ge=0, description="days from which on a champion may be refreshed")
    newest: int = Field(2000, ge=20, description="rows to compare on where the data grow")


class Gate(Section):
    """What decides over promotion."""

    require: dict[str, Requirement] = Field({})
    slices: dict[str, RequiredSlice] = Field(
        {}, description="by COLUMN=VALUE, or by COLUMN for each of its values"
    )
    champion: Comparison = Comparison()
    approve: Literal["automatic", "manual"] = Field(
        "automatic",
        description="manual: what the gate would promote waits as challenger for a person",
    )
