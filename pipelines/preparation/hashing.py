"""A number in [0, 1) for every row that follows from the seed and the row's identity alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Hashes = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MISSING = np.uint64(0x6D697373696E6721)


def row_hashes(frame: pd.DataFrame, columns: Sequence[str]) -> Hashes:
    """A 64-bit hash of each row's content in some columns.

    Numbers of equal value hash alike whatever their type, and the order of the columns or of the
    rows does not matter.

    Returns:
        (n_rows,) uint64.
    """
    total = np.zeros(len(frame), dtype=np.uint64)
    for name in sorted(columns):
        salt = _text_hash(f"column {name}")
        total = _mix(total ^ _mix(_column_hashes(frame[name]) ^ salt)) + _GOLDEN
    return np.asarray(_mix(total))


def occurrences(hashes: Hashes) -> Hashes:
    """For each row how many rows with the same hash stand before it: (n_rows,) uint64."""
    return pd.Series(hashes).groupby(hashes).cumcount().to_numpy().astype(np.uint64)


def combine(first: Hashes, second: Hashes) -> Hashes:
    """One hash of two."""
    return np.asarray(_mix(first ^ _mix(second + _GOLDEN)))


def uniform(hashes: Hashes, seed: int) -> npt.NDArray[np.float64]:
    """Numbers in [0, 1) from hashes and a seed: (n_rows,) float64 with 53 random bits."""
    keyed = _mix(hashes ^ _text_hash(f"seed {seed}"))
    return np.asarray((keyed >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _column_hashes(column: pd.Series[Any]) -> Hashes:
    missing = column.isna().to_numpy()
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        numbers = column.to_numpy(dtype="float64", na_value=0.0) + 0.0  # −0.0 becomes 0.0
        hashes = _mix(np.ascontiguousarray(numbers).view(np.uint64))
    else:
        codes, levels = pd.factorize(column.astype("string"))
        by_level = np.array(
            [_text_hash(str(level)) for level in levels] or [_MISSING], dtype=np.uint64
        )
        hashes = by_level[np.where(missing, 0, codes)]
    return np.where(missing, _MISSING, hashes)


def _text_hash(text: str) -> np.uint64:
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def _mix(values: Any) -> Any:
    """The finaliser of SplitMix64 (Steele, Lea, Flood: Fast splittable generators, 2014)."""
    with np.errstate(over="ignore"):
        z = values + _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
