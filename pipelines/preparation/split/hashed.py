"""Split by hash: the rows of each stratum are sorted by u, and cut so that the shares are exact."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.preparation.split.cuts_file import RoleCodes

BINS = 10
"""Bins of equal count by which a regression target is stratified."""

ROWS_A_BIN = 5
"""Least mean number of rows of a bin; of fewer, no role but training gets a row."""

SAFE = 20
"""Number of rows from which a class has at least one row in every role."""

Codes = npt.NDArray[np.int32]
Uniform = npt.NDArray[np.float64]


def cut(u: Uniform, test: float, validation: float) -> tuple[float, float]:
    """Return the two cuts that divide one stratum by the shares, exact to one row.

    A cut is half way between two neighbours; equal values of u stay on one side. From `SAFE` rows
    on each role gets at least one row; with fewer only training is sure to get one.

    Args:
        u: (n_rows,) in [0, 1).
        test: share in [0, 1), 0 if the test rows are given.
        validation: share in (0, 1).
    """
    ordered = np.sort(u)
    n = len(ordered)
    least = int(n >= SAFE)
    for_test = max(round(n * test), least if test else 0)
    end = min(for_test + max(round(n * validation), least), max(n - 1, 0))
    return _between(ordered, min(for_test, end)), _between(ordered, end)


def fold_cuts(u: Uniform, test: float, folds: int) -> tuple[float, ...]:
    """Return the cuts that divide one stratum into test and folds of equal size, to one row.

    The test rows are those of `cut`; fold i is between cuts i and i + 1, the last one above all.

    Args:
        u: (n_rows,) in [0, 1).
        test: share in [0, 1), 0 if the test rows are given.
        folds: number of folds, at least 2.

    Returns:
        `folds` cuts in ascending order.
    """
    ordered = np.sort(u)
    n = len(ordered)
    first = min(max(round(n * test), int(n >= SAFE and test > 0)), max(n - 1, 0))
    ends = (first + round((n - first) * fold / folds) for fold in range(folds))
    return tuple(_between(ordered, end) for end in ends)


def _between(ordered: Uniform, place: int) -> float:
    """Return a value with `place` of the ordered values below it, or as near as ties allow."""
    n = len(ordered)
    if place <= 0:
        return 0.0
    if place >= n:
        return 1.0
    if ordered[place] > ordered[place - 1]:
        return float((ordered[place - 1] + ordered[place]) / 2)
    gaps = np.flatnonzero(ordered[1:] > ordered[:-1]) + 1
    if not len(gaps):
        return 0.0
    best = int(gaps[np.argmin(np.abs(gaps - place))])
    return float((ordered[best - 1] + ordered[best]) / 2)


def cuts_for(
    u: Uniform,
    codes: Codes,
    names: Sequence[str],
    known: Mapping[str, tuple[float, ...]],
    make: Callable[[Uniform], tuple[float, ...]],
) -> dict[str, tuple[float, ...]]:
    """Return the known cuts, and new ones for the other strata.

    Args:
        u: (n_rows,) in [0, 1).
        codes: (n_rows,) indices into `names`.
        names: names of the strata.
        known: cuts by stratum.
        make: computes the cuts of one stratum from its u.
    """
    ends = np.cumsum(np.bincount(codes, minlength=len(names)))
    made = dict(known)
    if all(name in made for name in names):
        return made
    order = np.argsort(codes, kind="stable")
    for name, mine in zip(names, np.split(order, ends[:-1]), strict=True):
        if len(mine) and name not in made:
            made[name] = make(u[mine])
    return dict(sorted(made.items()))


def parts_by(
    u: Uniform, codes: Codes, names: Sequence[str], cuts: Mapping[str, tuple[float, ...]]
) -> RoleCodes:
    """Return for each row how many of its stratum's cuts are at or below its u: (n_rows,) int8.

    Args:
        u: (n_rows,) in [0, 1).
        codes: (n_rows,) indices into `names`.
        names: names of the strata.
        cuts: ascending cuts by stratum.

    Examples:
        >>> u, codes = np.array([0.1, 0.2, 0.7]), np.zeros(3, np.int32)
        >>> parts_by(u, codes, ["all"], {"all": (0.2, 0.5)}).tolist()
        [0, 1, 2]
    """
    width = max(map(len, cuts.values()), default=0)
    bounds = np.array([cuts.get(name, (0.0,) * width) for name in names]).reshape(-1, width)
    part = np.zeros(len(u), dtype=np.int8)
    for place in range(width):
        part += u >= bounds[codes, place]
    return part


def bin_edges(values: Uniform) -> tuple[float, ...]:
    """Return the inner edges of `BINS` bins of equal count, fewer for a few rows."""
    shares = np.linspace(0, 1, max(min(BINS, len(values) // ROWS_A_BIN), 1) + 1)[1:-1]
    return tuple(float(edge) for edge in np.unique(np.quantile(values, shares)))
