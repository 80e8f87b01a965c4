"""Proofs that the target is an exact linear combination of up to three columns.

Examples are a sum of two columns, a difference, and 24 hours without those of sleep.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np

from gristmill.pipelines.tables import Floats
from gristmill.pipelines.validation.leaks.leak import Leak, make_leak
from gristmill.pipelines.validation.leaks.reading import Values

EXACT = 1e-7
"""Largest distance from the target in an exact combination, in standard deviations."""

FEWEST = 10
"""Least number of different targets, and of different rows beyond one for each coefficient."""

SPARE_ROWS = 20
"""Least number of rows beyond one for each coefficient."""

TRIED_ROWS = 256
"""Rows on which combinations are searched; the ones found are verified on all rows."""

MOST_IN_PAIRS, MOST_IN_TRIPLES = 400, 80
"""Columns up to which all pairs, and all triples, are tried."""


def formula(y: Values, columns: Sequence[Values]) -> Leak | None:
    """Return the leak of columns of which the target is an exact linear combination.

    Args:
        y: the target, a number in every row.
        columns: the feature columns; those with missing values or without numbers are ignored.
    """
    numbers = [x for x in columns if x.kind == "number" and _whole(x)][:MOST_IN_PAIRS]
    if y.kind != "number" or len(y.levels) < FEWEST or not numbers or not _whole(y):
        return None
    target, x = _values(y), np.column_stack([_values(column) for column in numbers])
    n = len(target)
    some = np.linspace(0, n - 1, min(n, TRIED_ROWS)).astype(np.int64)
    tried, goal = _scaled(x[some]), _scaled(target[some, None])[:, 0]
    for places in _combinations(tried, goal):
        used = x[:, list(places)]
        enough = n - len(places) > SPARE_ROWS and _different(used) > len(places) + FEWEST
        if enough and (factors := _exact(used, target)) is not None:
            named = [numbers[place].name for place in places]
            words = f"{y.name} is {_text(named, factors)}, without exception in {n:,} rows"
            return make_leak("formula", named[0], words, n, 1.0)
    return None


def _combinations(x: Floats, y: Floats) -> Iterator[tuple[int, ...]]:
    """Yield the places of up to three columns that, with a constant, give y on these rows."""
    rows, columns = x.shape
    if rows > columns + SPARE_ROWS and _rest(x, y[:, None]).std() > EXACT:
        return  # no combination of any number of columns is exact
    most = 3 if columns <= MOST_IN_TRIPLES else 2
    for size in range(1, most + 1):
        for first in combinations(range(columns), size - 1):
            rest = _rest(x[:, first], np.column_stack([y, x]))
            along, others = rest[:, 0], rest[:, 1:]
            lengths = np.sqrt((others**2).sum(axis=0))
            free = lengths > 1e-6 * np.sqrt(rows)
            with np.errstate(divide="ignore", invalid="ignore"):
                left = (along**2).sum() - (along @ others / lengths) ** 2
            for last in np.flatnonzero(free & (left < EXACT * rows)):
                if last > max(first, default=-1):
                    yield (*first, int(last))


def _rest(x: Floats, y: Floats) -> Floats:
    """Return what a linear combination of columns and a constant leaves of each column of y."""
    basis = np.column_stack([np.ones(len(y)), x])
    factors, *_ = np.linalg.lstsq(basis, y, rcond=None)
    return np.asarray(y - basis @ factors)


def _exact(x: Floats, y: Floats) -> Floats | None:
    """Return the coefficients, the constant last, if the combination is exact in every row."""
    middle, spread = x.mean(axis=0), x.std(axis=0)
    basis = np.column_stack([(x - middle) / spread, np.ones(len(y))])
    factors, *_ = np.linalg.lstsq(basis, y, rcond=None)
    if np.abs(y - basis @ factors).max() > EXACT * y.std():
        return None
    slopes = factors[:-1] / spread
    return np.append(slopes, factors[-1] - slopes @ middle)


def _text(names: Sequence[str], factors: Floats) -> str:
    """Return a combination as `24 - sleep`."""
    size = float(np.abs(factors).max())
    constant = float(factors[-1])
    terms = [(float(f), name) for name, f in zip(names, factors[:-1], strict=True)]
    terms.sort(key=lambda term: term[0] < 0)  # positive ones first
    parts = [(f, name if abs(abs(f) - 1) < 1e-6 else f"{abs(f):.6g} × {name}") for f, name in terms]
    if abs(constant) > 1e-6 * size:
        parts.insert(0 if constant > 0 else len(parts), (constant, f"{abs(constant):.6g}"))
    text = "".join(f" {'−' if factor < 0 else '+'} {part}" for factor, part in parts)
    return text.removeprefix(" + ").strip()


def _whole(x: Values) -> bool:
    return len(x.levels) > 1 and bool((x.codes >= 0).all() and np.isfinite(x.levels).all())


def _values(x: Values) -> Floats:
    return np.asarray(x.levels[x.codes], dtype=np.float64)


def _scaled(x: Floats) -> Floats:
    spread = x.std(axis=0)
    return np.asarray((x - x.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _different(x: Floats) -> int:
    return len(np.unique(x[:: max(1, len(x) // 100_000)], axis=0))
