"""Which columns of a table are features, and of which kind the experiment file says they are."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from gristmill.pipelines.base import ConfigError, Problem, nearest
from gristmill.pipelines.config import Feature, Features, PrepareSections, Split

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
    idle = [p for p in features.exclude if p not in columns and not fnmatch.filter(columns, p)]
    if idle:
        raise ConfigError(
            "features.exclude names columns that the data do not have",
            expected="columns or patterns of columns",
            found=", ".join(idle),
        )
    kept_out = {target, GIVEN_ROLE}
    if split is not None:
        kept_out |= {name for name in (split.given, split.key, split.group) if name}
    patterns = [p for p in features.exclude if p not in columns]
    kept_out |= {*features.exclude}.difference(patterns)
    left = [
        name
        for name in columns
        if name not in kept_out and not any(fnmatch.fnmatchcase(name, p) for p in patterns)
    ]
    if not left:
        raise ConfigError("no column is left to learn from", expected="a feature", found="none")
    return left


def features_of(present: Iterable[str], document: PrepareSections) -> list[str]:
    """The columns that an experiment learns from; see `feature_columns`."""
    return feature_columns(present, document.features, document.data.target, document.split)


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
