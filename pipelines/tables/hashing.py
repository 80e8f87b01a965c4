"""Hashes of rows, and random numbers that depend on nothing but a seed and a row's content.

Numbers are hashed by their value, whatever their type; text by its bytes; dates and times by their
microseconds since 1970 (UTC if they have a zone); a missing value and NaN as missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.int64]
"""Positions of rows in a table, or of values in a list of levels."""

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""SplitMix64's increment of its state: 2⁶⁴ divided by the golden ratio."""

_MISSING = np.uint64(0x6D697373696E6721)
_MOMENT = np.uint64(0x6D6F6D656E742121)
"""Salt that distinguishes a date from the integer that it is stored as."""

_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)
"""Types of bytes, such as pictures."""

_EXACT = 2**53
"""Every integer up to here is exact as float64."""


def row_hashes(rows: pa.Table | pa.RecordBatch, columns: Sequence[str]) -> Hashes:
    """Return a 64-bit hash of each row's content in some columns.

    Numbers of equal value have equal hashes whatever their type; the order of the columns and of
    the rows does not matter.

    Returns:
        (n_rows,) uint64.
    """
    total = np.zeros(rows.num_rows, dtype=np.uint64)
    for name in sorted(columns):
        column = column_hashes(rows.column(name))
        column ^= _text_hash(f"column {name}")
        total ^= mix(column)
        mix(total)
        total += GOLDEN
    return mix(total)


def column_hashes(column: pa.Array | pa.ChunkedArray) -> Hashes:
    """Return a hash of each value: (n_rows,) uint64."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type) and not _is_of_texts(column):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_floating(kind):
        hashes = _of_floats(_filled(column.cast(pa.float64())))
    elif pa.types.is_integer(kind):
        hashes = _of_integers(_filled(column))
    elif pa.types.is_boolean(kind) or pa.types.is_decimal(kind):
        hashes = _of_floats(_filled(column.cast(pa.float64(), safe=False)))
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        hashes = mix(_filled(microseconds(column)).view(np.uint64) ^ _MOMENT)
    else:
        hashes = _of_texts(column)
    missing = column.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
    if missing.any():
        hashes[missing] = _MISSING
    return hashes


def microseconds(column: pa.Array) -> pa.Array:
    """Return dates or times as int64 microseconds since 1970, in UTC if they have a zone."""
    zone = column.type.tz if pa.types.is_timestamp(column.type) else None
    return column.cast(pa.timestamp("us", zone), safe=False).cast(pa.int64())


def mix(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """Scramble 64-bit numbers in place: equal ones stay equal, others look random.

    Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014. `mix(n · GOLDEN)` is
    number n of the generator that starts at 0.

    Returns:
        The given array.
    """
    z += GOLDEN
    shifted = z >> np.uint64(30)
    z ^= shifted
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= np.right_shift(z, np.uint64(27), out=shifted)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= np.right_shift(z, np.uint64(31), out=shifted)
    return z


def occurrences(hashes: Hashes) -> Hashes:
    """Return for each row the number of rows before it with the same hash: (n_rows,) uint64.

    Examples:
        >>> occurrences(np.array([7, 7, 3, 7], dtype=np.uint64))
        array([0, 1, 0, 2], dtype=uint64)
    """
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(hashes)]
    starts = np.flatnonzero(first)
    counts = np.empty(len(hashes), dtype=np.uint64)
    counts[order] = np.arange(len(hashes)) - np.repeat(starts, np.diff([*starts, len(hashes)]))
    return counts


def combine(first: Hashes, second: Hashes) -> Hashes:
    """Return one hash for each pair of hashes."""
    return mix(first ^ mix(second + GOLDEN))


def uniform(hashes: Hashes, seed: int) -> Floats:
    """Return numbers in [0, 1) from hashes and a seed: (n_rows,) float64 with 53 random bits."""
    keyed = mix(hashes ^ _text_hash(f"seed {seed}"))
    keyed >>= np.uint64(11)
    made = keyed.astype(np.float64)
    made *= 2.0**-53
    return made


def distinct_share(hashes: Hashes) -> float:
    """Return the number of distinct hashes divided by the number of all hashes.

    Examples:
        >>> distinct_share(np.array([7, 7, 3, 7], dtype=np.uint64))
        0.5
    """
    ordered = np.sort(hashes)
    return (1 + int(np.count_nonzero(ordered[1:] != ordered[:-1]))) / max(len(hashes), 1)


def _filled(column: pa.Array) -> npt.NDArray[Any]:
    """Return a copy of the values with 0 for the missing ones."""
    return np.array(pc.fill_null(column, pa.scalar(0, column.type)))


def _of_floats(numbers: Floats) -> Hashes:
    return mix((numbers + 0.0).view(np.uint64))  # −0.0 becomes 0.0


def _of_integers(numbers: npt.NDArray[Any]) -> Hashes:
    """Hash integers as the equal float64; if there is none, the integer itself is mixed in."""
    floats = numbers.astype(np.float64)
    hashes = _of_floats(floats)
    wide = np.flatnonzero((numbers > _EXACT) | (numbers < -_EXACT))
    if len(wide):
        inside = floats[wide] < float(np.iinfo(numbers.dtype).max)
        back = np.where(inside, floats[wide], 0).astype(numbers.dtype)
        lossy = wide[back != numbers[wide]]
        hashes[lossy] = mix(hashes[lossy] ^ numbers[lossy].astype(np.uint64))
    return hashes


def _is_of_texts(column: pa.DictionaryArray) -> bool:
    return pa.types.is_string(column.type.value_type) and not column.dictionary.null_count


def _of_texts(column: pa.Array) -> Hashes:
    encoded = column
    if not pa.types.is_dictionary(column.type):
        if not any(is_bytes(column.type) for is_bytes in _BYTES):
            column = column.cast(pa.large_string())
        encoded = column.dictionary_encode()
    levels = [level for level in encoded.dictionary.to_pylist() if level is not None]
    by_level = np.array([_text_hash(level) for level in levels] or [_MISSING], dtype=np.uint64)
    hashes: Hashes = by_level[np.asarray(pc.fill_null(encoded.indices, 0))]
    return hashes


def _text_hash(text: str | bytes) -> np.uint64:
    content = text.encode() if isinstance(text, str) else text
    return np.uint64(int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little"))
