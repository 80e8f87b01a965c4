"""Which columns of a table are features, and of which kind the experiment file says they are."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from pipelines.config import ConfigError, Feature, Features, Problem
from pipelines.config.names import nearest


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


def declared_kinds(columns: Sequence[str], features: Features) -> dict[str, Feature]:
    """What `features.columns` says of feature columns: an exact name first, else the first pattern.

    Raises:
        ConfigError: an entry names no feature; all such entries are listed.
    """
    problems = [
        Problem(f"features.columns.{entry}", "a feature, or a pattern of features", entry, _hint(n))
        for entry in features.columns
        if entry not in columns and not fnmatch.filter(columns, entry)
        for n in [nearest(entry, columns)]
    ]
    if problems:
        raise ConfigError("features.columns names what is no feature", problems=problems)
    patterns = [(p, feature) for p, feature in features.columns.items() if p not in columns]
    found = {name: features.columns[name] for name in columns if name in features.columns}
    for name in columns:
        if name not in found:
            matching = (f for pattern, f in patterns if fnmatch.fnmatchcase(name, pattern))
            found |= dict(zip([name], matching, strict=False))
    return found


def _hint(near: str | None) -> str:
    return f"did you mean {near}?" if near else "the target and excluded columns are no features"
