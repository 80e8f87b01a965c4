"""The section `gate`: the rules of promotion."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, Strict, model_validator

from gristmill.pipelines.config.section import Range, Section, Share


class Requirement(Range):
    """Absolute bounds on a test metric, on `calibration` or on a figure of the package."""

    of: Literal["value", "low"] = Field(
        "value", description="low: the worse end of the 95 % interval must be within the bounds"
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("needs min or max")
        return self


class RequiredSlice(Section):
    """Requirement for a slice: not worse than the champion, and enough correct predictions."""

    min: Share | None = Field(None, description="least share of its rows predicted correctly")


class Comparison(Section):
    """One-sided comparison of a candidate with the champion on the same test rows."""

    metric: str | None = Field(None, description="default: the first metric of evaluation")
    confidence: float = Field(0.95, gt=0.5, lt=1)
    margin: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="how much worse the same recipe on newer data can be: in points, or as a share "
        "of the champion's value if the metric has the target's unit",
    )
    fresh_after: int = Field(
        7, ge=0, description="age in days from which a champion can be refreshed"
    )
    newest: int = Field(2000, ge=20, description="newest rows to compare on, if the data grow")


class Gate(Section):
    """The rules of promotion."""

    require: dict[str, Requirement] = Field({})
    slices: dict[str, RequiredSlice] = Field(
        {}, description="by COLUMN=VALUE, or by COLUMN for each of its values"
    )
    champion: Comparison = Comparison()
    baseline: Annotated[bool, Strict(False)] = Field(
        True,
        description="off: the first champion can be significantly worse than the linear baseline",
    )
    approve: Literal["automatic", "manual"] = Field(
        "automatic",
        description="manual: a version that passes becomes challenger until a person promotes it",
    )
