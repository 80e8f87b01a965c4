"""Leaks between roles: by key, group, date, content or similar content."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gristmill.pipelines.tables import Places, read_column, storage
from gristmill.pipelines.validation.leaks.leak import SHOWN, Leak, make_leak
from gristmill.pipelines.validation.leaks.reading import Looked, Values, encoded

Roles = npt.NDArray[np.integer[Any]]
Matrix = npt.NDArray[np.float32]

TEST, VALIDATION, TRAINING = 0, 1, 2
"""Numbers of the roles in the split stage; rows with other numbers are unused."""

NEAR = 0.01
"""A near-duplicate is closer than this share of the usual distance to the nearest row."""

NEAR_SHARE = 0.01
NEAR_ROWS = 3
"""Least share and number of near-duplicates for a warning."""

MOST_TEST = 1_000
MOST_OTHERS = 20_000
MOST_NUMBERS = 200
"""Largest number of test rows, of other rows, and of columns in a comparison."""


def in_two_roles(table: Path, name: str, roles: Roles, what: str) -> Leak | None:
    """Return the leak of a key or group with values in more than one role.

    Args:
        table: the Parquet file.
        name: the column of the key or group.
        roles: (n_rows,) integers.
        what: `key` or `group`, for the message.
    """
    coded = encoded(read_column(table, name))
    codes = coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    present = np.zeros((len(coded.dictionary), 3), dtype=bool)
    for role in (TEST, VALIDATION, TRAINING):
        here = codes[roles == role]
        present[here[here >= 0], role] = True
    twice = present.sum(axis=1) > 1
    if not twice.any():
        return None
    rows = np.flatnonzero(twice[codes] & (codes >= 0) & (roles >= TEST) & (roles <= TRAINING))
    count = int(twice.sum())
    some = ", ".join(str(coded.dictionary[int(i)]) for i in np.flatnonzero(twice)[:SHOWN])
    values = "value is" if count == 1 else "values are"
    words = f"{count:,} {values} in more than one role, but a {what} must have one role: {some}"
    return make_leak("twice", name, words, len(rows), len(rows) / len(roles), rows)


def from_the_future(table: Path, name: str, roles: Roles) -> Leak | None:
    """Return the leak of training or validation rows dated on or after the first test row.

    Args:
        table: the Parquet file.
        name: the column of dates.
        roles: (n_rows,) integers.
    """
    dates = _dates(read_column(table, name))
    if dates is None:
        return None
    first = pc.min(dates.filter(pa.array(roles == TEST)))
    if not first.is_valid:
        return None
    learnt = (roles == VALIDATION) | (roles == TRAINING)
    late = pc.fill_null(pc.greater_equal(dates, first), False).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(late & learnt)
    if not len(rows):
        return None
    words = (
        f"{len(rows):,} training and validation rows are dated on or after the first test row, "
        f"{first.as_py()}"
    )
    return make_leak("future", name, words, len(rows), len(rows) / len(roles), rows)


def _dates(column: pa.ChunkedArray) -> pa.Array | None:
    """Return values that can be ordered; None for texts that are not ISO dates."""
    if storage(column.type) == "text":
        parsed = pd.to_datetime(column.to_pandas(), format="ISO8601", errors="coerce", utc=True)
        return None if parsed.isna().sum() > column.null_count else pa.Array.from_pandas(parsed)
    return column.combine_chunks()


def duplicates(looked: Looked, roles: Roles) -> Leak | None:
    """Return a warning about test rows equal to a training or validation row in all features."""
    role = roles[looked.hashed]
    test = role == TEST
    learnt = looked.hashes[(role == VALIDATION) | (role == TRAINING)]
    twin = pd.Series(looked.hashes[test]).isin(learnt).to_numpy()
    if not twin.any():
        return None
    rows = looked.hashed[test][twin]
    share = float(twin.mean())
    words = f"{share:.2%} of the test rows have the same features as a training or validation row"
    return make_leak("duplicates", "", words, len(rows), share, rows)


def near_duplicates(looked: Looked, columns: Sequence[Values], roles: Roles) -> Leak | None:
    """Return a warning about test rows that are unusually close to a training row.

    Distances are Euclidean over the numeric columns, each scaled to standard deviation 1, relative
    to the median distance of a training row to the nearest other one. Equal rows are counted by
    `duplicates`. At most `MOST_TEST` test and `MOST_OTHERS` training rows are compared.

    Args:
        looked: the sampled rows.
        columns: the feature columns of these rows.
        roles: (n_rows,) integers, of the whole table.
    """
    role = roles[looked.places]
    test = _evenly(np.flatnonzero(role == TEST), MOST_TEST)
    others = _evenly(np.flatnonzero(role == TRAINING), MOST_OTHERS)
    numbers = [c for c in columns if c.kind == "number" and len(c.levels) > 1]
    numbers = [numbers[i] for i in _evenly(np.arange(len(numbers)), MOST_NUMBERS)]
    if len(test) < NEAR_ROWS or len(others) < 2 * NEAR_ROWS or not numbers:
        return None
    points = np.column_stack([_scaled(c, np.concatenate([test, others])) for c in numbers])
    a, b = points[: len(test)], points[len(test) :]
    among_training = _nearest(b[:MOST_TEST], b, skip_self=True)
    usual = float(np.median(among_training))
    if usual == 0:
        return None
    distance = _nearest(a, b)
    near = (distance > 0) & (distance < NEAR * usual)
    share = float(near.mean())
    if near.sum() < NEAR_ROWS or share < max(NEAR_SHARE, 5 * _near_by_chance(among_training)):
        return None
    words = (
        f"{share:.1%} of {len(test):,} sampled test rows are within {NEAR:.0%} of the usual "
        "distance from a training row, like repeated measurements; split.group gives such rows one "
        "role"
    )
    return make_leak("near duplicates", "", words, near.sum(), share, looked.places[test[near]])


def _near_by_chance(distances: Matrix) -> float:
    """Return the expected share of near rows if rows are evenly spread; large in few dimensions.

    Then −ln P(distance > r) grows as r to the power of the dimension, which is estimated from the
    median and the upper fifth (Levina, Bickel: Maximum likelihood estimation of intrinsic
    dimension, 2004).
    """
    half, fifth = np.log(2), np.log(5)
    wide = float(np.quantile(distances, 0.8) / np.median(distances))
    dimension = np.log(fifth / half) / np.log(wide) if wide > 1 else np.inf
    return float(half * NEAR**dimension)


def _scaled(column: Values, rows: Places) -> Matrix:
    """Return (n_rows,) float32 with mean 0 and standard deviation 1 over all sampled rows."""
    numbers = np.append(column.levels, np.nan)[column.codes]
    finite = numbers[np.isfinite(numbers)]
    spread = float(finite.std()) if len(finite) else 0.0
    if not spread or not np.isfinite(spread):
        return np.zeros(len(rows), dtype=np.float32)
    middle = (numbers[rows] - float(finite.mean())) / spread
    return np.clip(np.nan_to_num(middle, nan=0.0), -1e6, 1e6).astype(np.float32)


def _nearest(points: Matrix, others: Matrix, *, skip_self: bool = False) -> Matrix:
    """Return (n_points,) float32 distances to the nearest of the others.

    With `skip_self`, point i is row i of the others and is not compared with itself.
    """
    size = (others**2).sum(axis=1)
    found = np.empty(len(points), dtype=np.float32)
    for start in range(0, len(points), 256):
        block = points[start : start + 256]
        squares = size - 2 * (
            block @ others.T
        )  # without the block's own squares, constant in a row
        if skip_self:
            here = np.arange(len(block))
            squares[here, start + here] = np.inf
        best = others[squares.argmin(axis=1)]
        found[start : start + 256] = np.sqrt(((block - best) ** 2).sum(axis=1))
    return found


def _evenly(rows: Places, most: int) -> Places:
    """Return at most `most` of the rows, evenly spaced."""
    step = max(1, -(-len(rows) // most))
    return rows[::step]
