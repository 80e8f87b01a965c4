"""Groups: whole in one role, by the best of a thousand seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipelines.config import DataInvalid
from pipelines.preparation.hashing import Hashes, uniform
from pipelines.preparation.split.hashed import SAFE, Codes
from pipelines.preparation.split.record import ROLES, TEST, TRAINING, VALIDATION, RoleCodes
from pipelines.preparation.split.rows import Rows

TRIES = 1_000
"""Seeds of which the best is kept (re-randomisation: Morgan & Rubin 2012)."""

WORK = 50_000_000
"""Groups times seeds that are tried at most: of many groups any seed is near to the shares."""

FEWEST = 10
"""Seeds that are tried in any case."""

SHOWN = 5

Counts = npt.NDArray[np.int64]


def group_hashes(rows: Rows, column: str) -> Hashes:
    """The hash of each row's group: (n_rows,) uint64.

    Raises:
        DataInvalid: rows without a group.
    """
    missing = [
        place.start + row + 1
        for place, batch in rows.batches([column])
        if batch.column(0).null_count
        for row in np.flatnonzero(batch.column(0).is_null())[:SHOWN].tolist()
    ]
    if missing:
        raise DataInvalid(
            f"rows without a group: split.group is the column '{column}'",
            expected="a value in each row",
            found="none in row " + ", ".join(f"{row:,}" for row in missing[:SHOWN])
            + (" and others" if len(missing) > SHOWN else ""),
            next="give each of these rows a group of its own, or leave them out of the data",
        )  # fmt: skip
    return rows.hashes([column])


def best_seed(
    hashes: Hashes, classes: Codes | None, shares: tuple[float, float], first: int
) -> int:
    """The seed whose roles come nearest to the shares, over all rows and within each class.

    Args:
        hashes: (n_rows,) of the groups.
        classes: (n_rows,) codes, or None where classes do not count.
        shares: of test and validation.
        first: the experiment's seed: each has a thousand others to try.
    """
    groups, pairs, kinds, counts = _pairs(hashes, classes)
    wanted = np.array([*shares, 1 - sum(shares)])
    tries = min(TRIES, max(FEWEST, WORK // len(counts)))
    seeds = range(first * TRIES, first * TRIES + tries)
    return min(seeds, key=lambda s: _error(_roles(groups, s, shares)[pairs], kinds, counts, wanted))


def group_roles(hashes: Hashes, seed: int, shares: tuple[float, float]) -> RoleCodes:
    """Each row's role, which follows from its group alone: (n_rows,) int8."""
    return _roles(hashes, seed, shares)


def group_notes(
    rows: Rows, column: str, hashes: Hashes, roles: RoleCodes, shares: tuple[float, float]
) -> list[str]:
    """The achieved shares, and groups that are too big for the role they are in."""
    groups, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    share = np.bincount(roles, minlength=3)[:3] / len(roles)
    wanted = np.array([*shares, 1 - sum(shares)])
    notes = [
        f"{len(groups):,} groups, each whole in one role: "
        + ", ".join(f"{100 * share[r]:.1f} % {ROLES[r]}" for r in (TRAINING, VALIDATION, TEST))
        + f" (asked for {', '.join(f'{100 * wanted[r]:g}' for r in (TRAINING, VALIDATION, TEST))})"
    ]
    big = np.flatnonzero(counts / len(roles) > wanted[roles[first]])
    for place in big[np.argsort(-counts[big])][:SHOWN]:
        value, row = rows.value(column, int(first[place])), first[place]
        notes.append(
            f"too big for the shares: {column} {value} has {counts[place]:,} rows, "
            f"{100 * counts[place] / len(roles):.1f} % of all; it is {ROLES[roles[row]]}"
        )
    return notes


def _pairs(hashes: Hashes, classes: Codes | None) -> tuple[Hashes, Counts, Counts, Counts]:
    """The groups; and for each group and class that meet: both places, and their rows."""
    groups, inverse = np.unique(hashes, return_inverse=True)
    if classes is None:
        return (
            groups,
            np.arange(len(groups)),
            np.zeros(len(groups), dtype=np.int64),
            np.bincount(inverse),
        )
    width = int(classes.max()) + 1
    inverse *= width
    inverse += classes
    met, counts = np.unique(inverse, return_counts=True)
    return groups, met // width, met % width, counts


def _roles(hashes: Hashes, seed: int, shares: Sequence[float]) -> RoleCodes:
    u = uniform(hashes, seed)
    roles = np.full(len(u), TRAINING, dtype=np.int8)
    roles[u < shares[0] + shares[1]] = VALIDATION
    roles[u < shares[0]] = TEST
    return roles


def _error(
    roles: RoleCodes, kinds: Counts, counts: Counts, wanted: npt.NDArray[np.float64]
) -> float:
    """How far roles are from the shares: the worst role, over all rows and on average by class.

    A role that is empty, or has none of a class that is big enough for all, weighs more than all.
    """
    width = int(kinds.max()) + 1
    by_class = np.bincount(roles * np.int64(width) + kinds, counts, 3 * width).reshape(3, width)
    rows = by_class.sum(axis=0)
    whole = by_class.sum(axis=1)
    far = float(np.abs(whole / whole.sum() - wanted).max())
    shares = by_class[:, rows > 0] / rows[rows > 0]
    far += float(np.abs(shares - wanted[:, None]).max(axis=0).mean())
    lacking = int((by_class[:, rows >= SAFE] == 0).sum()) + 10 * int((whole == 0).sum())
    return far + 10 * lacking
