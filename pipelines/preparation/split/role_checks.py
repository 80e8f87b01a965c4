"""Checks of every split: rows in each part, training rows of each class; and twins."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.base import DataInvalid, Problem
from gristmill.pipelines.preparation.split.cuts_file import (
    ROLES,
    TEST,
    TRAINING,
    RoleCodes,
    fold_names,
)
from gristmill.pipelines.preparation.split.hashed import SAFE, Codes
from gristmill.pipelines.tables import Flags, Hashes, Places, TableRows, distinct_share

DISTINCT = 0.9
"""Share of distinct rows below which equal rows are distinguished by their occurrence."""

SHOWN = 12
"""Largest number of classes named in a message."""

ROWS_SHOWN = 5
"""Largest number of rows named in a message."""


def require_values(rows: TableRows, column: str, what: str, setting: str) -> None:
    """Raise DataInvalid if a column that the split needs has missing values.

    Args:
        rows: the table.
        column: name of the column.
        what: what it contains, for the message: `group` or `date`.
        setting: the setting that names the column, for the message.
    """
    missing = [
        place.start + row + 1
        for place, batch in rows.pieces([column])
        if batch.column(0).null_count
        for row in np.flatnonzero(batch.column(0).is_null()).tolist()
    ]
    if missing:
        raise DataInvalid(
            f"rows without a {what}: {setting} is the column '{column}'",
            expected=f"a {what} in each row",
            found=f"none in {len(missing):,} of {rows.count:,} rows: row "
            + ", ".join(f"{row:,}" for row in missing[:ROWS_SHOWN])
            + " …" * (len(missing) > ROWS_SHOWN),
            next=f"add the {what} of these rows at their source, or remove the rows from the data",
        )


def require_roles(roles: RoleCodes) -> None:
    """Raise DataInvalid if training, validation or test has no rows."""
    _require_parts(roles, ROLES[:3], "a role has no rows")


def require_folds(folds: RoleCodes, count: int) -> None:
    """Raise DataInvalid if test or a fold has no rows."""
    _require_parts(folds + 1, fold_names(count), "a part of the split has no rows")


def _require_parts(parts: npt.NDArray[np.integer], names: Sequence[str], what: str) -> None:
    counts = np.bincount(parts, minlength=len(names)).tolist()
    if not all(counts[: len(names)]):
        sizes = [*zip(names, counts, strict=False)]
        raise DataInvalid(
            what,
            expected=f"rows for {', '.join(names)}",
            found=f"none for {' and '.join(name for name, count in sizes if not count)} "
            f"of {len(parts):,} rows: " + ", ".join(f"{count:,} {name}" for name, count in sizes),
            next="add rows to the data, or fix the section split of the experiment file",
        )


def class_notes(codes: Codes, names: Sequence[str], roles: RoleCodes) -> list[str]:
    """Return a note on classes without test or validation rows, if any.

    Args:
        codes: (n_rows,) indices into `names`.
        names: names of the classes.
        roles: (n_rows,) indices into `ROLES`.

    Raises:
        DataInvalid: classes have no training rows.
    """
    table = _rows_by_class(codes, names, roles, len(ROLES))[:, :3]

    def lacks(place: int) -> str:
        without = np.flatnonzero(table[place] == 0)
        return "none for " + " and ".join(ROLES[role] for role in without)

    _require_trained(names, table, table[:, TRAINING] == 0, "training rows", lacks)
    thin = _without_a_part(names, table)
    shown = [f"{names[i]} ({_plural(table[i].sum(), 'row')}, {lacks(i)})" for i in thin[:SHOWN]]
    return [
        f"classes that are not in every role: {_some(shown, len(thin))}; they are not measured in "
        f"the others: add rows ({SAFE} of each are enough), or remove the classes from the data"
    ] * bool(thin)


def fold_notes(codes: Codes, names: Sequence[str], folds: RoleCodes, count: int) -> list[str]:
    """Return a note on classes that are not in test and in every fold, if any.

    Args:
        codes: (n_rows,) indices into `names`.
        names: names of the classes.
        folds: (n_rows,) fold of each row, −1 for test rows.
        count: number of folds.

    Raises:
        DataInvalid: classes are in fewer than two folds, so that they have no training rows when
            their fold is the validation fold.
    """
    table = _rows_by_class(codes, names, folds + 1, count + 1)
    held = (table[:, 1:] > 0).sum(axis=1)
    _require_trained(
        names,
        table,
        held < 2,
        "rows in two folds or more",
        lambda place: f"rows in {_plural(held[place], 'fold')}",
    )
    thin = _without_a_part(names, table)
    shown = [names[place] for place in thin[:SHOWN]]
    return [f"classes that are not in test and every fold: {_some(shown, len(thin))}"] * bool(thin)


def _rows_by_class(
    codes: Codes, names: Sequence[str], parts: npt.NDArray[np.integer], width: int
) -> Places:
    """Count rows by class and part, (n_classes, n_parts)."""
    counts = np.bincount(codes * np.int64(width) + parts, minlength=len(names) * width)
    return counts.reshape(-1, width)


def _require_trained(
    names: Sequence[str], table: Places, lost: Flags, expected: str, found: Callable[[int], str]
) -> None:
    rows = table.sum(axis=1)
    if places := _by_name(names, lost & (rows > 0)):
        raise DataInvalid(
            "some classes have no rows to train on",
            problems=[
                Problem(f"{names[i]}: {_plural(rows[i], 'row')}", expected, found(i))
                for i in places
            ],
            next=f"add rows of them ({SAFE} of each are enough), or remove these classes "
            "from the data",
        )


def _without_a_part(names: Sequence[str], table: Places) -> list[int]:
    """Return the classes that have rows, but not in every part; sorted by name."""
    return _by_name(names, (table.sum(axis=1) > 0) & (table == 0).any(axis=1))


def _some(shown: Sequence[str], count: int) -> str:
    return ", ".join(shown) + (f" and {count - SHOWN} more" if count > SHOWN else "")


def twins(content: Hashes, roles: RoleCodes) -> tuple[Flags, list[str]]:
    """Mark test rows with the same features as a training row: (n_rows,) bool, and notes.

    They stay in their role, and the evaluation ignores them. If fewer than `DISTINCT` of the rows
    are distinct (a table of few categories), equal rows are no leak, and none is marked.

    Args:
        content: (n_rows,) hashes of the features.
        roles: (n_rows,) indices into `ROLES`.

    Raises:
        DataInvalid: all test rows are marked.
    """
    marked = np.zeros(len(roles), dtype=np.bool_)
    if (share := distinct_share(content)) < DISTINCT:
        return marked, [
            f"{100 * share:.0f} % of the rows are distinct: test rows that equal training rows "
            "are kept"
        ]
    trained = np.sort(content[roles == TRAINING])
    test = np.flatnonzero(roles == TEST)
    place = np.searchsorted(trained, content[test])
    place[place == len(trained)] = 0
    marked[test] = trained[place] == content[test]
    seen = int(marked.sum())
    if seen == len(test):
        raise DataInvalid(
            "every test row was seen in training",
            expected="test rows whose features differ from those of all training rows",
            found=f"{seen:,} of {len(test):,} test rows equal a training row",
            next="remove the copies from the data, or set split.group to a column that they share",
        )
    if not seen:
        return marked, []
    return marked, [f"{seen:,} of {len(test):,} test rows left out: seen in training"]


def _by_name(names: Sequence[str], marked: Flags) -> list[int]:
    return sorted(np.flatnonzero(marked).tolist(), key=lambda place: names[place])


def _plural(count: int, what: str) -> str:
    return f"{count:,} {what}" + "s" * int(count != 1)
