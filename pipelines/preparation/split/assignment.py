"""Stage split: assign a role to every row by its hash and frozen cuts.

u = hash(seed, identity of the row). When a data set is first split, the rows of each class are
sorted by u and cut so that the shares are exact to one row. The cuts are stored. From then on a
row's role depends on the row only, and appending, deleting or re-ordering rows moves no other row.
With groups the group is hashed; a split by time stores dates instead of cuts; roles given in the
data are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import numpy as np

from gristmill.pipelines.base import ConfigError, nearest
from gristmill.pipelines.config import PrepareSections, Project, Split, load_sections
from gristmill.pipelines.preparation.columns import GIVEN_ROLE, added_columns, features_of
from gristmill.pipelines.preparation.split.cuts_file import (
    ROLES,
    TEST,
    TRAINING,
    VALIDATION,
    Cuts,
    RoleCodes,
    Roles,
    fold_names,
    read_cuts,
    settings_of,
    write_cuts,
)
from gristmill.pipelines.preparation.split.given_roles import given_roles
from gristmill.pipelines.preparation.split.groups import best_seed, group_notes, group_parts
from gristmill.pipelines.preparation.split.hashed import (
    Codes,
    Uniform,
    bin_edges,
    cut,
    cuts_for,
    fold_cuts,
    parts_by,
)
from gristmill.pipelines.preparation.split.role_checks import (
    DISTINCT,
    class_notes,
    fold_notes,
    require_folds,
    require_roles,
    require_values,
    twins,
)
from gristmill.pipelines.preparation.split.roles_file import write_roles
from gristmill.pipelines.preparation.split.shared import owner_of
from gristmill.pipelines.preparation.split.times import dates_for, moments, time_roles
from gristmill.pipelines.tables import (
    Hashes,
    TableRows,
    combine,
    distinct_share,
    occurrences,
    uniform,
)
from gristmill.pipelines.validation import require_no_leaks

Task = Literal["classification", "regression"]
Strata = tuple[Codes, tuple[str, ...]]

MOVABLE = ("validation_from", "test_from", "gap")
"""Settings of a split by time that can change without a new split."""


@dataclass(frozen=True)
class Assigned:
    """Roles of all rows, and the cuts that determine them.

    Attributes:
        cuts: the cuts, new or kept.
        identities: (n_rows,) uint64, identifies a row across versions of the data.
        roles: (n_rows,) int8, indices into `ROLES`.
        notes: remarks for the user.
        folds: (n_rows,) int8, the fold of each row, −1 for test rows; None without folds.
    """

    cuts: Cuts
    identities: Hashes
    roles: RoleCodes
    notes: tuple[str, ...] = ()
    folds: RoleCodes | None = None


def split_table(project: Project, name: str) -> Roles:
    """Run the stage `split`: table → `build/NAME/roles.parquet` and `experiments/NAME.split.json`.

    `roles.parquet` contains, in the order of the table, `role`, `identity`, and `twin`, which marks
    test rows with the same features as a training row. With folds it also contains `fold`, and all
    rows but the test rows are training rows. Only a few numbers per row are held in memory.

    Args:
        project: the project.
        name: name of the experiment.

    Raises:
        DataInvalid: a role or a fold has no rows, a class has no training rows, or a feature leaks
            the target.
    """
    document = load_sections(project, name, PrepareSections)
    file = project.cuts_file(name)
    build = project.build(name)
    table = build / "table.parquet"
    rows = TableRows(table)
    old = read_cuts(file) if file.exists() else None
    owner, theirs = owner_of(project, name, document)
    target, task = document.data.target, document.data.task
    before = theirs or old
    known = before.known if before is not None else None
    features = _asked(features_of(rows.names, owner), known, owner)[0]
    made = assign(rows, target, features, owner.split, task, before)
    cuts = made.cuts
    if theirs is not None:
        cuts = replace(cuts, rule={**cuts.rule, "as": document.split.as_})
    notes, count = list(made.notes), document.split.folds or 0
    if made.folds is None:
        require_roles(made.roles)
    else:
        require_folds(made.folds, count)
    if task == "classification":
        codes, names = rows.labels(target)
        if made.folds is None:
            notes += class_notes(codes, names, made.roles)
        else:
            notes += fold_notes(codes, names, made.folds, count)
    features, added = _asked(features_of(rows.names, document), cuts.known, document)
    if added:
        notes.append(
            "new columns are not features: " + ", ".join(added[:5]) + "…" * (len(added) > 5)
            + f"   (features: {{columns: {{{added[0]}: number}}}} uses one)"
        )  # fmt: skip
    is_content = made.cuts.identity == "content" and made.cuts.columns == tuple(sorted(features))
    content = made.identities if is_content else rows.hashes(features)
    marked, said = twins(content, made.roles)
    require_no_leaks(table, made.roles, document, features, build / "leaks.json", content)
    write_roles(build / "roles.parquet", made.roles, made.identities, marked, made.folds, added)
    if cuts != old:
        write_cuts(file, cuts)
    test, validation, training, gap = np.bincount(made.roles, minlength=len(ROLES)).tolist()
    sizes = () if made.folds is None else np.bincount(made.folds[made.folds >= 0]).tolist()
    return Roles(training, validation, test, gap, (*notes, *said), tuple(sizes))


def assign(
    rows: TableRows, target: str, features: list[str], rule: Split, task: Task, old: Cuts | None
) -> Assigned:
    """Assign a role to each row; return the roles and the cuts.

    Cuts of the same rule are kept, and cuts of new strata are added.

    Args:
        rows: the table.
        target: the target column.
        features: the feature columns.
        rule: the section `split` of the experiment file.
        task: `classification` or `regression`.
        old: the cuts in the split file; None for the first split.

    Raises:
        ConfigError: a column that the split needs does not exist, or a date was moved backward.
        DataInvalid: rows have no group, date or role.
    """
    settings = settings_of(rule, target)
    identities: Hashes | None = None
    _require_named(rows, rule)
    if old is None or not _same_rule(old, settings):
        known = {*rows.names} if old is None else old.known
        old, identities = _fresh(rows, target, features, rule, task)
        if known is not None:
            old = replace(old, others=tuple(sorted(known.difference(old.columns))))
    _require(rows, [*old.columns, target])
    old = replace(old, rule=settings)
    if identities is None:
        identities = _identities(rows, old)
    if rule.group is not None:
        return _by_group(rows, target, rule, task, old, identities)
    if rule.time is not None:
        when = moments(rows, rule.time.column)
        dates = dates_for(rule.time, when, _shares(rule), old.dates)
        roles = time_roles(when, dates, rule.time.gap)
        return Assigned(replace(old, dates=dates), identities, roles)
    return _by_hash(rows, target, rule, old, identities)


def _by_hash(rows: TableRows, target: str, rule: Split, old: Cuts, identities: Hashes) -> Assigned:
    codes, names = _strata(rows, target, rule, old)
    u = uniform(identities, rule.seed)
    if rule.test != "given":
        cuts = replace(old, cuts=cuts_for(u, codes, names, old.cuts, _cutter(rule)))
        return _assigned(cuts, identities, rule, parts_by(u, codes, names, cuts.cuts))
    roles = given_roles(rows, rule.given or GIVEN_ROLE)
    if rule.folds:
        roles[roles == VALIDATION] = TRAINING
    trained = np.flatnonzero(roles == TRAINING)
    first = not old.cuts and not (roles == VALIDATION).any()
    parts = roles
    if old.cuts or first:
        mine = codes[trained]
        old = replace(old, cuts=cuts_for(u[trained], mine, names, old.cuts, _cutter(rule)))
        parts[trained] = parts_by(u[trained], mine, names, old.cuts)
    return _assigned(old, identities, rule, parts)


def _cutter(rule: Split) -> Callable[[Uniform], tuple[float, ...]]:
    """Return the function that computes the cuts of one stratum."""
    test = 0.0 if rule.test == "given" else float(rule.test)
    if rule.folds:
        return partial(fold_cuts, test=test, folds=rule.folds)
    return partial(cut, test=test, validation=rule.validation)


def _assigned(
    cuts: Cuts, identities: Hashes, rule: Split, parts: RoleCodes, notes: Sequence[str] = ()
) -> Assigned:
    """Convert parts to roles and folds. Parts are roles; with folds, 0 is test and i + 1 fold i."""
    if not rule.folds:
        return Assigned(cuts, identities, parts, tuple(notes))
    roles = np.where(parts > 0, TRAINING, TEST).astype(np.int8)
    return Assigned(cuts, identities, roles, tuple(notes), (parts - 1).astype(np.int8))


def _by_group(
    rows: TableRows, target: str, rule: Split, task: Task, old: Cuts, identities: Hashes
) -> Assigned:
    column = str(rule.group)
    require_values(rows, column, "group", "split.group")
    hashes = rows.hashes([column])
    shares: tuple[float, ...] = _shares(rule)
    if rule.folds:
        shares = (shares[0], *((1 - shares[0]) / rule.folds for _ in range(rule.folds - 1)))
    if old.seed is None:
        counted = rule.stratify and task == "classification"
        classes = rows.labels(target)[0] if counted else None
        old = replace(old, seed=best_seed(hashes, classes, shares, rule.seed))
        old = replace(old, cuts={"all": tuple(np.cumsum(shares).tolist())})
    parts = group_parts(hashes, int(old.seed or 0), shares)
    names = fold_names(rule.folds) if rule.folds else ROLES
    notes = group_notes(rows, column, hashes, parts, shares, names)
    return _assigned(old, identities, rule, parts, notes)


def _same_rule(old: Cuts, settings: dict[str, object]) -> bool:
    """Return whether cuts are of these settings, apart from the dates of a split by time."""

    def fixed(rule: object) -> object:
        if not isinstance(rule, dict) or not isinstance(rule.get("time"), dict):
            return rule
        time = {k: v for k, v in rule["time"].items() if k not in MOVABLE}
        return {**rule, "time": time}

    return fixed(dict(old.rule)) == fixed(settings)


def _asked(
    features: list[str], known: set[str] | None, document: PrepareSections
) -> tuple[list[str], list[str]]:
    """Return the feature columns to use, and those that came later without being asked for."""
    added = added_columns(features, known, document.features)
    return [name for name in features if name not in added], added


def _fresh(
    rows: TableRows, target: str, features: list[str], rule: Split, task: Task
) -> tuple[Cuts, Hashes]:
    """Return an empty set of cuts for a first split, and the identities of the rows."""
    identity: Literal["key", "content", "occurrence"] = "key"
    columns = [rule.key] if rule.key else features
    identities = rows.hashes(columns)
    if not rule.key:
        identity = "content" if distinct_share(identities) >= DISTINCT else "occurrence"
        if identity == "occurrence":
            columns = [*features, target]
    edges: tuple[float, ...] = ()
    if rule.stratify and task == "regression" and not (rule.group or rule.time):
        edges = bin_edges(rows.numbers(target))
    cuts = Cuts({}, identity, tuple(sorted(columns)), edges, {})
    return cuts, _identities(rows, cuts) if identity == "occurrence" else identities


def _identities(rows: TableRows, cuts: Cuts) -> Hashes:
    hashes = rows.hashes(cuts.columns)
    if cuts.identity == "occurrence":
        return combine(hashes, occurrences(hashes))
    return hashes


def _strata(rows: TableRows, target: str, rule: Split, cuts: Cuts) -> Strata:
    if not rule.stratify:
        return np.zeros(rows.count, dtype=np.int32), ("all",)
    if cuts.edges:
        bins = np.searchsorted(cuts.edges, rows.numbers(target), side="right")
        return bins.astype(np.int32), tuple(f"bin {i}" for i in range(len(cuts.edges) + 1))
    return rows.labels(target)


def _shares(rule: Split) -> tuple[float, float]:
    return (0.0 if rule.test == "given" else float(rule.test), rule.validation)


def _require_named(rows: TableRows, rule: Split) -> None:
    """Raise ConfigError if a column named in the section `split` does not exist."""
    named = {"split.key": rule.key, "split.group": rule.group}
    named["split.time.column"] = rule.time.column if rule.time else None
    if rule.test == "given":
        named["split.given"] = rule.given or GIVEN_ROLE
    for where, column in named.items():
        if column is not None and column not in rows.names:
            near = nearest(column, rows.names)
            raise ConfigError(
                f"{where}: the data have no column '{column}'",
                expected="one of " + ", ".join(rows.names[:10]) + " …" * (len(rows.names) > 10),
                found=column,
                next=f"did you mean {near}?" if near else "",
            )


def _require(rows: TableRows, columns: list[str]) -> None:
    absent = [column for column in columns if column not in rows.names]
    if absent:
        raise ConfigError(
            "the split was made on columns that the data no longer have",
            expected=", ".join(absent[:10]),
            found="columns " + ", ".join(map(str, rows.names[:10])),
            next="delete the split file for a new split, in which any row can change its role",
        )
