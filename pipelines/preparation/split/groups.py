"""Split by groups: each group is in one role, by the best of up to a thousand seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.preparation.split.cuts_file import ROLES, RoleCodes
from gristmill.pipelines.preparation.split.hashed import SAFE, Codes
from gristmill.pipelines.tables import Hashes, TableRows, uniform

TRIES = 1_000
"""Largest number of seeds to try; the best is kept (re-randomisation: Morgan & Rubin 2012)."""

WORK = 50_000_000
"""Limit of groups × seeds: with many groups any seed is close to the shares."""

FEWEST = 10
"""Smallest number of seeds to try."""

SHOWN = 5
"""Largest number of groups named in notes."""

Counts = npt.NDArray[np.int64]


def best_seed(hashes: Hashes, classes: Codes | None, shares: Sequence[float], first: int) -> int:
    """Return the seed whose parts are closest to the shares, over all rows and within each class.

    Args:
        hashes: (n_rows,) hashes of the groups.
        classes: (n_rows,) class codes; None without stratification.
        shares: shares of test and validation; or of test and of each fold but the last.
        first: the experiment's seed s; the seeds tried begin with s · `TRIES`.
    """
    groups, pairs, kinds, counts = _pairs(hashes, classes)
    wanted = np.array([*shares, 1 - sum(shares)])
    tries = min(TRIES, max(FEWEST, WORK // len(counts)))
    seeds = range(first * TRIES, first * TRIES + tries)
    return min(
        seeds, key=lambda s: _error(group_parts(groups, s, shares)[pairs], kinds, counts, wanted)
    )


def group_parts(hashes: Hashes, seed: int, shares: Sequence[float]) -> RoleCodes:
    """Return each row's part, which depends only on its group: (n_rows,) int8.

    A part is a role; with folds, 0 is test and i + 1 is fold i.

    Args:
        hashes: (n_rows,) uint64 hashes of the groups.
        seed: result of `best_seed`.
        shares: shares of test and validation; or of test and of each fold but the last.
    """
    ends = np.cumsum(shares)
    return np.searchsorted(ends, uniform(hashes, seed), side="right").astype(np.int8)


def group_notes(
    rows: TableRows,
    column: str,
    hashes: Hashes,
    parts: RoleCodes,
    shares: Sequence[float],
    names: Sequence[str] = ROLES,
) -> list[str]:
    """Return notes on the achieved shares, and on groups that are larger than their part's share.

    Args:
        rows: the table.
        column: the group column.
        hashes: (n_rows,) hashes of the groups.
        parts: (n_rows,) result of `group_parts`.
        shares: requested shares of all parts but the last.
        names: names of the parts.
    """
    groups, first, counts = np.unique(hashes, return_index=True, return_counts=True)
    wanted = np.array([*shares, 1 - sum(shares)])
    share = np.bincount(parts, minlength=len(wanted))[: len(wanted)] / len(parts)
    backward = range(len(wanted) - 1, -1, -1)
    notes = [
        f"{len(groups):,} groups, each whole in one {'role' if names is ROLES else 'fold'}: "
        + ", ".join(f"{100 * share[p]:.1f} % {names[p]}" for p in backward)
        + f" (requested {', '.join(f'{100 * wanted[p]:g}' for p in backward)})"
    ]
    big = np.flatnonzero(counts / len(parts) > wanted[parts[first]])
    for place in big[np.argsort(-counts[big])][:SHOWN]:
        value, row = rows.value(column, int(first[place])), first[place]
        notes.append(
            f"too big for the shares: {column} {value} has {counts[place]:,} rows, "
            f"{100 * counts[place] / len(parts):.1f} % of all; it is {names[parts[row]]}"
        )
    return notes


def _pairs(hashes: Hashes, classes: Codes | None) -> tuple[Hashes, Counts, Counts, Counts]:
    """Return the groups; and for each occurring pair of group and class its indices and rows."""
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


def _error(
    parts: RoleCodes, kinds: Counts, counts: Counts, wanted: npt.NDArray[np.float64]
) -> float:
    """Return the distance of parts from the shares.

    It is the largest error overall, plus the mean over classes of the largest error. An empty part,
    or one without a class of `SAFE` rows or more, outweighs all other errors.
    """
    width, n = int(kinds.max()) + 1, len(wanted)
    by_class = np.bincount(parts * np.int64(width) + kinds, counts, n * width).reshape(n, width)
    rows = by_class.sum(axis=0)
    whole = by_class.sum(axis=1)
    far = float(np.abs(whole / whole.sum() - wanted).max())
    shares = by_class[:, rows > 0] / rows[rows > 0]
    far += float(np.abs(shares - wanted[:, None]).max(axis=0).mean())
    lacking = int((by_class[:, rows >= SAFE] == 0).sum()) + 10 * int((whole == 0).sum())
    return far + 10 * lacking
