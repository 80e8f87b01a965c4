"""The leak firewall: every check over the features and the roles."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow.parquet

from pipelines.config import (
    ConfigError,
    DataInvalid,
    Document,
    Problem,
    nearest,
    read_json,
    write_json,
)
from pipelines.validation.leaks.hints import Learnt, row_order, strength
from pipelines.validation.leaks.leak import KINDS, Leak
from pipelines.validation.leaks.means import (
    goals,
    left_out_mean,
    may_be_mean,
    mean_groups,
    own_mean,
)
from pipelines.validation.leaks.proofs import copy, identifier, missingness, recoding
from pipelines.validation.leaks.reading import Looked, Values, look, values, whole_column
from pipelines.validation.leaks.roles import (
    TRAINING,
    Roles,
    duplicates,
    from_the_future,
    in_two_roles,
    near_duplicates,
)

FEW_NUMBERS = 10
"""Different target values up to which a regression is also looked at as if it had classes."""


def require_no_leaks(
    table: Path, roles: Roles, document: Document, features: Sequence[str], report: Path
) -> list[Leak]:
    """Writes what `find_leaks` finds to a report, and stops where something is proven.

    Returns:
        The warnings.

    Raises:
        ConfigError: `features.allow_leaks` names no column.
        DataInvalid: leaks that are proven, all of them.
    """
    found = find_leaks(table, roles, document, features)
    write_json(report, {"leaks": [asdict(leak) for leak in found]})
    errors = [leak for leak in found if leak.severity == "error"]
    if errors:
        raise DataInvalid(
            f"the data tell the target before its time: {len(errors)} leak"
            + "s" * (len(errors) > 1),
            problems=[_problem(leak) for leak in errors],
            next="leave the column out (features.exclude) or mend the data. If it is truly known\n"
            "before the target is, allow it: "
            f"features: {{allow_leaks: [{', '.join(_names(errors))}]}}",
        )
    return found


def read_warnings(report: Path) -> list[str]:
    """The warnings in a report, a line each; none where there is no report."""
    if not report.exists():
        return []
    leaks = [Leak(**{**leak, "rows": tuple(leak["rows"])}) for leak in read_json(report)["leaks"]]
    return [str(leak) for leak in leaks if leak.severity == "warning"]


def find_leaks(
    table: Path, roles: Roles, document: Document, features: Sequence[str]
) -> list[Leak]:
    """Everything in a table and its roles that tells the target, or test rows, too early.

    Of a large table some 200,000 rows are looked at; a proof that they give is held against all
    rows. The target of test rows is read as well: see the package's docstring for why that is no
    leak.

    Args:
        table: Parquet, what ingest made.
        roles: (n_rows,) integers; 0 test, 1 validation, 2 training, else left out.
        document: the experiment file.
        features: the columns that are learnt from.

    Returns:
        Errors first, then in the order of the kinds and of the columns.

    Raises:
        ConfigError: `features.allow_leaks` names no column.
    """
    allowed = _allowed(table, document)
    target = document.data.target
    given = document.split.given
    used = [name for name in features if name not in allowed and name not in (target, given)]
    looked = look(table, features, target)
    found = [*_of_roles(table, looked, roles, document, used, allowed)]
    y = values(target, looked.table[target])
    if y is not None and len(y.levels) > 1 and not (y.codes < 0).any():
        found += _of_columns(table, looked, y, roles, document, used)
    kinds = list(KINDS)
    return sorted(found, key=lambda leak: (leak.severity, kinds.index(leak.kind)))


def _of_roles(
    table: Path,
    looked: Looked,
    roles: Roles,
    document: Document,
    used: Sequence[str],
    allowed: set[str],
) -> Iterator[Leak]:
    split = document.split
    for name, what in ((split.key, "key"), (split.group, "group")):
        if name is not None and name not in allowed:
            yield from _found(in_two_roles(table, name, roles, what))
    if split.time is not None and split.time.column not in allowed:
        yield from _found(from_the_future(table, split.time.column, roles))
    yield from _found(duplicates(looked, roles))
    columns = [values(name, looked.table[name]) for name in used]
    yield from _found(near_duplicates(looked, [c for c in columns if c is not None], roles))


def _of_columns(
    table: Path, looked: Looked, y: Values, roles: Roles, document: Document, used: Sequence[str]
) -> Iterator[Leak]:
    classes = document.data.task == "classification"
    learnt = Learnt(y, roles[looked.places] == TRAINING, classes)
    time = document.split.time
    if time is None:
        yield from _found(row_order(y, looked.places, classes))
    for name in used:
        x = values(name, looked.table[name])
        if x is None or not (x.codes >= 0).any():
            continue
        proof = _proof(table, looked, x, y, document, used)
        leak = proof
        if proof is None or proof.severity == "warning":
            leak = proof or strength(x, learnt)
        yield from _found(leak)


def _proof(
    table: Path, looked: Looked, x: Values, y: Values, document: Document, used: Sequence[str]
) -> Leak | None:
    """The first proof that holds; a recoding is counted out over all rows."""
    classes = document.data.task == "classification"
    time = document.split.time
    if classes or len(y.levels) <= FEW_NUMBERS:
        found = recoding(x, y) or missingness(x, y)
        if found is not None and not looked.whole:
            all_x, all_y = whole_column(table, x.name), whole_column(table, y.name)
            if all_x is not None and all_y is not None:
                return recoding(all_x, all_y) or missingness(all_x, all_y)
        if found is not None:
            return found
    found = None
    if time is None or time.column != x.name:  # dates may order what is to be foretold
        found = identifier(x, y, looked.total, classes) or (None if classes else copy(x, y))
    if found is not None:
        rows = tuple(int(looked.places[row - 1]) + 1 for row in found.rows)
        return replace(found, rows=rows)
    return _mean(table, looked, x, y, document, used)


def _mean(
    table: Path, looked: Looked, x: Values, y: Values, document: Document, used: Sequence[str]
) -> Leak | None:
    classes = document.data.task == "classification"
    for place, goal in enumerate(goals(y, classes)):
        if not may_be_mean(x, goal):
            continue
        all_x, all_goal = x, goal
        if not looked.whole:
            whole_x, whole_y = whole_column(table, x.name), whole_column(table, y.name)
            if whole_x is None or whole_y is None:
                continue
            all_x, all_goal = whole_x, goals(whole_y, classes)[place]
        found = own_mean(all_x, all_goal)
        if found is None:
            found = left_out_mean(all_x, _groups(table, looked, x, used), all_goal)
        if found is not None:
            return found
    return None


def _groups(table: Path, looked: Looked, x: Values, used: Sequence[str]) -> Iterator[Values]:
    for name in used:
        group = values(name, looked.table[name]) if name != x.name else None
        for one in mean_groups([group] if group is not None else []):
            full = one if looked.whole else whole_column(table, name)
            yield from [full] if full is not None else []


def _allowed(table: Path, document: Document) -> set[str]:
    present = pyarrow.parquet.read_schema(table).names
    allowed: set[str] = set()
    problems = []
    for entry in document.features.allow_leaks:
        named = fnmatch.filter(present, entry)
        allowed |= {name for name in named if fnmatch.fnmatchcase(name, entry)}
        if not named:
            near = nearest(entry, present)
            hint = f"did you mean {near}?" if near else ""
            problems.append(Problem("features.allow_leaks", "a column of the data", entry, hint))
    if problems:
        raise ConfigError(
            "features.allow_leaks names columns that the data do not have", problems=problems
        )
    return allowed


def _problem(leak: Leak) -> Problem:
    rows = f" (rows {', '.join(map(str, leak.rows))}, …)" if leak.rows else ""
    return Problem(
        leak.column,
        f"no {leak.kind} leak: {KINDS[leak.kind][1]}",
        leak.words + rows,
        f"allowed by {leak.allowed_by}" if leak.allowed_by else "",
    )


def _names(leaks: Sequence[Leak]) -> list[str]:
    return list(dict.fromkeys(leak.column for leak in leaks))


def _found(leak: Leak | None) -> list[Leak]:
    return [] if leak is None else [leak]
