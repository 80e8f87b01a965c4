"""The section `evaluation`: what is computed on the test rows, once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AllowInfNan, BeforeValidator, Field, field_validator, model_validator

from gristmill.pipelines.config.known_names import METRIC_FORMS
from gristmill.pipelines.config.section import Scalar, Section, Several, Share


class Bins(Section):
    """How a column is divided into slices."""

    bins: Several[Annotated[float, AllowInfNan(True)]] | None = Field(
        None, min_length=1, description="edges of the slices of a number; default: its quartiles"
    )

    @field_validator("bins")
    @classmethod
    def _rising(cls, bins: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if bins is not None and list(bins) != sorted({*bins}):
            raise ValueError("edges must increase")
        return bins


WrittenSlices = list[str | dict[str, bool | Bins]] | dict[str, bool | Bins | None]


def _columns_or_search(given: Any) -> Any:
    """Return entries such as `[region, {age: {bins: [18, 65]}}, search]` as one mapping.

    Also reads `{columns: {region: {}, …}, search: false}`, as `gristmill config show` writes it.
    """
    entries = given if isinstance(given, list | tuple) else [given]
    made: dict[str, Any] = {"columns": {}}
    for entry in entries:
        if isinstance(entry, str):
            made["columns"][entry] = {}
            continue
        if not isinstance(entry, Mapping):
            return given
        for name, value in entry.items():
            if name == "search" and isinstance(value, bool):
                made["search"] = value
            elif (
                name == "columns"
                and isinstance(value, Mapping)
                and all(isinstance(each, Mapping) for each in value.values())
            ):
                made["columns"] |= value
            else:
                made["columns"][name] = {} if value is None else value
    return made


class Slices(Section):
    """Parts of the test rows that are evaluated separately."""

    columns: dict[str, Bins] = Field({}, description="a slice for each value, or bin of a number")
    search: bool = Field(
        False, description="find the worst slices on validation rows, confirm three on test rows"
    )


class Costs(Section):
    """Costs of the two kinds of errors."""

    false_positive: float = Field(1.0, ge=0)
    false_negative: float = Field(1.0, ge=0)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.false_positive + self.false_negative > 0:
            raise ValueError("one of the costs must be above 0")
        return self


class ThresholdRule(Section):
    """How to choose the least probability of a positive prediction, for two classes."""

    cost: Costs | None = Field(None, description="minimise the cost on validation rows")
    precision: Share | None = Field(
        None, description="maximise recall at this precision on validation rows"
    )
    positive: Scalar | None = Field(None, description="the positive class; default: the second")

    @model_validator(mode="after")
    def _one_rule(self) -> Self:
        if (self.cost is None) == (self.precision is None):
            raise ValueError("needs either cost or precision")
        return self


class Evaluation(Section):
    """What is computed on the test rows, once."""

    metrics: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="default: depends on the task; also " + ", ".join(METRIC_FORMS),
    )
    slices: Annotated[
        Slices, BeforeValidator(_columns_or_search, json_schema_input_type=WrittenSlices)
    ] = Field(
        Slices(), description="columns as [region, {age: {bins: [18, 65]}}], and {search: true}"
    )
    threshold: ThresholdRule | None = None
