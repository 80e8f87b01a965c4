"""What every part of an experiment file is made of."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Scalar = bool | int | float | str

Span = Annotated[str, Field(pattern=r"^\d+(\.\d+)?[smhdw]$")]
"""A length of time: a number and s, m, h, d or w."""

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class Section(BaseModel):
    """Base of all parts: immutable, and strict about keys and types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)
