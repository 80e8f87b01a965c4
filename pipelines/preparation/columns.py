"""Which columns of a table are features."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable

from pipelines.config import ConfigError, Features, Split

GIVEN_ROLE = "given_role"
"""The column in which data with test rows of their own say each row's role."""


def feature_columns(
    present: Iterable[str], features: Features, target: str, split: Split | None = None
) -> list[str]:
    """All columns but the target and what `features.exclude` names, in the data's order.

    Columns that say what a row is and not how it is are none: given roles, the key, the group.

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
    kept_out = {target, GIVEN_ROLE}
    if split is not None:
        kept_out |= {name for name in (split.given, split.key, split.group) if name}
    left = [
        name
        for name in columns
        if name not in kept_out and not any(fnmatch.fnmatchcase(name, p) for p in features.exclude)
    ]
    if not left:
        raise ConfigError("no column is left to learn from", expected="a feature", found="none")
    return left
