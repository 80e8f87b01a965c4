"""The section `schema`: the rules for the data."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from gristmill.pipelines.config.conditions import read_condition
from gristmill.pipelines.config.known_expectations import Expectation, Suite
from gristmill.pipelines.config.section import Range, Scalar, Section, Severity, Share, Span
from gristmill.pipelines.config.sections.data import Data
from gristmill.pipelines.config.sections.split import Split

IsoDate = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d")]


class Column(Section):
    """Rules for a column, or for all columns that match a pattern such as `pixel*`."""

    type: Literal["integer", "number", "text", "boolean", "date"] | None = None
    min: float | IsoDate | None = Field(None, description="a number; for type: date an ISO date")
    max: float | IsoDate | None = None
    missing: Literal["never", "allowed"] | Share = Field(
        "allowed", description="or the largest share of rows without a value"
    )
    one_of: tuple[Scalar, ...] | None = Field(None, min_length=1)
    matches: str | None = Field(None, description="regular expression for the whole text")
    unique: bool = False
    severity: Severity = "error"

    @field_validator("matches")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"is not a regular expression: {error}") from error
        return pattern

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        ends = [end for end in (self.min, self.max) if end is not None]
        if self.type == "date":
            moments = [_moment(end) for end in ends]
            if len(moments) == 2 and moments[0] > moments[1]:
                raise ValueError(f"min {self.min} is above max {self.max}")
        elif texts := [end for end in ends if isinstance(end, str)]:
            raise ValueError(f"{texts[0]!r} must be a number; dates need type: date")
        elif len(ends) == 2 and float(ends[0]) > float(ends[1]):
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


def _moment(end: float | str) -> datetime:
    try:
        moment = datetime.fromisoformat(str(end))
    except ValueError as error:
        raise ValueError(f"{end!r} must be a date such as 2026-01-31") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Rule(Section):
    """A rule between the columns of each row, such as `end >= start`."""

    check: str = Field(
        description="columns (in backticks where needed), numbers, texts, + - * / %, comparisons, "
        "and, or, not, missing(column); a row passes if a missing value leaves the result unknown"
    )
    severity: Severity = "error"

    @field_validator("check")
    @classmethod
    def _readable(cls, check: str) -> str:
        read_condition(check)
        return check


class Freshness(Section):
    """The largest age of the newest date in a column when a run starts."""

    column: str
    within: Span = Field(description="such as 36h, 7d or 2w")
    severity: Severity = "error"


class Drift(Section):
    """The reaction to columns whose distribution differs from that of the accepted version."""

    severity: Literal["error", "warning", "off"] = "warning"
    exclude: tuple[str, ...] = Field((), description="columns or patterns allowed to drift")


class Schema(Section):
    """The contract for the data; rows that break it stop the run at validation."""

    rows: Range | None = None
    columns: dict[str, Column] = Field({})
    rules: tuple[Rule, ...] = ()
    fresh: Freshness | None = None
    drift: Drift = Drift()
    extra: Literal["allow", "forbid"] = Field("allow", description="columns that match no entry")
    expectations: tuple[Expectation, ...] = Field(
        (), description="expectations of Great Expectations: each a name with its arguments"
    )
    suite: Suite | None = Field(
        None, description="a suite saved by Great Expectations in experiments/expectations/"
    )


class ValidateSections(Section):
    """The sections that the stage `validate` reads; `split` names the key column."""

    data: Data
    schema_: Schema = Field(alias="schema")
    split: Split
