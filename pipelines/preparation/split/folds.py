"""Folds: every row that is not for testing validates once and trains in all other folds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gristmill.pipelines.base import DataInvalid, Problem
from gristmill.pipelines.preparation.split.cuts_file import TEST, TRAINING, RoleCodes
from gristmill.pipelines.preparation.split.hashed import Codes

SHOWN = 12


def fold_names(folds: int) -> tuple[str, ...]:
    """Of the parts that a table is cut into: test, and each fold."""
    return ("test", *(f"fold {fold}" for fold in range(folds)))


def folds_of(parts: RoleCodes) -> tuple[RoleCodes, RoleCodes]:
    """Roles and folds, both (n_rows,) int8, of parts: 0 for test, i + 1 for fold i."""
    roles = np.where(parts > 0, TRAINING, TEST).astype(np.int8)
    return roles, (parts - 1).astype(np.int8)


def require_folds(folds: RoleCodes, count: int) -> None:
    """Raises DataInvalid where test or a fold has no rows."""
    sizes = np.bincount(folds + 1, minlength=count + 1)
    names = fold_names(count)
    empty = [names[part] for part in np.flatnonzero(sizes == 0)]
    if empty:
        raise DataInvalid(
            "a part of the split has no rows",
            expected=f"rows for testing and in each of {count} folds",
            found=f"none for {', '.join(empty)} of {len(folds):,} rows",
            next="bring more rows, or mend split.folds in the experiment file",
        )


def fold_notes(codes: Codes, names: Sequence[str], folds: RoleCodes, count: int) -> list[str]:
    """Classes that are not in test and in every fold, in words.

    Raises:
        DataInvalid: classes whose rows are all for testing or in one fold: where that fold
            validates, there are none to train on.
    """
    width = count + 1
    table = np.bincount(codes * np.int64(width) + folds + 1, minlength=len(names) * width)
    table = table.reshape(-1, width)
    rows, held = table.sum(axis=1), (table[:, 1:] > 0).sum(axis=1)
    by_name = sorted(range(len(names)), key=lambda place: names[place])
    lost = [place for place in by_name if rows[place] and held[place] < 2]
    if lost:
        raise DataInvalid(
            "some classes have no rows to train on in some fold",
            problems=[
                Problem(
                    f"{names[place]}: {rows[place]:,} row" + "s" * int(rows[place] != 1),
                    "rows in two folds or more",
                    f"rows in {held[place]} fold" + "s" * int(held[place] != 1),
                )
                for place in lost
            ],
            next="bring more rows of them, or leave these classes out of the data",
        )
    thin = [names[i] for i in by_name if rows[i] and (table[i] == 0).any()]
    if not thin:
        return []
    more = f" and {len(thin) - SHOWN} more" if len(thin) > SHOWN else ""
    return [f"classes that are not in test and every fold: {', '.join(thin[:SHOWN])}{more}"]
