"""The section `training`: how a model is fitted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from gristmill.pipelines.base import suggest
from gristmill.pipelines.config.known_names import keras_names, log_name
from gristmill.pipelines.config.named_entry import Loss, Optimizer, check_keras
from gristmill.pipelines.config.section import Arguments, Section

EPOCHS = re.compile(r"(\d+(?:\.\d+)?) epochs?")


def read_epochs(value: Any) -> float | None:
    """Return the number in `20 epochs`; None for other values."""
    found = EPOCHS.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) if found else None


class EarlyStopping(Section):
    """Keras's early stopping, with its names; the best weights are restored by default."""

    monitor: str = Field("val_loss", description="value to watch at the end of each epoch")
    min_delta: float = Field(0.0, ge=0, description="least improvement that counts")
    patience: int = Field(5, ge=0, description="epochs without improvement before it stops")
    mode: Literal["auto", "min", "max"] = Field("auto", description="direction of improvement")
    baseline: float | None = Field(None, description="value that must be surpassed")
    start_from_epoch: int = Field(0, ge=0, description="first epochs, which are ignored")
    restore_best_weights: bool = True


class ReduceLROnPlateau(Section):
    """Keras's reduction of the learning rate on a plateau, with its names and defaults."""

    monitor: str = Field("val_loss", description="value to watch at the end of each epoch")
    factor: float = Field(0.1, gt=0, lt=1, description="new learning rate: old one × factor")
    patience: int = Field(10, ge=0, description="epochs without improvement before it")
    min_delta: float = Field(1e-4, ge=0, description="least improvement that counts")
    mode: Literal["auto", "min", "max"] = Field("auto", description="direction of improvement")
    cooldown: int = Field(0, ge=0, description="epochs after it, which are ignored")
    min_lr: float = Field(0.0, ge=0, description="smallest learning rate")


class Training(Section):
    """How a model is fitted."""

    optimizer: Optimizer = Field(
        {"Adam": {}},
        validate_default=True,
        description="learning_rate can be a schedule: {CosineDecay: {decay_steps: 20 epochs, …}}",
    )
    loss: str | Loss | None = Field(
        None, description="also with arguments: {Huber: {delta: 1.5}}; default: depends on the task"
    )
    metrics: tuple[str, ...] | None = Field(
        None, description="metrics of Keras, such as accuracy or recall; default: by the task"
    )
    batch_size: int = Field(32, ge=1)
    epochs: int = Field(100, ge=1)
    class_weight: Literal["balanced"] | dict[str, Annotated[float, Field(gt=0)]] | None = Field(
        None, description="balanced (larger weights for rare classes), or a weight for each class"
    )
    early_stopping: EarlyStopping | None = None
    reduce_lr_on_plateau: ReduceLROnPlateau | None = None
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        "float32", description="type of the layers' computations; weights are always float32"
    )
    seed: int = Field(0, ge=0, lt=2**31)
    threads: int | Literal["auto"] = Field(
        1, description="threads of one trial; part of its identity"
    )

    @property
    def schedule(self) -> Mapping[str, Arguments] | None:
        """The schedule of the learning rate, `{Name: {argument: value}}`, if any."""
        rate = next(iter(self.optimizer.values())).get("learning_rate")
        return rate if isinstance(rate, Mapping) else None

    @model_validator(mode="after")
    def _readable_schedule(self) -> Self:
        if self.schedule is None:
            return self
        entry = check_keras("optimizers/schedules", self.schedule)
        for name, value in next(iter(entry.values())).items():
            counts = value if isinstance(value, list | tuple) else [value]
            wrong = [c for c in counts if isinstance(c, str) and read_epochs(c) is None]
            if wrong and (name.endswith("_steps") or name == "boundaries"):
                raise ValueError(
                    f"{name} counts steps, or epochs as in `20 epochs`; found {wrong[0]!r}"
                )
        if self.reduce_lr_on_plateau is not None:
            raise ValueError(
                "reduce_lr_on_plateau needs a constant learning rate; this one follows a schedule"
            )
        return self

    @field_validator("loss")
    @classmethod
    def _known_loss(cls, loss: Any) -> Any:
        return _known_name("losses", loss) if isinstance(loss, str) else loss

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, metrics: tuple[str, ...] | None) -> tuple[str, ...] | None:
        by_log = {log_name(name): name for name in keras_names("metrics")}
        return metrics and tuple(
            log_name(_known_name("metrics", name, "accuracy", *by_log)) for name in metrics
        )

    @field_validator("threads")
    @classmethod
    def _some_threads(cls, threads: int | str) -> int | str:
        if isinstance(threads, int) and threads < 1:
            raise ValueError("must be 1 or more, or auto")
        return threads


def _known_name(kind: str, name: str, *more: str) -> str:
    known = [*sorted(keras_names(kind)), *more]
    if name not in known:
        raise ValueError(f"keras.{kind} has no {name!r}{suggest(name, known, before='; ')}")
    return name
