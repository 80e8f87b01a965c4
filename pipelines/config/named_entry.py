"""`Name` or `{Name: {argument: value}}`: how layers, optimizers and estimators are written."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from pydantic import BeforeValidator

from gristmill.pipelines.base import suggest
from gristmill.pipelines.config.known_estimators import check_estimator
from gristmill.pipelines.config.known_names import keras_classes
from gristmill.pipelines.config.section import Arguments, read_named

MIXING = ("CutMix", "MixUp")


def check_keras(kind: str, entry: Any) -> dict[str, Arguments]:
    """Return the entry as `{Name: arguments}`.

    Raises:
        ValueError: `keras.<kind>` has no such name.
    """
    name, arguments = read_named(entry)
    if name in MIXING:
        raise ValueError(
            f"{name} mixes pictures with their labels, but a layer receives only the pictures"
        )
    known = keras_classes(kind)
    if name not in known:
        near = suggest(name, known, before="; ")
        raise ValueError(f"keras.{kind.replace('/', '.')} has no {name!r}{near}")
    return {name: arguments}


def _check_sklearn(entry: Any) -> dict[str, Arguments]:
    name, arguments = read_named(entry)
    check_estimator(name, arguments)
    return {name: arguments}


Layer = Annotated[dict[str, Arguments], BeforeValidator(partial(check_keras, "layers"))]
Optimizer = Annotated[dict[str, Arguments], BeforeValidator(partial(check_keras, "optimizers"))]
Loss = Annotated[dict[str, Arguments], BeforeValidator(partial(check_keras, "losses"))]
Estimator = Annotated[
    dict[str, Arguments],
    BeforeValidator(_check_sklearn, json_schema_input_type=str | dict[str, Arguments | None]),
]
