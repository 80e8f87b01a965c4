"""The leak firewall: all checks of the features and the roles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from gristmill.pipelines.base import (
    ConfigError,
    DataInvalid,
    Problem,
    read_json,
    suggest,
    write_json,
)
from gristmill.pipelines.config import PrepareSections
from gristmill.pipelines.tables import Hashes, TableRows, column_names
from gristmill.pipelines.validation.leaks import means, proofs, role_leaks
from gristmill.pipelines.validation.leaks.formulas import formula
from gristmill.pipelines.validation.leaks.hints import Learnt, row_order, strength
from gristmill.pipelines.validation.leaks.leak import KINDS, ORDERED, ROW_ORDER, Leak
from gristmill.pipelines.validation.leaks.reading import Looked, Values, look, values, whole_column
from gristmill.pipelines.validation.leaks.role_leaks import TRAINING, Roles

FEW_NUMBERS = 10
"""Different target values up to which a regression is also checked like a classification."""


def require_no_leaks(
    table: Path,
    roles: Roles,
    document: PrepareSections,
    features: Sequence[str],
    report: Path,
    hashes: Hashes | None = None,
) -> list[Leak]:
    """Write the leaks to a report, and raise if one is proven.

    Args:
        table: Parquet file written by the stage `ingest`.
        roles: (n_rows,) integers; 0 test, 1 validation, 2 training, others unused.
        document: the experiment file.
        features: the feature columns.
        report: JSON file to write.
        hashes: (n_rows,) uint64 hashes of all features, if known.

    Returns:
        The warnings.

    Raises:
        ConfigError: an entry of `features.allow_leaks` matches no column.
        DataInvalid: there are proven leaks; all are listed.
    """
    found = find_leaks(table, roles, document, features, hashes)
    write_json(report, {"leaks": [asdict(leak) for leak in found]})
    errors = [leak for leak in found if leak.severity == "error"]
    if errors:
        raise DataInvalid(
            f"the data leak the target or the test rows: {len(errors)} leak"
            + "s" * (len(errors) > 1),
            problems=[_problem(leak) for leak in errors],
            next="\n".join(_next(errors)),
        )
    return found


def _next(errors: Sequence[Leak]) -> Iterator[str]:
    """Yield the lines to type, for columns and for the order of the rows."""
    if any(leak.kind == ROW_ORDER for leak in errors):
        yield from ORDERED
    if named := ", ".join(dict.fromkeys(leak.column for leak in errors if leak.column)):
        yield "correct the data or the split, or exclude the column (features.exclude)."
        yield "If a column is known before the target, allow it: "
        yield f"features: {{allow_leaks: [{named}]}}"


def read_warnings(report: Path) -> list[str]:
    """Return the warnings in a report, a line each; none if there is no report."""
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
    """Find everything in a table and its roles that reveals the target or test rows too early.

    For a large table, about 200,000 rows are sampled; a proof on them is verified on all rows. The
    target of test rows is read as well; the docstring of the package explains why that is no leak.

    Args:
        table: Parquet file written by the stage `ingest`.
        roles: (n_rows,) integers; 0 test, 1 validation, 2 training, others unused.
        document: the experiment file.
        features: the feature columns; pictures are not checked.
        hashes: (n_rows,) uint64 hashes of all features, if known.

    Returns:
        The leaks: errors first, then by kind and by column.

    Raises:
        ConfigError: an entry of `features.allow_leaks` matches no column.
    """
    allowed = _allowed(table, document)
    target = document.data.target
    rows = TableRows(table)
    features = [name for name in features if rows.storage(name) != "picture"]
    given = document.split.given
    used = [name for name in features if name not in allowed and name not in (target, given)]
    looked = look(table, features, target, hashes)
    found = list(_of_roles(table, roles, document, allowed))
    columns = [x for name in used if (x := values(name, looked.table[name])) is not None]
    if used:
        found.append(role_leaks.duplicates(looked, roles))
        found.append(role_leaks.near_duplicates(looked, columns, roles))
    y = values(target, looked.table[target])
    if y is not None and len(y.levels) > 1 and not (y.codes < 0).any():
        found += _of_columns(table, looked, y, columns, roles, document)
        split = document.split
        if columns and not split.time and not split.group:  # pictures are ordered by their folders
            stops = split.test != "given" and ROW_ORDER not in allowed
            classes = document.data.task == "classification"
            found.append(row_order(y, looked.places, classes, columns, stops=stops))
    kinds, leaks = list(KINDS), [leak for leak in found if leak is not None]
    return sorted(leaks, key=lambda leak: (leak.severity, kinds.index(leak.kind)))


def _of_roles(
    table: Path, roles: Roles, document: PrepareSections, allowed: set[str]
) -> Iterator[Leak | None]:
    split = document.split
    for name, what in ((split.key, "key"), (split.group, "group")):
        if name is not None and name not in allowed:
            yield role_leaks.in_two_roles(table, name, roles, what)
    if split.time is not None and split.time.column not in allowed:
        yield role_leaks.from_the_future(table, split.time.column, roles)


@dataclass(frozen=True)
class _Subject:
    """What the columns of a table are compared with.

    Attributes:
        table: the Parquet file.
        looked: the sampled rows.
        y: the target of these rows.
        columns: the feature columns of these rows.
        classes: whether the task is classification.
        dated: the column of a split by time.
    """

    table: Path
    looked: Looked
    y: Values
    columns: Sequence[Values]
    classes: bool
    dated: str | None

    def both_whole(self, name: str) -> tuple[Values, Values] | None:
        """Return a column and the target of all rows; None if the sample has all rows."""
        if self.looked.whole:
            return None
        x, y = whole_column(self.table, name), whole_column(self.table, self.y.name)
        return (x, y) if x is not None and y is not None else None


def _of_columns(
    table: Path,
    looked: Looked,
    y: Values,
    columns: Sequence[Values],
    roles: Roles,
    document: PrepareSections,
) -> Iterator[Leak | None]:
    classes, time = document.data.task == "classification", document.split.time
    subject = _Subject(table, looked, y, columns, classes, time.column if time else None)
    learnt = Learnt(y, roles[looked.places] == TRAINING, classes)
    exact = _formula(subject)
    for x in columns:
        found = None
        if (x.codes >= 0).any():
            found = _proof(subject, x) or _mean(subject, x) or strength(x, learnt)
        if exact is not None and exact.column == x.name:
            found = found if found and found.severity == "error" else exact
        yield found


def _proof(subject: _Subject, x: Values) -> Leak | None:
    """Return the first proof that holds; a recoding is verified on all rows."""
    y, looked = subject.y, subject.looked
    if subject.classes or len(y.levels) <= FEW_NUMBERS:
        found = proofs.recoding(x, y) or proofs.missingness(x, y)
        if found is not None and (whole := subject.both_whole(x.name)) is not None:
            return proofs.recoding(*whole) or proofs.missingness(*whole)
        if found is not None:
            return found
    if x.name == subject.dated:  # dates can order a target that changes with time
        return None
    found = proofs.identifier(x, y, looked.total, subject.classes)
    if found is None and not subject.classes:
        found = proofs.copy(x, y)
    if found is None:
        return None
    return replace(found, rows=tuple(int(looked.places[row - 1]) + 1 for row in found.rows))


def _formula(subject: _Subject) -> Leak | None:
    """Return the leak of columns whose sum is the target, verified on all rows."""
    if subject.classes:
        return None
    found = formula(subject.y, subject.columns)
    if found is None or subject.looked.whole:
        return found
    y = whole_column(subject.table, subject.y.name)
    whole = [whole_column(subject.table, x.name) for x in subject.columns]
    return formula(y, [x for x in whole if x is not None]) if y is not None else None


def _mean(subject: _Subject, x: Values) -> Leak | None:
    """Return the leak of a column with the target's mean by level, verified on all rows."""
    for goal in means.numeric_targets(subject.y, subject.classes):
        if not means.may_be_mean(x, goal):
            continue
        all_x, all_goal = x, goal
        if (whole := subject.both_whole(x.name)) is not None:
            all_x, everywhere = whole[0], means.numeric_targets(whole[1], subject.classes)
            all_goal = next(one for one in everywhere if one.name == goal.name)
        groups = _groups(subject, x.name)
        found = means.own_mean(all_x, all_goal) or means.left_out_mean(all_x, groups, all_goal)
        if found is not None:
            return found
    return None


def _groups(subject: _Subject, name: str) -> Iterator[Values]:
    """Yield all rows of the columns with levels, except one column."""
    for group in subject.columns:
        if group.name != name and means.is_group(group):
            whole = group if subject.looked.whole else whole_column(subject.table, group.name)
            yield from [whole] if whole is not None else []


def _allowed(table: Path, document: PrepareSections) -> set[str]:
    present = column_names(table)
    named = {
        entry: {name for name in (*present, ROW_ORDER) if fnmatchcase(name, entry)}
        for entry in document.features.allow_leaks
    }
    problems = [
        Problem("features.allow_leaks", "a column of the data", entry, suggest(entry, present))
        for entry, found in named.items()
        if not found
    ]
    if problems:
        raise ConfigError(
            "features.allow_leaks names columns that the data do not have", problems=problems
        )
    return set().union(*named.values())


def _problem(leak: Leak) -> Problem:
    rows = f" (rows {', '.join(map(str, leak.rows))}, …)" if leak.rows else ""
    return Problem(
        leak.column or "the rows",
        f"no {leak.kind} leak: {KINDS[leak.kind][1]}",
        leak.words + rows,
        f"allowed by {leak.allowed_by}" if leak.allowed_by else "",
    )
