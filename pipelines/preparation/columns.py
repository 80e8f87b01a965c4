"""Which columns of a table are features."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from pipelines.config import ConfigError, Features


def feature_columns(present: Iterable[str], features: Features, target: str) -> list[str]:
    """All columns but the target and what `features.exclude` names, in the data's order.

    Raises:
        ConfigError: none is left, or an entry of `exclude` names no column.
    """
    columns = [str(name) for name in present]
    idle = [p for p in features.exclude if not fnmatch.filter(columns, p)]
    if idle:
        raise ConfigError(
            "features.exclude names columns that the data do not have",
            expected="columns or patterns of columns",
            found=", ".join(idle),
        )
    left = [
        name
        for name in columns
        if name != target and not any(fnmatch.fnmatchcase(name, p) for p in features.exclude)
    ]
    if not left:
        raise ConfigError("no column is left to learn from", expected="a feature", found="none")
    return left
