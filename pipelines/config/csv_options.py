"""Settings of the data on the command line: `--csv KEY=VALUE`, `--pictures KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gristmill.pipelines.base import ConfigError, nearest
from gristmill.pipelines.config.sections import Csv, Pictures

TABS = ("tab", "\\t")

T = TypeVar("T", bound=BaseModel)


def read_csv_options(texts: Iterable[str]) -> Csv:
    """Return the settings that `--csv KEY=VALUE` options declare.

    Lists have commas between their values (`missing=?,none`), and `units` has pairs
    (`units=weight:kg,price:$`).

    Raises:
        ConfigError: a key is unknown, or a value is invalid.
    """
    return _read(Csv, "--csv", "header=none", texts)


def read_picture_options(texts: Iterable[str]) -> Pictures:
    """Return the settings that `--pictures KEY=VALUE` options declare, such as `range=0,1`.

    Raises:
        ConfigError: a key is unknown, or a value is invalid.
    """
    return _read(Pictures, "--pictures", "range=0,1", texts)


def _read(section: type[T], option: str, example: str, texts: Iterable[str]) -> T:
    known = section.model_fields
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if key not in known or not equals:
            near = nearest(key, known)
            raise ConfigError(
                f"{option} has no setting '{key}'"
                if equals
                else f"{option} needs a key and a value",
                expected=f"{option} KEY=VALUE, such as {option} {example}; the keys are "
                + ", ".join(known),
                found=f"{option} {text}",
                next=f"{option} {near}={value}" if near else "",
            )
        settings[key] = _value(str(known[key].annotation), key, value)
    try:
        return section.model_validate(settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0]) if first["loc"] else next(iter(settings))
        about = known[key].description
        raise ConfigError(
            f"{option} {key} cannot have this value",
            expected=str(first["msg"]).removeprefix("Value error, ") + f" ({about})" * bool(about),
            found=f"{key}={settings[key]}",
        ) from error


def _value(kind: str, key: str, text: str) -> Any:
    """Return a value in the type of its field."""
    if "float" in kind:
        with suppress(ValueError):
            return tuple(float(part) for part in text.split(","))
    if "tuple" in kind:
        return tuple(part.strip() for part in text.split(","))
    if "dict" in kind:
        pairs = (part.partition(":") for part in text.split(","))
        return {name.strip(): value.strip() for name, _, value in pairs}
    if ("int" in kind or "Literal[1" in kind) and text.isdecimal():
        return int(text)
    return "\t" if key == "delimiter" and text in TABS else text
