"""Proofs that a column is the target: recoded, missing by class, copied, or an identifier."""

from __future__ import annotations

from bisect import bisect_right
from typing import Any

import numpy as np
import pandas as pd

from gristmill.pipelines.tables import Floats, Places
from gristmill.pipelines.validation.leaks.leak import PROOF, Kind, Leak, prove
from gristmill.pipelines.validation.leaks.reading import Codes, Values, ranks

NEARLY = 0.02
"""Largest share of exceptions that is worth a warning."""

PROOF_ROWS = 100
PROOF_ROWS_BINARY = 500
"""Rows for a proof. Two levels can be two classes by nature: one pixel, black or white, parts a
hundred pictures of two digits, and of 360 fails in one; three levels that are three classes are
no such thing."""

WARNING_ROWS = 30
CLASS_ROWS = 10
"""Rows of a class from which on it must be told, and rows that the smallest told one must have."""

FEWEST = 10
"""Different values that a copy must have: fewer are ordered by chance or by nature."""

PRESENT = 0.2
"""Smallest share of rows with a value in a column that is judged by these rows alone."""


def recoding(x: Values, y: Values) -> Leak | None:
    """A one-to-one recoding of the classes, among the rows where the column has a value."""
    present = x.codes >= 0
    if present.mean() < PRESENT or len(x.levels) < 2:
        return None
    found = _match(x.codes[present], y.codes[present], len(x.levels), len(y.levels))
    if found is None:
        return None
    pairs, exceptions = found
    shown = [f"{_text(x.levels[a])} = {_text(y.levels[b])}" for a, b in sorted(pairs.items())]
    words = f"names the classes of {y.name} in other words ({_some(shown)})"
    told = np.flatnonzero(present)
    least = PROOF_ROWS_BINARY if len(pairs) == 2 else PROOF_ROWS
    enough = len(told) >= least and exceptions <= PROOF * len(told)
    return _proof("recoding", x, words, exceptions, told, enough)


def missingness(x: Values, y: Values) -> Leak | None:
    """A column whose value is missing exactly in the rows of one class, or of all but one."""
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
    told = np.argsort(~missing, kind="stable")  # those without a value first
    enough = n >= PROOF_ROWS and found[1] <= PROOF * n
    return _proof("missingness", x, words, found[1], told, enough)


def copy(x: Values, y: Values) -> Leak | None:
    """A column that rises or falls with the target without fail, in steps or row by row.

    Steps are allowed, since a rounded copy is one; a column of a few levels is not judged.
    """
    present = x.codes >= 0
    n = int(present.sum())
    if x.kind == "text" or n < WARNING_ROWS or n < PRESENT * len(present):
        return None
    a, b = x.codes[present], y.codes[present]
    if _different(a) < FEWEST or _different(b) < FEWEST:
        return None
    slope = float(np.corrcoef(ranks(a), ranks(b))[0, 1])
    if abs(slope) < 0.9:
        return None
    b = b if slope > 0 else -b
    strict = out_of_order(a, b)
    exceptions = min(strict, out_of_order(b, a))
    if exceptions > PROOF * n:
        return None
    how = "row by row" if strict == exceptions else "in steps"
    words = f"{'rises' if slope > 0 else 'falls'} with {y.name} {how}"
    return _proof("copy", x, words, exceptions, np.flatnonzero(present), n >= PROOF_ROWS)


def identifier(x: Values, y: Values, total: int, classes: bool) -> Leak | None:
    """An identifier in whose order the classes stand in blocks, or the target rises or falls.

    Only what numbers the rows is an identifier: a different whole number (at the end of a text,
    perhaps) for each row, dense or rising along the file. A measurement may order the classes.
    """
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
    what = f"the classes of {y.name} stand in blocks" if classes else f"{y.name} is sorted"
    words = f"numbers the rows, and in its order {what}"
    return _proof("identifier", x, words, found, order, len(order) >= PROOF_ROWS)


def out_of_order(first: Codes, second: Codes) -> int:
    """Fewest rows to leave out so that `second` does not fall where `first` rises or stays.

    Rows that are equal in `first` must be equal in `second`: the longest run that does not fall
    (Fredman: On computing the length of longest increasing subsequences, 1975) is taken with such
    rows in falling order. Where more than `NEARLY` of the steps fall the answer is all rows.
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
    """The level that is most of each class, as level by class, and the rows of no such pair.

    None where a class has no such level, or shares it, or there are more than a few exceptions.
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
    """Few enough exceptions in one class, however rare it is among the rows."""
    return rows - hits <= 1 + NEARLY * rows


def _blocks(classes: Codes) -> int | None:
    """Rows that are not in their class's one block; None where these are too many for blocks.

    A row out of place makes two more changes of class. What chance would make is the measure where
    a class is rare.
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
    """(n_rows,) the numbers that tell the rows apart; None where the values do not."""
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
