"""Split: a role for every row. A hash decides, frozen cuts make it exact.

u = hash(seed, identity of the row). When a data set is first split, each class's rows are ordered
by u and cut where the shares are exact to one row. The cuts are kept; from then on a row's role is
a function of the row alone, and appending, deleting or re-ordering rows moves no other row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from pipelines.config import (
    ConfigError,
    DataInvalid,
    Problem,
    Project,
    Split,
    load_experiment,
    read_json,
    write_json,
    writing,
)
from pipelines.preparation.columns import feature_columns
from pipelines.preparation.hashing import Hashes, combine, occurrences, row_hashes, uniform
from pipelines.validation.leaks import require_no_leaks

TEST, VALIDATION, TRAINING = 0, 1, 2
ROLES = ("test", "validation", "training")

DISTINCT = 0.9
"""Share of distinct rows below which equal rows are told apart by their occurrence."""

BINS = 10
"""Bins of equal count by which a regression target is stratified."""

Stratum = npt.NDArray[np.object_]


@dataclass(frozen=True)
class Cuts:
    """Where the roles begin and end; what stands in `experiments/NAME.split.json`.

    Attributes:
        rule: the settings that the cuts were made with.
        identity: what makes two rows the same row: the key, the content of `columns`, or that
            content and the number of its occurrence.
        columns: the columns that the identity is made of.
        edges: inner edges of the target's bins, for regression.
        cuts: for each stratum (test below the first, validation below the second) in [0, 1].
    """

    rule: Mapping[str, Any]
    identity: Literal["key", "content", "occurrence"]
    columns: tuple[str, ...]
    edges: tuple[float, ...]
    cuts: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Roles:
    """How many rows each role got."""

    training: int
    validation: int
    test: int

    def __str__(self) -> str:
        return f"{self.training:,} training, {self.validation:,} validation, {self.test:,} test"


def split(project: Project, name: str) -> Roles:
    """The stage `split`: the table → `build/NAME/roles.parquet` and `experiments/NAME.split.json`.

    Raises:
        DataInvalid: a class has too few rows to be in every role, or the data tell the target.
    """
    experiment = load_experiment(project, name)
    document = experiment.document
    frame = pd.read_parquet(project.build(name) / "table.parquet", dtype_backend="numpy_nullable")
    features = feature_columns(frame.columns, document.features, document.data.target)
    file = project.cuts_file(name)
    old = read_cuts(file) if file.exists() else None
    strata_of: Literal["classes", "bins"] = (
        "bins" if document.data.task == "regression" else "classes"
    )
    cuts, identities, roles = assign(
        frame, document.data.target, features, document.split, strata_of, old
    )
    report = project.build(name) / "leaks.json"
    require_no_leaks(report.with_name("table.parquet"), roles, document, features, report)
    table = pa.table({"role": roles.astype(np.int8), "identity": identities})
    with writing(project.build(name) / "roles.parquet") as aside:
        pa.parquet.write_table(table, aside, compression="zstd")
    if cuts != old:
        write_json(file, asdict(cuts))
    counts = np.bincount(roles, minlength=3)
    return Roles(int(counts[TRAINING]), int(counts[VALIDATION]), int(counts[TEST]))


def read_cuts(file: Path) -> Cuts:
    """The cuts in a split file.

    Raises:
        ConfigError: the file was damaged.
    """
    try:
        content = read_json(file)
        return Cuts(
            rule=dict(content["rule"]),
            identity=content["identity"],
            columns=tuple(content["columns"]),
            edges=tuple(content["edges"]),
            cuts={str(s): (float(a), float(b)) for s, (a, b) in content["cuts"].items()},
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{file.name} cannot be read",
            expected="rule, identity, columns, edges and cuts",
            found=f"{type(error).__name__}: {error}",
            next="git checkout the file; it must not be edited by hand",
        ) from error


def assign(
    frame: pd.DataFrame,
    target: str,
    features: list[str],
    rule: Split,
    strata_of: Literal["classes", "bins"],
    old: Cuts | None,
) -> tuple[Cuts, Hashes, npt.NDArray[np.int64]]:
    """Roles for all rows, and the cuts that gave them.

    Cuts made under the same rule are kept as they are; strata that they do not know are added.

    Returns:
        The cuts; identities (n_rows,) uint64; roles (n_rows,) int64 of TEST, VALIDATION, TRAINING.
    """
    settings = {**rule.model_dump(), "target": target}
    if old is None or dict(old.rule) != settings:
        old = _fresh(frame, target, features, rule, strata_of, settings)
    absent = [column for column in old.columns if column not in frame.columns]
    if absent:
        raise ConfigError(
            "the split was made on columns that the data no longer have",
            expected=", ".join(absent[:10]),
            found="columns " + ", ".join(map(str, frame.columns[:10])),
            next="delete the split file to split anew: every row may change its role",
        )
    identities = row_hashes(frame, old.columns)
    if old.identity == "occurrence":
        identities = combine(identities, occurrences(identities))
    u = uniform(identities, rule.seed)
    strata = _strata(frame[target], old, rule.stratify)
    known = dict(old.cuts)
    for stratum in sorted(set(strata) - set(known)):
        known[stratum] = cut(u[strata == stratum], float(rule.test), rule.validation)
    cuts = replace(old, cuts=dict(sorted(known.items())))
    bounds = np.array([known[stratum] for stratum in strata]).reshape(len(frame), 2)
    roles = np.where(u < bounds[:, 0], TEST, np.where(u < bounds[:, 1], VALIDATION, TRAINING))
    _require_all_roles(strata, roles)
    return cuts, identities, roles


def cut(u: npt.NDArray[np.float64], test: float, validation: float) -> tuple[float, float]:
    """The two cuts that give one stratum's rows their shares, exact to one row.

    A cut lies half way between two neighbours; equal values of u stay on one side.

    Args:
        u: (n_rows,) in [0, 1).
        test: share in (0, 1).
        validation: share in (0, 1).
    """
    ordered = np.sort(u)
    n = len(ordered)
    ends = (round(n * test), round(n * test) + round(n * validation))
    return _between(ordered, ends[0]), _between(ordered, ends[1])


def _between(ordered: npt.NDArray[np.float64], place: int) -> float:
    """A value with `place` of the ordered values below it, or the nearest that ties allow."""
    n = len(ordered)
    if place <= 0:
        return 0.0
    if place >= n:
        return 1.0
    gaps = np.flatnonzero(ordered[1:] > ordered[:-1]) + 1
    if not len(gaps):
        return 0.0
    best = int(gaps[np.argmin(np.abs(gaps - place))])
    return float((ordered[best - 1] + ordered[best]) / 2)


def _fresh(
    frame: pd.DataFrame,
    target: str,
    features: list[str],
    rule: Split,
    strata_of: str,
    settings: Mapping[str, Any],
) -> Cuts:
    identity: Literal["key", "content", "occurrence"] = "key"
    columns = [rule.key] if rule.key else features
    if not rule.key:
        distinct = len(np.unique(row_hashes(frame, features))) / max(len(frame), 1)
        identity = "content" if distinct >= DISTINCT else "occurrence"
        if identity == "occurrence":
            columns = [*features, target]
    edges: tuple[float, ...] = ()
    if rule.stratify and strata_of == "bins":
        shares = np.linspace(0, 1, BINS + 1)[1:-1]
        values = frame[target].to_numpy(dtype="float64")
        edges = tuple(float(edge) for edge in np.unique(np.quantile(values, shares)))
    return Cuts(dict(settings), identity, tuple(sorted(columns)), edges, {})


def _strata(target: pd.Series[Any], cuts: Cuts, stratify: bool) -> Stratum:
    if not stratify:
        return np.full(len(target), "all", dtype=object)
    if cuts.edges:
        bins = np.searchsorted(cuts.edges, target.to_numpy(dtype="float64"), side="right")
        return np.array([f"bin {index}" for index in bins], dtype=object)
    return np.array([str(label) for label in target], dtype=object)


def _require_all_roles(strata: Stratum, roles: npt.NDArray[np.int64]) -> None:
    counts = pd.crosstab(strata, roles).reindex(columns=[TEST, VALIDATION, TRAINING], fill_value=0)
    problems = [
        Problem(
            f"{stratum}: {int(row.sum())} row" + "s" * (int(row.sum()) != 1),
            "rows in every role",
            "none for " + " and ".join(ROLES[role] for role in row.index[row == 0]),
        )
        for stratum, row in counts.iterrows()
        if (row == 0).any()
    ]
    if problems:
        raise DataInvalid(
            "some classes have fewer rows than the split needs",
            problems=problems,
            next="bring more rows of them (20 or more are safe), leave these classes out of the "
            "data,\nor set split.stratify: false",
        )
