"""YAML 1.2, read as DVC reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gristmill.pipelines.base.errors import ConfigError


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML 1.2 mapping as DVC reads it.

    Raises:
        ConfigError: The file is not YAML, or not a mapping.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    where = f"{path.parent.name}/{path.name}"
    try:
        content = YAML(typ="safe", pure=True).load(path)
        YAML(typ="safe").load(path)  # DVC's scanner is stricter: {a: b:c} needs quotes
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(
            f"{where} is not valid YAML{line}",
            expected="YAML 1.2, each key once",
            found=" ".join(str(error.problem or error.context or error).split()),
            next='put text that contains a colon in quotes: "recall:yes"'
            if "':'" in str(error.problem)
            else "",
        ) from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{where} is not valid YAML",
            expected="UTF-8 text in YAML 1.2",
            found=" ".join(str(error).split())[:200],
        ) from error
    if not isinstance(content, dict):
        kind = "an empty file" if content is None else type(content).__name__
        raise ConfigError(f"{where} is not an experiment", expected="a mapping", found=kind)
    return content
