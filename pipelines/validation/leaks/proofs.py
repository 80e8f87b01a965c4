"""Proofs that a column is the target: recoded, missing by class, copied, or an identifier."""

from __future__ import annotations

from bisect import bisect_right
from math import lgamma
from typing import Any

import numpy as np
import pandas as pd

from gristmill.pipelines.tables import Floats, Places, counts_time
from gristmill.pipelines.validation.leaks.leak import PROOF, Kind, Leak, prove
from gristmill.pipelines.validation.leaks.reading import Codes, Values, ranks

NEARLY = 0.02
"""Largest share of exceptions in a warning."""

PROOF_ROWS = 100
PROOF_ROWS_BINARY = 500
"""Least number of rows for a proof. Two levels can separate two classes naturally: one black or
white pixel separates a hundred pictures of two digits, and fails in only one of 360. Three levels
that equal three classes do not occur naturally."""

EVIDENCE_BINARY, EVIDENCE = 125.0, 50.0
"""For fewer rows without exception: least logarithm of the number of orders of the classes, of two
and of more. It is 125 for 184 rows of two equal classes, and for 385 rows with a tenth in one."""

SAME_NAMES = 20.0
"""The same if the levels are texts and have the names of the classes."""

MISSING = 40.0
"""The same for missing values, which are those of a class by chance only."""

WARNING_ROWS = 30
"""Least number of rows for a warning."""

CLASS_ROWS = 10
"""Least number of rows of a class to check it."""

FEWEST = 10
"""Least number of different values of a copy; fewer can be ordered by chance or naturally."""

DIFFERENT = 50
"""Different values of a copy without exception that prove it for any number of rows."""

PRESENT = 0.2
"""Least share of rows with a value, for a column that is checked on these rows alone."""


def recoding(x: Values, y: Values) -> Leak | None:
    """Return the leak of a one-to-one recoding of the classes, on the rows with a value."""
    present = x.codes >= 0
    if present.mean() < PRESENT or len(x.levels) < 2:
        return None
    found = _match(x.codes[present], y.codes[present], len(x.levels), len(y.levels))
    if found is None:
        return None
    pairs, exceptions = found
    shown = [f"{_text(x.levels[a])} = {_text(y.levels[b])}" for a, b in sorted(pairs.items())]
    words = f"is a recoding of the classes of {y.name} ({_some(shown)})"
    rows = np.flatnonzero(present)
    least = PROOF_ROWS_BINARY if len(pairs) == 2 else PROOF_ROWS
    enough = len(rows) >= least and exceptions <= PROOF * len(rows)
    if not exceptions:
        same = x.kind == "text" and {_text(x.levels[a]) for a in pairs} == {
            _text(y.levels[b]) for b in pairs.values()
        }
        wanted = SAME_NAMES if same else EVIDENCE_BINARY if len(pairs) == 2 else EVIDENCE
        enough = enough or _arrangements(y.codes[present]) >= wanted
    return _proof("recoding", x, words, exceptions, rows, enough)


def missingness(x: Values, y: Values) -> Leak | None:
    """Return the leak of a column that is missing exactly in one class, or in all but one."""
    missing = x.codes < 0
    n = len(missing)
    if not CLASS_ROWS <= missing.sum() <= n - CLASS_ROWS:
        return None
    of_class = np.bincount(y.codes, minlength=len(y.levels))
    gone = np.bincount(y.codes[missing], minlength=len(y.levels))
    outside = np.minimum(of_class + gone.sum() - 2 * gone, n - of_class - gone.sum() + 2 * gone)
    one = int(np.argmin(outside))
    found = _match(missing.astype(np.int64), (y.codes == one).astype(np.int64), 2, 2)
    if found is None:
        return None
    has = "has no value" if gone[one] * 2 > of_class[one] else "has a value"
    words = f"{has} exactly where {y.name} is {_text(y.levels[one])}"
    rows = np.argsort(~missing, kind="stable")  # those without a value first
    enough = n >= PROOF_ROWS and found[1] <= PROOF * n
    enough = enough or (not found[1] and _arrangements(missing.astype(np.int64)) >= MISSING)
    return _proof("missingness", x, words, found[1], rows, enough)


def copy(x: Values, y: Values) -> Leak | None:
    """Return the leak of a column that is a monotonic function of the target, or vice versa.

    Steps are allowed, because a rounded copy has them; a column with few levels is not checked.
    """
    present = x.codes >= 0
    n = int(present.sum())
    if x.kind == "text" or n < WARNING_ROWS or n < PRESENT * len(present):
        return None
    if counts_time(x.name, 0.0, 0.0):  # a trend
        return None
    a, b = x.codes[present], y.codes[present]
    if _different(a) < FEWEST or _different(b) < FEWEST:
        return None
    one_to_one = _different(a) == _different(b) >= DIFFERENT
    slope = float(np.corrcoef(ranks(a), ranks(b))[0, 1])
    if abs(slope) < 0.9:
        return None
    b = b if slope > 0 else -b
    strict = out_of_order(a, b)
    exceptions = min(strict, out_of_order(b, a))
    if exceptions > PROOF * n:
        return None
    how = "row by row" if strict == exceptions else "in steps"
    words = f"{'increases' if slope > 0 else 'decreases'} with {y.name} {how}"
    enough = n >= PROOF_ROWS or (one_to_one and not exceptions)
    return _proof("copy", x, words, exceptions, np.flatnonzero(present), enough)


def identifier(x: Values, y: Values, total: int, classes: bool) -> Leak | None:
    """Return the leak of an identifier in whose order the target is sorted.

    An identifier has a different whole number for each row (or a text that ends in one), dense or
    increasing along the file. Other columns, such as measurements and years, can order the classes
    without a leak.

    Args:
        x: the column.
        y: the target.
        total: number of rows of the whole table.
        classes: whether the task is classification.
    """
    if x.kind == "number" and counts_time(x.name, *x.levels[[0, -1]]):
        return None
    numbers = _row_numbers(x, total)
    if numbers is None or len(numbers) < WARNING_ROWS:
        return None
    order = np.argsort(numbers, kind="stable")
    dense = numbers[order[-1]] - numbers[order[0]] < 2 * total
    steps = np.diff(numbers)
    if not dense and min((steps < 0).sum(), (steps > 0).sum()) > PROOF * len(numbers):
        return None
    sorted_y = y.codes[order]
    found = _blocks(sorted_y) if classes else _monotone(sorted_y)
    if found is None:
        return None
    what = f"the classes of {y.name} form blocks" if classes else f"{y.name} is sorted"
    words = f"numbers the rows, and in its order {what}"
    return _proof("identifier", x, words, found, order, len(order) >= PROOF_ROWS)


def _arrangements(codes: Codes) -> float:
    """Return the logarithm of the number of orders of these codes: n! / (n₁! n₂! …)."""
    counts = np.bincount(codes)
    return lgamma(len(codes) + 1) - sum(lgamma(count + 1) for count in counts.tolist())


def out_of_order(first: Codes, second: Codes) -> int:
    """Return the least number of rows to remove so that `second` is a rising function of `first`.

    Rows that are equal in `first` must be equal in `second`, so they are put in falling order
    before the longest non-falling subsequence is computed (Fredman: On computing the length of
    longest increasing subsequences, 1975). If more than `NEARLY` of the steps fall, all rows are
    returned.
    """
    order = np.lexsort((-second, first))
    row = second[order]
    if (np.diff(row) < 0).sum() > NEARLY * len(row):
        return len(row)
    ends: list[int] = []
    for value in row.tolist():
        place = bisect_right(ends, value)
        if place == len(ends):
            ends.append(value)
        else:
            ends[place] = value
    return len(row) - len(ends)


def _proof(kind: Kind, x: Values, words: str, exceptions: int, rows: Places, enough: bool) -> Leak:
    without = f"with {exceptions:,} exception{'s' * (exceptions > 1)}"
    more = f"{without if exceptions else 'without exception'} in {len(rows):,} rows"
    return prove(kind, x.name, f"{words}, {more}", exceptions, rows, enough)


def _match(x: Codes, y: Codes, levels: int, classes: int) -> tuple[dict[int, int], int] | None:
    """Match levels and classes one to one.

    Returns:
        The class by level, and the number of rows in no pair; None if a class has no level
        or shares it, or if there are too many exceptions.
    """
    n = len(x)
    of_level = np.bincount(x, minlength=levels)
    top = np.argsort(-of_level, kind="stable")[:classes]
    if n < WARNING_ROWS or of_level[top].sum() < (1 - NEARLY) * n:
        return None
    place = np.full(levels, len(top))
    place[top] = np.arange(len(top))
    both = np.bincount(place[x] * classes + y, minlength=(len(top) + 1) * classes)
    both = both.reshape(len(top) + 1, classes)
    of_class = both.sum(axis=0)
    best = both[:-1].argmax(axis=0)
    pairs, right = {}, 0
    for one in np.flatnonzero(of_class >= CLASS_ROWS):
        level, hits = int(best[one]), int(both[best[one], one])
        if not _pure(hits, int(of_class[one])) or not _pure(hits, int(both[level].sum())):
            return None
        pairs[int(top[level])] = int(one)
        right += hits
    return (pairs, n - right) if len(pairs) >= 2 and n - right <= NEARLY * n else None


def _pure(hits: int, rows: int) -> bool:
    """Return whether a class has few exceptions, however rare it is."""
    return rows - hits <= 1 + NEARLY * rows


def _blocks(classes: Codes) -> int | None:
    """Return the number of rows outside the single block of their class; None if too many.

    A misplaced row adds two changes of class. For rare classes the limit depends on the changes
    expected by chance.
    """
    n = len(classes)
    counts = np.bincount(classes)
    shares = counts[counts > 0] / n
    expected = n * (1 - float((shares**2).sum()))
    more = int((np.diff(classes) != 0).sum()) - (len(shares) - 1)
    if expected < 20 or more > min(2 * PROOF * n, 0.05 * expected):
        return None
    return (more + 1) // 2


def _monotone(target: Codes) -> int | None:
    if _different(target) < FEWEST:
        return None
    row = np.arange(len(target))
    exceptions = min(out_of_order(row, target), out_of_order(row, -target))
    return exceptions if exceptions <= PROOF * len(target) else None


def _row_numbers(x: Values, total: int) -> Floats | None:
    """Return (n_rows,) numbers that identify the rows; None if the values do not."""
    if (x.codes < 0).any() or len(x.levels) < 0.999 * len(x.codes) or x.kind == "date":
        return None
    levels = x.levels
    if x.kind == "text":
        ends = pd.Series(levels).str.extract(r"(\d{1,15})$", expand=False)
        if ends.isna().any():
            return None
        levels = ends.to_numpy(dtype=np.float64)
        if len(np.unique(levels)) < 0.999 * len(levels):
            return None
    if not np.array_equal(levels, np.floor(levels)):
        return None
    return np.asarray(levels[x.codes], dtype=np.float64)


def _different(codes: Codes) -> int:
    return int(np.count_nonzero(np.bincount(codes)))


def _some(words: list[str]) -> str:
    return ", ".join(words[:3]) + (", …" if len(words) > 3 else "")


def _text(value: Any) -> str:
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else str(value)[:40]
