"""What must hold of any split: rows in every role, classes that can be learnt; and twins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.base import DataInvalid, Problem
from gristmill.pipelines.preparation.split.cuts_file import (
    ROLES,
    TEST,
    TRAINING,
    VALIDATION,
    RoleCodes,
)
from gristmill.pipelines.preparation.split.hashed import SAFE, Codes
from gristmill.pipelines.tables import Flags, Hashes, distinct_share

DISTINCT = 0.9
"""Share of distinct rows below which equal rows are told apart by their occurrence."""

SHOWN = 12


def require_roles(roles: RoleCodes) -> None:
    """Raises DataInvalid where training, validation or test has no rows."""
    counts = np.bincount(roles, minlength=len(ROLES))
    empty = [ROLES[role] for role in (TRAINING, VALIDATION, TEST) if not counts[role]]
    if empty:
        raise DataInvalid(
            "a role has no rows",
            expected="rows for training, validation and test",
            found=f"none for {' and '.join(empty)} of {len(roles):,} rows: "
            + ", ".join(f"{counts[role]:,} {name}" for role, name in enumerate(ROLES)),
            next="bring more rows, or mend the section split of the experiment file",
        )


def class_notes(codes: Codes, names: Sequence[str], roles: RoleCodes) -> list[str]:
    """Classes that lack rows for testing or validation, in words.

    Raises:
        DataInvalid: classes that have rows, but none to train on.
    """
    width = len(ROLES)
    table = np.bincount(codes * np.int64(width) + roles, minlength=len(names) * width)
    table = table.reshape(-1, width)[:, :3]
    present = table.sum(axis=1) > 0
    lost = _by_name(names, present & (table[:, TRAINING] == 0))
    if lost:
        raise DataInvalid(
            "some classes have no rows to train on",
            problems=[
                Problem(f"{names[i]}: {_rows(table[i].sum())}", "training rows", _lacks(table[i]))
                for i in lost
            ],
            next=f"bring more rows of them ({SAFE} or more are safe), or leave these classes "
            "out of the data",
        )
    thin = _by_name(names, present & (table == 0).any(axis=1))
    if not thin:
        return []
    shown = [f"{names[i]} ({_rows(table[i].sum())}, {_lacks(table[i])})" for i in thin[:SHOWN]]
    more = f" and {len(thin) - SHOWN} more" if len(thin) > SHOWN else ""
    return [
        f"classes that are not in every role: {', '.join(shown)}{more}; what they lack is not "
        f"measured: bring {SAFE} rows or more of each, or leave them out of the data"
    ]


def twins(content: Hashes, roles: RoleCodes) -> tuple[Flags, list[str]]:
    """Test rows of which a training row has the very same features: (n_rows,) bool, and notes.

    They stay in their role, and the evaluation leaves them out. Where fewer than `DISTINCT` of the
    rows are distinct (a table of few categories), equal rows are no leak and none is marked.

    Args:
        content: (n_rows,) hashes of the features.
        roles: (n_rows,).

    Raises:
        DataInvalid: no test row is left.
    """
    marked = np.zeros(len(roles), dtype=np.bool_)
    if (share := distinct_share(content)) < DISTINCT:
        return marked, [
            f"{100 * share:.0f} % of the rows are distinct: equal rows are told apart, and test "
            "rows that equal training rows count"
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
            expected="test rows whose features equal those of no training row",
            found=f"{seen:,} of {len(test):,} test rows equal a training row",
            next="leave the copies out of the data, or set split.group to what they share",
        )
    if not seen:
        return marked, []
    return marked, [f"{seen:,} of {len(test):,} test rows left out: seen in training"]


def _by_name(names: Sequence[str], marked: Flags) -> list[int]:
    return sorted(np.flatnonzero(marked).tolist(), key=lambda place: names[place])


def _rows(count: int) -> str:
    return f"{count:,} row" + "s" * int(count != 1)


def _lacks(counts: npt.NDArray[np.int64]) -> str:
    return "none for " + " and ".join(ROLES[role] for role in np.flatnonzero(counts == 0))
