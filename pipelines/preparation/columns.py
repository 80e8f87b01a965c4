"""The feature columns of a table, and their kinds declared in the experiment file."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterable, Sequence

from gristmill.pipelines.base import ConfigError, Problem, nearest
from gristmill.pipelines.config import Feature, Features, PrepareSections, Split

GIVEN_ROLE = "given_role"
"""The column with each row's role, for data with given test rows."""


def feature_columns(
    present: Iterable[str], features: Features, target: str, split: Split | None = None
) -> list[str]:
    """Return the feature columns: all but the target and those in `features.exclude`.

    Columns with given roles, the key and the group identify rows and are not features either.

    Args:
        present: the columns of the data; the result has their order.
        features: the section `features` of the experiment file.
        target: the target column.
        split: the section `split` of the experiment file, if any.

    Raises:
        ConfigError: no column is left, or an entry of `exclude` matches no column.
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
    """Return the feature columns of an experiment; see `feature_columns`."""
    return feature_columns(present, document.features, document.data.target, document.split)


def added_columns(
    columns: Sequence[str], known: Collection[str] | None, features: Features
) -> list[str]:
    """Return the feature columns that came later and that nobody asked for.

    Args:
        columns: the feature columns.
        known: the columns of the data at the first split; None if they were not recorded.
        features: the section `features` of the experiment file; an entry of its `columns` asks.
    """
    if known is None:
        return []
    asked = features.columns
    return [
        name
        for name in columns
        if name not in known and not any(fnmatch.fnmatchcase(name, entry) for entry in asked)
    ]


def declared_kinds(columns: Sequence[str], features: Features) -> dict[str, Feature]:
    """Return the settings in `features.columns` by feature column.

    An entry with the exact name has priority, then the first matching pattern.

    Raises:
        ConfigError: entries match no feature; all of them are listed.
    """
    problems = [
        Problem(f"features.columns.{entry}", "a feature, or a pattern of features", entry, _hint(n))
        for entry in features.columns
        if entry not in columns and not fnmatch.filter(columns, entry)
        for n in [nearest(entry, columns)]
    ]
    if problems:
        raise ConfigError("features.columns has entries that match no feature", problems=problems)
    patterns = [(p, feature) for p, feature in features.columns.items() if p not in columns]
    found = {name: features.columns[name] for name in columns if name in features.columns}
    for name in columns:
        if name not in found:
            matching = (f for pattern, f in patterns if fnmatch.fnmatchcase(name, pattern))
            found |= dict(zip([name], matching, strict=False))
    return found


def _hint(near: str | None) -> str:
    return f"did you mean {near}?" if near else "the target and excluded columns are not features"
