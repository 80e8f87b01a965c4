"""The names of Great Expectations' own expectations, for `schema.expectations`."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from gristmill.pipelines.base import suggest
from gristmill.pipelines.config.section import Arguments, read_named

SUITES = "expectations"
"""The folder of suites in `experiments/`; a dependency in `dvc.yaml`."""


@cache
def expectation_names() -> frozenset[str]:
    """Return the names of the expectations in the installed Great Expectations.

    They are read from the source, so that checking a file does not import the package.
    """
    spec = importlib.util.find_spec("great_expectations")
    if spec is None or spec.origin is None:
        return frozenset()
    face = Path(spec.origin).parent / "expectations" / "core" / "__init__.py"
    tree = ast.parse(face.read_text(encoding="utf-8"))
    imported = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return frozenset(alias.name for node in imported for alias in node.names)


def unknown_expectation(name: str) -> str:
    """Return the message for a name that is not in `expectation_names`."""
    near = suggest(name, expectation_names(), before="; ")
    return f"Great Expectations has no {name!r}{near}"


def _check_name(entry: Any) -> dict[str, Arguments]:
    name, arguments = read_named(entry)
    if name not in expectation_names():
        raise ValueError(unknown_expectation(name))
    return {name: arguments}


def _check_suite(path: str) -> str:
    folder, *inner = path.split("/")
    if folder != SUITES or not inner or {"", ".", ".."} & {*inner} or not path.endswith(".json"):
        raise ValueError(
            f"must be a JSON file in experiments/{SUITES}/, such as {SUITES}/churn.json"
        )
    return path


Expectation = Annotated[dict[str, Arguments], BeforeValidator(_check_name)]
Suite = Annotated[str, AfterValidator(_check_suite)]
