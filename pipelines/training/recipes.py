"""Recipes as JSON, and a description of the differences between two of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from gristmill.pipelines.config import Recipe

SHORT = 40
"""Largest number of characters of a value that is shown."""

RECIPE = TypeAdapter(Recipe)


def recipe_record(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as a dictionary for JSON; `read_recipe` restores it."""
    record: dict[str, Any] = RECIPE.dump_python(recipe, mode="json", by_alias=True)
    record["metrics"] = record.pop("fit_metrics")
    return record


def read_recipe(record: Mapping[str, Any]) -> Recipe:
    """Return the recipe of a record from `recipe_record`."""
    return RECIPE.validate_json(json.dumps({**record, "fit_metrics": record["metrics"]}))


def recipe_changes(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return the differences between two records that affect a trial's result, one line each.

    A setting that refers to a declared parameter is listed under the parameter's name. Epochs, seed
    and threads are left out: they are compared separately.
    """
    named: dict[str, None] = {}
    parameters = {
        (_shown(earlier["parameters"].get(name)), _shown(value)): name
        for name, value in now["parameters"].items()
        if earlier["parameters"].get(name) != value
    }
    for where, old, new in _differences(_deciding(earlier), _deciding(now), ""):
        follows = parameters.get((_shown(old), _shown(new)))
        named[_words(follows or where, old, new)] = None
    return list(named)


def _deciding(record: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in record.items() if name != "parameters"}
    beside = ("epochs", "seed", "threads")
    kept["training"] = {k: v for k, v in record["training"].items() if k not in beside}
    return kept


def _differences(old: object, new: object, where: str) -> Iterator[tuple[str, object, object]]:
    """Yield the path and both values of each difference between two trees."""
    if isinstance(old, dict) and isinstance(new, dict):
        if len(old) == len(new) == 1 and old.keys() != new.keys():  # another Keras name
            yield where, next(iter(old)), next(iter(new))
            return
        for key in dict.fromkeys([*new, *old]):
            below = f"{where}.{key}".lstrip(".")
            yield from _differences(old.get(key), new.get(key), below)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, pair in enumerate(zip(old, new, strict=True)):
            yield from _differences(*pair, f"{where}.{place}")
    elif old != new:
        yield where, old, new


def _words(where: str, old: object, new: object) -> str:
    texts = _shown(old), _shown(new)
    if all(len(text) <= SHORT for text in texts):
        return f"{where}: {texts[0]} → {texts[1]}"
    if isinstance(old, list) and isinstance(new, list):
        return f"{where}: {len(old)} → {len(new)} entries"
    return f"{where} changed"


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
