"""The section `search`: which points of the parameter space are trained, and in what order."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from gristmill.pipelines.base import read_duration
from gristmill.pipelines.config.section import Scalar, Section, Several, Span

STEPS = 1000
"""Distinct values in a range of real numbers, so that a printed value can be passed to `-P`."""


class Distribution(Section):
    """The values of a parameter: one of these kinds."""

    uniform: Several[float] | None = Field(None, description="[low, high] or [low, high, step]")
    log_uniform: Several[float] | None = Field(
        None, description="[low, high], uniform on a log scale"
    )
    int_: Several[int] | None = Field(
        None, alias="int", description="[low, high] or [low, high, step]"
    )
    log_int: Several[int] | None = Field(None, description="[low, high], uniform on a log scale")
    choice: Several[Scalar] | None = Field(None, description="also written as a plain list")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if len(self._kinds) != 1:
            kinds = "uniform, log_uniform, int, log_int, choice"
            raise ValueError(f"needs exactly one of {kinds}, such as {{uniform: [0, 0.5]}}")
        if self.choice is not None:
            distinct(self.choice)
            return self
        kind, bounds = self.kind, self.bounds
        stepped = kind in ("uniform", "int")
        if len(bounds) not in ((2, 3) if stepped else (2,)):
            raise ValueError(f"{kind} needs [low, high]" + " or [low, high, step]" * stepped)
        low, high, *step = bounds
        if not all(map(math.isfinite, bounds)):
            raise ValueError(f"{kind}: low and high must be finite numbers")
        if low >= high:
            raise ValueError(f"{kind}: low {low:g} must be below high {high:g}")
        if self.is_log and low <= 0:
            raise ValueError(f"{kind}: low must be above 0, which has no logarithm; found {low:g}")
        if step and not 0 < step[0] <= high - low:
            raise ValueError(f"{kind}: step must be above 0 and at most {high - low:g}")
        return self

    @property
    def kind(self) -> str:
        """The name of the kind in the file."""
        return self._kinds[0].rstrip("_")

    @property
    def _kinds(self) -> list[str]:
        """The fields that have a value; `gristmill config show` writes the others as null."""
        return [name for name in type(self).model_fields if getattr(self, name) is not None]

    @property
    def bounds(self) -> tuple[float, ...]:
        """Low, high and the step, if any; empty for a choice."""
        return self.uniform or self.log_uniform or self.int_ or self.log_int or ()

    @property
    def is_log(self) -> bool:
        """Whether it is uniform on a log scale."""
        return self.log_uniform is not None or self.log_int is not None

    @property
    def size(self) -> float:
        """The number of values; infinite for real numbers."""
        if self.choice is not None:
            return len(self.choice)
        low, high, *step = self.bounds
        if step or self.int_ or self.log_int:
            return math.floor((high - low) / (step[0] if step else 1) + 1e-9) + 1
        return math.inf

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """Every choice, or the lowest and the highest value."""
        return self.choice or (self.at(0.0), self.at(math.nextafter(1.0, 0.0)))

    def at(self, share: float) -> Scalar:
        """Return the value at a quantile of the distribution; `share` is in [0, 1)."""
        if self.choice is not None:
            return self.choice[int(share * len(self.choice))]
        low, high, *step = self.bounds
        if self.log_int:
            value = math.exp(math.log(low) + share * math.log((high + 1) / low))
            return min(int(value + 1e-9), int(high))
        if self.int_ or step:
            value = low + (step[0] if step else 1) * int(share * self.size)
            return int(value) if self.int_ else self.rounded(float(value))
        if self.log_uniform:
            return self.rounded(low * math.exp(share * math.log(high / low)))
        return self.rounded(low + share * (high - low))

    def read(self, text: str) -> Scalar:
        """Parse a value of this distribution.

        Raises:
            ValueError: the text is not one of its values.
        """
        if self.choice is not None:
            texts = [str(value) for value in self.choice]
            return self.choice[texts.index(text)]
        low, high, *_ = self.bounds
        value = int(text) if self.int_ or self.log_int else float(text)
        if not low <= value <= high:
            raise ValueError(f"{text} is not between {low:g} and {high:g}")
        return value

    def rounded(self, value: Scalar) -> Scalar:
        """Round a real number to one of the `STEPS` values; return other values unchanged."""
        if not isinstance(value, float) or self.choice is not None:
            return value
        low, high, *step = self.bounds
        if step:
            return round(value, 12)
        apart = abs(value) * math.log(high / low) if self.log_uniform else high - low
        places = math.ceil(-math.log10(apart / STEPS))
        return min(max(float(round(value, places)), float(low)), float(high))


def distinct(values: tuple[Scalar, ...], name: str = "choice") -> None:
    """Check that there are values and that all differ; 1 and `true` differ here.

    Raises:
        ValueError: there are no values, or two are equal.
    """
    if not values:
        raise ValueError(f"{name} has no values, so there would be no trials")
    if len({(type(value), value) for value in values}) < len(values):
        raise ValueError(f"{name} lists a value twice")


def _written(values: Any) -> Any:
    """Return a plain list as a choice."""
    return {"choice": values} if isinstance(values, list | tuple) else values


Values = Annotated[
    Distribution,
    BeforeValidator(_written, json_schema_input_type=Distribution | tuple[Scalar, ...]),
]

ADAPTIVE = ("bayesian", "halving", "hyperband")
"""Strategies whose later trials depend on the results of earlier ones."""

BUDGETED = ("halving", "hyperband")
"""Strategies that set the number of epochs of each trial."""

BELONGS = {
    "seed": ("random", *ADAPTIVE),
    "space": ("random", *ADAPTIVE),
    "max_trials": ("random", "bayesian", "halving"),
    "sampler": ("bayesian",),
    "parallel": ("bayesian",),
    "factor": ("halving", "hyperband"),
    "min_epochs": ("halving", "hyperband"),
}
"""Strategies by setting; other settings apply to all strategies."""


class Search(Section):
    """Which trials to run, and which value ranks them."""

    strategy: Literal["grid", "random", "bayesian", "halving", "hyperband"] = Field(
        "grid",
        description="every point; points drawn at random; Optuna's proposals; or many points for "
        "few epochs, of which the best continue",
    )
    grid: dict[str, tuple[Scalar, ...]] = Field({}, description="lists of values by parameter")
    space: dict[str, Values] = Field(
        {},
        description="by parameter, a list or one of uniform, log_uniform, int, log_int, choice; "
        "use either grid or space",
    )
    max_trials: int | None = Field(
        None, ge=1, description="points of random and bayesian; initial points of halving"
    )
    max_time: Annotated[float, Field(gt=0)] | Span | None = Field(
        None, description="seconds, or a duration such as 2h, after which no trial starts"
    )
    repeats: int = Field(
        1, ge=1, le=100, description="trainings of each point, with seeds seed, seed + 1, …"
    )
    seed: int = Field(0, ge=0, description="seed of the strategy")
    sampler: Literal["tpe", "gp", "cmaes", "qmc"] = Field(
        "tpe", description="sampler of Optuna; gp needs the package torch, cmaes the package cmaes"
    )
    parallel: int = Field(
        4,
        ge=1,
        description="trials at once: a proposal uses all results except those of the last "
        "parallel - 1 trials, for any number of workers",
    )
    factor: int = Field(
        3, ge=2, description="one point in `factor` continues, with `factor` times the epochs"
    )
    min_epochs: int = Field(1, ge=1, description="smallest budget; training.epochs is the largest")
    objective: str | None = Field(None, description="default: val_accuracy or val_loss")
    workers: int | None = Field(None, ge=1, description="processes; default: one per core")

    @model_serializer(mode="wrap")
    def _own(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write only the settings of the strategy, so that the result can be loaded again."""
        every = (self.strategy,)
        return {n: v for n, v in dump(self).items() if self.strategy in BELONGS.get(n, every)}

    @field_validator("grid")
    @classmethod
    def _points(cls, grid: dict[str, tuple[Scalar, ...]]) -> dict[str, tuple[Scalar, ...]]:
        for name, values in grid.items():
            distinct(values, name)
        return grid

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, strategies in BELONGS.items():
            if name in self.model_fields_set and self.strategy not in strategies:
                raise ValueError(
                    f"{name} is for the strategies {', '.join(strategies)}, not {self.strategy}"
                )
        if self.grid and self.space:
            raise ValueError("needs grid or space, not both: space can contain lists, too")
        if self.strategy != "grid" and not self.varied:
            raise ValueError(
                f"{self.strategy} needs a space, such as "
                "{learning_rate: {log_uniform: [0.0001, 0.1]}}"
            )
        drawn = self.strategy in ("random", "bayesian") or (
            self.strategy == "halving" and bool(self.space)
        )
        if drawn and self.max_trials is None:
            raise ValueError(f"{self.strategy} needs max_trials: how many points to try")
        return self

    @property
    def varied(self) -> Mapping[str, Distribution]:
        """The distribution of each varied parameter."""
        return self.space or {name: Distribution(choice=v) for name, v in self.grid.items()}

    @property
    def is_adaptive(self) -> bool:
        """Whether later trials depend on the results of earlier ones."""
        return self.strategy in ADAPTIVE

    @property
    def seconds(self) -> float:
        """`max_time` in seconds; infinite if not set."""
        if isinstance(self.max_time, str):
            return read_duration(self.max_time)
        return math.inf if self.max_time is None else self.max_time
