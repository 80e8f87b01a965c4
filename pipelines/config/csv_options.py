"""Settings of a text table as options of the command line: `--csv KEY=VALUE`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from gristmill.pipelines.base import ConfigError, nearest
from gristmill.pipelines.config.sections import Csv

OPTION = "--csv KEY=VALUE, such as --csv header=none"
TABS = ("tab", "\\t")


def read_csv_options(texts: Iterable[str]) -> Csv:
    """Return the settings that `--csv KEY=VALUE` options declare.

    Lists have commas between their values (`missing=?,none`), and `units` has pairs
    (`units=weight:kg,price:$`).

    Raises:
        ConfigError: a key is unknown, or a value is invalid.
    """
    settings: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if key not in Csv.model_fields or not equals:
            near = nearest(key, Csv.model_fields)
            raise ConfigError(
                f"--csv has no setting '{key}'" if equals else "--csv needs a key and a value",
                expected=f"{OPTION}; the keys are " + ", ".join(Csv.model_fields),
                found=f"--csv {text}",
                next=f"--csv {near}={value}" if near else "",
            )
        settings[key] = _value(key, value)
    try:
        return Csv.model_validate(settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0]) if first["loc"] else next(iter(settings))
        about = Csv.model_fields[key].description
        raise ConfigError(
            f"--csv {key} cannot have this value",
            expected=str(first["msg"]).removeprefix("Value error, ") + f" ({about})" * bool(about),
            found=f"{key}={settings[key]}",
        ) from error


def _value(key: str, text: str) -> Any:
    """Return a value in the type of its field."""
    kind = str(Csv.model_fields[key].annotation)
    if "tuple" in kind:
        return tuple(part.strip() for part in text.split(","))
    if "dict" in kind:
        pairs = (part.partition(":") for part in text.split(","))
        return {name.strip(): value.strip() for name, _, value in pairs}
    if "int" in kind and text.isdecimal():
        return int(text)
    return "\t" if key == "delimiter" and text in TABS else text
