"""Repeated values in a column of any length: 64-bit keys in memory, never the values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gristmill.pipelines.tables import Flags, Hashes
from gristmill.pipelines.validation.schema.cell_values import Array, plain
from gristmill.pipelines.validation.schema.rules import Finding, finding, merge

Blocks = Callable[[], Iterable[pa.RecordBatch]]
"""Returns the blocks of the column, each time from the start."""

RULE = "each value once"
AT_ONCE = 1 << 15
"""Rows whose texts are hashed at a time."""

KEYS = ("0123456789123456", "6543219876543210")
"""Keys for hashing texts, 16 bytes each."""


def repeated(name: str, blocks: Blocks, rows: int, severity: str = "error") -> list[Finding]:
    """Find all rows whose value occurs in another row as well.

    Numbers, dates and booleans are their own keys. Texts are hashed, and those with the same hash
    are hashed again with another key, so that two different texts count as equal with a probability
    below 10⁻²⁰ for 10 million rows.

    Args:
        name: name of the column.
        blocks: returns blocks that contain the column.
        rows: number of rows of the whole table.
        severity: severity of the finding.
    """
    keys, present = _keys(name, blocks, rows, KEYS[0])
    twice = _twice(keys, present)
    if twice.any() and _is_text(name, blocks):
        places = np.flatnonzero(twice)
        second, _ = _keys(name, blocks, rows, KEYS[1])
        both = pd.DataFrame({"first": keys[places], "second": second[places]})
        twice[places] = both.duplicated(keep=False)
    return merge(_found(name, blocks, twice, severity), rows)


def _found(name: str, blocks: Blocks, twice: Flags, severity: str) -> Iterator[Finding]:
    before = 0
    for block in blocks() if twice.any() else ():
        here = twice[before : before + len(block)]
        if here.any():
            column = plain(block[name])
            yield finding(name, RULE, column, pa.array(here), before, severity)
        before += len(block)


def _twice(keys: Hashes, present: Flags) -> Flags:
    """Return which rows share their key; sorting takes a fifth of the time of a hash table."""
    ordered = np.sort(keys[present])
    again = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(again):
        return np.zeros(len(keys), dtype=bool)
    places = np.minimum(np.searchsorted(again, keys), len(again) - 1)
    return np.asarray(present & (again[places] == keys))


def _keys(name: str, blocks: Blocks, rows: int, key: str) -> tuple[Hashes, Flags]:
    """Return a key for each row, and whether it has a value."""
    keys, present = np.zeros(rows, dtype=np.uint64), np.zeros(rows, dtype=bool)
    before = 0
    for block in blocks():
        for start in range(0, len(block), AT_ONCE):
            column = plain(block[name].slice(start, AT_ONCE))
            there = pc.is_valid(column).to_numpy(zero_copy_only=False)
            here = slice(before, before + len(there))
            present[here] = there
            keys[here] = _column_keys(column, key)
            before += len(there)
    return keys, present


def _is_text(name: str, blocks: Blocks) -> bool:
    kind = next(iter(blocks()))[name].type
    return not (pa.types.is_primitive(kind) or pa.types.is_boolean(kind))


def _column_keys(column: Array, key: str) -> Hashes:
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif pa.types.is_temporal(kind):
        column = column.cast(pa.int64() if column.type.bit_width == 64 else pa.int32())
    elif not pa.types.is_primitive(kind):
        return text_keys(column, key)
    values = column.fill_null(0).to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        values = values.astype(np.float64) + 0.0  # −0.0 becomes 0.0
        return np.asarray(np.ascontiguousarray(values).view(np.uint64))
    return np.asarray(values.astype(np.int64).view(np.uint64))


def text_keys(column: Array, key: str) -> Hashes:
    """Return (n,) uint64 SipHashes of texts; a missing text has the hash of an empty one."""
    texts = column.fill_null("").to_numpy(zero_copy_only=False)
    return pd.util.hash_array(texts, hash_key=key, categorize=False)
