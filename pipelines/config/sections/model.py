"""The section `model`: hidden layers, a builder in Python, or an estimator."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, model_validator

from gristmill.pipelines.config.named_entry import Estimator, Layer
from gristmill.pipelines.config.section import Arguments, Section


class Model(Section):
    """Hidden layers, a builder in Python, or an estimator; the rest follows from data and task."""

    layers: tuple[Layer, ...] | None = None
    input: dict[str, Arguments] | None = None
    output: tuple[Layer, ...] | None = Field(None, description="replaces the output layer")
    builder: str | None = Field(
        None, description="my_models:build is build in experiments/my_models.py"
    )
    arguments: Arguments = Field({}, description="keyword arguments for the builder")
    sklearn: Estimator | None = Field(
        None,
        description="a classifier or regressor of scikit-learn: its name, or {Name: {argument: …}}",
    )

    @property
    def library(self) -> Literal["keras", "sklearn"]:
        """The library that trains the model."""
        return "keras" if self.sklearn is None else "sklearn"

    @property
    def estimator(self) -> tuple[str, Arguments]:
        """The name and the arguments of the estimator; only if `sklearn` is set."""
        return next(iter((self.sklearn or {}).items()))

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = (self.layers, self.builder, self.sklearn)
        if sum(way is not None for way in ways) != 1:
            raise ValueError("needs exactly one of layers, builder and sklearn")
        if self.builder is not None:
            if not re.fullmatch(r"[A-Za-z_]\w*:[A-Za-z_]\w*", self.builder):
                raise ValueError("builder must look like my_models:build")
            if self.input is not None or self.output is not None:
                raise ValueError("input and output need layers; a builder creates its own")
        elif self.arguments:
            raise ValueError("arguments are for a builder")
        if self.sklearn is not None and (self.input, self.output) != (None, None):
            raise ValueError("input and output need layers; sklearn has none")
        return self
