"""The section `features`: how columns become numbers."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from gristmill.pipelines.config.section import Scalar, Section, Several
from gristmill.pipelines.config.sections.data import Data
from gristmill.pipelines.config.sections.split import Split


class Feature(Section):
    """How one column becomes numbers.

    `levels` is the order of an ordered category, lowest first; `words` is the number of words of a
    text that are counted; `size` is the length of an embedding; a date has all `parts` by default.
    """

    kind: Literal["number", "category", "ordered", "boolean", "date", "text"]
    levels: Several[Scalar] | None = Field(None, min_length=2)
    words: int = Field(200, ge=1)
    size: int | None = Field(None, ge=1)
    parts: Several[Literal["days", "year", "month", "weekday", "hour"]] | None = Field(
        None, min_length=1
    )

    @model_validator(mode="before")
    @classmethod
    def _in_a_word(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.kind == "ordered") != (self.levels is not None):
            raise ValueError("levels, lowest first, are required for kind: ordered, and only there")
        for setting, kind in (("words", "text"), ("size", "category"), ("parts", "date")):
            usual = type(self).model_fields[setting].default  # also written by `config show`
            if getattr(self, setting) != usual and self.kind != kind:
                raise ValueError(f"{setting} is only for kind: {kind}, not for {self.kind}")
        return self

    @field_validator("levels")
    @classmethod
    def _levels_differ(cls, levels: tuple[Scalar, ...] | None) -> tuple[Scalar, ...] | None:
        texts = [str(level) for level in levels or ()]
        twice = [text for text in texts if texts.count(text) > 1]
        if twice:
            raise ValueError(f"lists {twice[0]} twice")
        return levels


class Features(Section):
    """How columns become numbers; all statistics are computed on training rows."""

    scale: Literal["minmax", "standard", "none"] = "standard"
    exclude: tuple[str, ...] = Field((), description="columns or patterns that are not features")
    columns: dict[str, Feature] = Field(
        {}, description="by column or pattern: number, category, ordered, boolean, date or text"
    )
    embed_above: int = Field(
        50, ge=2, description="number of levels above which a category is embedded, not one-hot"
    )
    scale_target: bool = Field(False, description="for regression: standardise the target")
    allow_leaks: tuple[str, ...] = Field(
        (), description="columns allowed to reveal the target; they are known before it"
    )


class PrepareSections(Section):
    """The sections of the experiment file that the stages `split` and `scale` read."""

    data: Data
    split: Split
    features: Features
