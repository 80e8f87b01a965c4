"""The base class and common types of the sections of an experiment file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, Strict, model_validator

from gristmill.pipelines.base import DURATION

Scalar = bool | int | float | str
Arguments = dict[str, Any]
Severity = Literal["error", "warning"]
Share = Annotated[float, Field(gt=0, lt=1)]

T = TypeVar("T")
Several = Annotated[tuple[T, ...], Strict(False)]
"""A list in the file. Not strict: after a "before" validator it is still a list, not a tuple."""

Span = Annotated[str, Field(pattern=DURATION)]
"""A duration: a number and s, m, h, d or w."""


class Section(BaseModel):
    """Base of all sections: immutable, strict about keys and types, numbers are finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, allow_inf_nan=False
    )


class Range(Section):
    """Closed range; either end can be omitted."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min:g} is above max {self.max:g}")
        return self


def read_named(entry: Any) -> tuple[str, Arguments]:
    """Return name and arguments of an entry `Name` or `{Name: {argument: value}}`."""
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, Mapping) or len(entry) != 1:
        raise ValueError(f"must be a name or one {{Name: {{arguments}}}}, found {entry!r}")
    name, arguments = next(iter(entry.items()))
    if arguments is not None and not isinstance(arguments, Mapping):
        raise ValueError(f"the arguments of {name} must be a mapping, found {arguments!r}")
    return str(name), dict(arguments or {})
