"""The leak firewall: every check over the features and the roles."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pyarrow.parquet

from gristmill.pipelines.base import (
    ConfigError,
    DataInvalid,
    Problem,
    nearest,
    read_json,
    write_json,
)
from gristmill.pipelines.config import PrepareSections
from gristmill.pipelines.validation.leaks.hints import Learnt, row_order, strength
from gristmill.pipelines.validation.leaks.leak import KINDS, Leak
from gristmill.pipelines.validation.leaks.means import (
    NumericTarget,
    is_group,
    left_out_mean,
    may_be_mean,
    numeric_targets,
    own_mean,
)
from gristmill.pipelines.validation.leaks.proofs import copy, identifier, missingness, recoding
from gristmill.pipelines.validation.leaks.reading import (
    Hashes,
    Looked,
    Values,
    look,
    values,
    whole_column,
)
from gristmill.pipelines.validation.leaks.role_leaks import (
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
    table: Path,
    roles: Roles,
    document: PrepareSections,
    features: Sequence[str],
    report: Path,
    hashes: Hashes | None = None,
) -> list[Leak]:
    """Writes what `find_leaks` finds to a report, and stops where something is proven.

    Returns:
        The warnings.

    Raises:
        ConfigError: `features.allow_leaks` names no column.
        DataInvalid: leaks that are proven, all of them.
    """
    found = find_leaks(table, roles, document, features, hashes)
    write_json(report, {"leaks": [asdict(leak) for leak in found]})
    errors = [leak for leak in found if leak.severity == "error"]
    if errors:
        raise DataInvalid(
            f"the data tell the target before its time: {len(errors)} leak"
            + "s" * (len(errors) > 1),
            problems=[_problem(leak) for leak in errors],
            next="mend the data or the split, or leave the column out (features.exclude).\n"
            "What is known before the target is can be allowed: "
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
    table: Path,
    roles: Roles,
    document: PrepareSections,
    features: Sequence[str],
    hashes: Hashes | None = None,
) -> list[Leak]:
    """Everything in a table and its roles that tells the target, or test rows, too early.

    Of a large table some 200,000 rows are looked at; a proof that they give is held against all
    rows. The target of test rows is read as well: see the package's docstring for why that is no
    leak.

    Args:
        table: Parquet, what ingest made.
        roles: (n_rows,) integers; 0 test, 1 validation, 2 training, else left out.
        document: the experiment file.
        features: the columns that are learnt from; pictures are not looked at.
        hashes: (n_rows,) uint64 of all features, if they are known already.

    Returns:
        Errors first, then in the order of the kinds and of the columns.

    Raises:
        ConfigError: `features.allow_leaks` names no column.
    """
    allowed = _allowed(table, document)
    target = document.data.target
    schema = pyarrow.parquet.read_schema(table)
    is_picture = pyarrow.types.is_fixed_size_binary
    features = [name for name in features if not is_picture(schema.field(name).type)]
    given = document.split.given
    used = [name for name in features if name not in allowed and name not in (target, given)]
    looked = look(table, features, target, hashes)
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
    document: PrepareSections,
    used: Sequence[str],
    allowed: set[str],
) -> Iterator[Leak]:
    split = document.split
    for name, what in ((split.key, "key"), (split.group, "group")):
        if name is not None and name not in allowed:
            yield from _found(in_two_roles(table, name, roles, what))
    if split.time is not None and split.time.column not in allowed:
        yield from _found(from_the_future(table, split.time.column, roles))
    if not used:
        return
    yield from _found(duplicates(looked, roles))
    columns = [values(name, looked.table[name]) for name in used]
    yield from _found(near_duplicates(looked, [c for c in columns if c is not None], roles))


@dataclass(frozen=True)
class _Subject:
    """What the columns of a table are held against."""

    table: Path
    looked: Looked
    y: Values
    numeric_targets: list[NumericTarget]
    used: Sequence[str]
    classes: bool
    dated: str | None  # the column that a split by time goes by

    def both_whole(self, name: str) -> tuple[Values, Values] | None:
        """A column and the target over all rows."""
        x, y = whole_column(self.table, name), whole_column(self.table, self.y.name)
        return (x, y) if x is not None and y is not None else None


def _of_columns(
    table: Path,
    looked: Looked,
    y: Values,
    roles: Roles,
    document: PrepareSections,
    used: Sequence[str],
) -> Iterator[Leak]:
    classes = document.data.task == "classification"
    time = document.split.time
    dated = time.column if time is not None else None
    subject = _Subject(table, looked, y, numeric_targets(y, classes), used, classes, dated)
    learnt = Learnt(y, roles[looked.places] == TRAINING, classes)
    if time is None and used:  # pictures stand in the order of their folders
        yield from _found(row_order(y, looked.places, classes))
    for name in used:
        x = values(name, looked.table[name])
        if x is not None and (x.codes >= 0).any():
            yield from _found(_proof(subject, x) or _mean(subject, x) or strength(x, learnt))


def _proof(subject: _Subject, x: Values) -> Leak | None:
    """The first proof that holds; a recoding is counted out over all rows."""
    y, looked = subject.y, subject.looked
    if subject.classes or len(y.levels) <= FEW_NUMBERS:
        found = recoding(x, y) or missingness(x, y)
        whole = None if found is None or looked.whole else subject.both_whole(x.name)
        if whole is not None:
            return recoding(*whole) or missingness(*whole)
        if found is not None:
            return found
    if x.name == subject.dated:  # dates may order what is to be foretold
        return None
    found = identifier(x, y, looked.total, subject.classes)
    if found is None and not subject.classes:
        found = copy(x, y)
    if found is None:
        return None
    return replace(found, rows=tuple(int(looked.places[row - 1]) + 1 for row in found.rows))


def _mean(subject: _Subject, x: Values) -> Leak | None:
    """The target's mean by level, counted out over all rows."""
    for goal in subject.numeric_targets:
        if not may_be_mean(x, goal):
            continue
        all_x, all_goal = x, goal
        whole = None if subject.looked.whole else subject.both_whole(x.name)
        if whole is not None:
            all_x, everywhere = whole[0], numeric_targets(whole[1], subject.classes)
            all_goal = next(g for g in everywhere if g.name == goal.name)
        found = own_mean(all_x, all_goal) or left_out_mean(all_x, _groups(subject, x), all_goal)
        if found is not None:
            return found
    return None


def _groups(subject: _Subject, x: Values) -> Iterator[Values]:
    """The other columns that have levels, over all rows."""
    for name in subject.used:
        group = values(name, subject.looked.table[name]) if name != x.name else None
        if group is None or not is_group(group):
            continue
        whole = group if subject.looked.whole else whole_column(subject.table, name)
        yield from [whole] if whole is not None else []


def _allowed(table: Path, document: PrepareSections) -> set[str]:
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
