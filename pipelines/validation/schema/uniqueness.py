"""Values that stand twice in a column of any length: 64-bit keys in memory, never the values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from gristmill.pipelines.validation.schema.cell_values import Array, plain
from gristmill.pipelines.validation.schema.rules import Finding, finding, merge

Keys = npt.NDArray[np.uint64]
Blocks = Callable[[], Iterable[Any]]
"""The blocks of the column, from the start each time that it is called."""

RULE = "each value once"
AT_ONCE = 1 << 15
"""Rows whose texts are hashed at a time."""

BASES = (0x9E3779B97F4A7C15, 0xD1342543DE82EF95)
"""Odd numbers that texts are read to, modulo 2⁶⁴, as the digits of a number."""


def repeated(name: str, blocks: Blocks, rows: int, severity: str = "error") -> list[Finding]:
    """All rows whose value stands in another row as well.

    Numbers, dates and booleans are their own keys. Texts are hashed, and those that share a hash
    are hashed anew with another base, so that two different texts pass for equal with a chance
    below 10⁻²⁰ at 10 million rows.

    Args:
        name: of the column.
        blocks: gives blocks that hold it.
        rows: of the whole table.
        severity: of the finding.
    """
    keys, present = _keys(name, blocks, rows, BASES[0])
    twice = _twice(keys, present)
    if twice.any() and _is_text(name, blocks):
        places = np.flatnonzero(twice)
        second, _ = _keys(name, blocks, rows, BASES[1])
        pairs = np.stack([keys[places], second[places]])
        order = np.lexsort(pairs)
        same = (pairs[:, order[1:]] == pairs[:, order[:-1]]).all(axis=0)
        twice[:] = False
        twice[places[order[1:][same]]] = twice[places[order[:-1][same]]] = True
    return merge(_found(name, blocks, twice, severity), rows)


def _found(name: str, blocks: Blocks, twice: Any, severity: str) -> Iterator[Finding]:
    before = 0
    for block in blocks() if twice.any() else ():
        here = twice[before : before + len(block)]
        if here.any():
            column = plain(block[name])
            yield finding(name, RULE, column, pa.array(here), before, severity)
        before += len(block)


def _twice(keys: Keys, present: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    ordered = np.sort(keys[present])
    again = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(again):
        return np.zeros(len(keys), dtype=bool)
    places = np.minimum(np.searchsorted(again, keys), len(again) - 1)
    return np.asarray(present & (again[places] == keys))


def _keys(name: str, blocks: Blocks, rows: int, base: int) -> tuple[Keys, npt.NDArray[np.bool_]]:
    """A key for each row, and whether it has a value."""
    keys, present = np.zeros(rows, dtype=np.uint64), np.zeros(rows, dtype=bool)
    before = 0
    for block in blocks():
        for start in range(0, len(block), AT_ONCE):
            column = plain(block[name].slice(start, AT_ONCE))
            there = pc.is_valid(column).to_numpy(zero_copy_only=False)
            here = slice(before, before + len(there))
            present[here] = there
            keys[here] = _column_keys(column, base)
            before += len(there)
    return keys, present


def _is_text(name: str, blocks: Blocks) -> bool:
    kind = next(iter(blocks()))[name].type
    return not (pa.types.is_primitive(kind) or pa.types.is_boolean(kind))


def _column_keys(column: Array, base: int) -> Keys:
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.uint8())
    elif pa.types.is_temporal(kind):
        column = column.cast(pa.int64() if column.type.bit_width == 64 else pa.int32())
    elif not pa.types.is_primitive(kind):
        return text_keys(column, base)
    values = column.fill_null(0).to_numpy(zero_copy_only=False)
    if values.dtype.kind == "f":
        values = values.astype(np.float64) + 0.0  # −0.0 becomes 0.0
        return np.asarray(np.ascontiguousarray(values).view(np.uint64))
    return np.asarray(values.astype(np.int64).view(np.uint64))


def text_keys(column: Array, base: int) -> Keys:
    """Polynomial hashes of texts modulo 2⁶⁴, all at once; a missing text hashes like an empty one.

    The sum over a text is a difference of two running sums over the whole block, divided by the
    power at its start (Karp & Rabin: Efficient randomized pattern-matching algorithms, 1987).

    Returns:
        (n,) uint64.
    """
    column = column.cast(pa.large_string()).fill_null("")
    _, ends, content = column.buffers()
    offsets = np.frombuffer(ends, dtype=np.int64)[column.offset : column.offset + len(column) + 1]
    first, last = int(offsets[0]), int(offsets[-1])
    size = last - first
    octets = np.frombuffer(content, dtype=np.uint8)[first:last] if size else np.zeros(0, np.uint8)
    with np.errstate(over="ignore"):
        powers, inverses = _powers(base, size), _powers(pow(base, -1, 1 << 64), size)
        sums = np.zeros(size + 1, dtype=np.uint64)
        np.cumsum((octets.astype(np.uint64) + np.uint64(1)) * powers[:-1], out=sums[1:])
        starts, stops = offsets[:-1] - first, offsets[1:] - first
        hashed = (sums[stops] - sums[starts]) * inverses[starts]
        hashed = (hashed ^ (hashed >> np.uint64(32))) * np.uint64(BASES[1])
    return np.asarray(hashed ^ (hashed >> np.uint64(29)))


def _powers(base: int, size: int) -> Keys:
    """The powers of a base from 1 to size + 1, modulo 2⁶⁴."""
    return _tabled(base, 1 << max(size, 1).bit_length())[: size + 1]


@lru_cache(maxsize=4)
def _tabled(base: int, size: int) -> Keys:
    return np.asarray(np.cumprod(np.full(size + 1, base, dtype=np.uint64)))
