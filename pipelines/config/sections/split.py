"""The section `split`: which rows are for training, validation and testing."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from pydantic import Field, model_validator

from gristmill.pipelines.config.section import Section, Share, Span


class TimeSplit(Section):
    """Roles by date: training before `validation_from`, then validation, test from `test_from`.

    Omitted dates follow from the shares when the data set is first split, and are then kept.
    """

    column: str
    validation_from: str | None = Field(None, description="ISO 8601, such as 2026-01-31")
    test_from: str | None = None
    gap: Span | None = Field(None, description="time before each date that is not used, such as 7d")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        try:
            dates = [datetime.fromisoformat(d) for d in (self.validation_from, self.test_from) if d]
        except ValueError as error:
            raise ValueError(f"{error}: dates are written as 2026-01-31") from error
        if len(dates) == 2 and dates[0] >= dates[1]:
            raise ValueError("validation_from must be before test_from")
        return self


class Split(Section):
    """Which rows are for testing and for validation; a hash of the row decides."""

    test: Share | Literal["given"] = Field(
        0.2, description="a share, or given: the data set has its own test rows"
    )
    validation: Share = 0.2
    folds: int | None = Field(
        None, ge=2, le=20, description="for few rows: each fold is used once for validation"
    )
    stratify: bool = True
    seed: int = Field(0, ge=0)
    key: str | None = Field(None, description="column that identifies a row; default: its content")
    group: str | None = Field(None, description="column whose equal values have the same role")
    time: TimeSplit | None = None
    given: str | None = Field(
        None, description="column with the role of each row; default: that of the data set"
    )
    as_: str | None = Field(None, alias="as", description="experiment whose cuts are shared")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        test = 0.0 if self.test == "given" else self.test
        if not self.folds and test + self.validation >= 1:
            raise ValueError("test and validation leave no rows to train on")
        if self.given is not None and self.test != "given":
            raise ValueError("given names a column of roles; it needs test: given")
        ways = [w for w in ("group", "time") if getattr(self, w) is not None]
        if self.test == "given":
            ways.append("test: given")
        if len(ways) > 1:
            raise ValueError(f"{' and '.join(ways)} cannot be combined")
        if self.folds and "validation" in self.model_fields_set:
            raise ValueError("remove validation: each fold is used once for validation")
        if self.folds and self.time is not None:
            raise ValueError("folds and time cannot be combined: training would use future rows")
        return self
