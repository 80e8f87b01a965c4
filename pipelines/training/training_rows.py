"""Rows for training: mapped into memory and shared between processes, or streamed from files."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import psutil
import tensorflow as tf

MEMORY_SHARE = 0.5
"""Share of the available memory above which an array is streamed instead of mapped."""

CHUNK = 128 * 2**20
"""Bytes of rows per chunk while streaming; the next chunk is read ahead."""

TOGETHER = 1024
"""Largest number of rows in a batch for validation and prediction."""

VALUES = 1 << 22
"""Largest number of feature values in such a batch; activations for pictures are larger still."""

ALIGNMENT = 64
"""Alignment in bytes that TensorFlow requires of memory that it did not allocate."""

ADVISED = hasattr(mmap, "MADV_RANDOM") and hasattr(mmap, "MADV_WILLNEED")

Array = npt.NDArray[Any]
Tensor: TypeAlias = tf.Tensor
Parts = tuple[Any, ...]
"""Features, targets and optionally weights of rows: arrays, tensors or batches of them."""


def scaling_of(statistics: Mapping[str, Any]) -> Parts:
    """Return offset and factor of stored pixels: a pixel is scaled to (value − offset) · factor.

    Args:
        statistics: as written by the stage `scale`.

    Returns:
        Two arrays (channels,) float32, or (1,) if all channels share the same values; () for a
        table, whose features are stored already scaled.
    """
    picture = statistics["picture"]
    if not picture:
        return ()
    both = np.array([picture["offset"], picture["factor"]], dtype=np.float32)
    return tuple(both[:, :1] if (both == both[:, :1]).all() else both)


def value_range(statistics: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the smallest and largest possible value of a scaled pixel; None for a table."""
    picture = statistics["picture"]
    if not picture:
        return None
    pairs = list(zip(picture["offset"], picture["factor"], strict=True))
    return min((0 - o) * f for o, f in pairs), max((255 - o) * f for o, f in pairs)


def ready(parts: Sequence[Array | Tensor], scaling: Parts) -> Parts:
    """Scale a batch's features to float32, by the same operations as a package, value for value.

    Args:
        parts: features, targets and optionally weights.
        scaling: offset and factor from `scaling_of`; () leaves the batch as it is.
    """
    if not scaling:
        return tuple(parts)
    offset, factor = scaling
    made = (tf.cast(parts[0], tf.float32) - offset) * factor
    made.set_shape(parts[0].shape)
    return made, *parts[1:]


def open_array(file: Path) -> Array:
    """Map an `.npy` file into memory.

    A file that fits is mapped copy-on-write, so that TensorFlow can use its pages directly. Nothing
    writes to them, so all processes share the page cache's copy. A larger file is mapped read-only,
    which makes `chunks` stream it.
    """
    fits = file.stat().st_size <= MEMORY_SHARE * psutil.virtual_memory().available
    array: Array = np.load(file, mmap_mode="c" if fits else "r")
    mapped = _mapped(array)
    if mapped is not None and not fits:
        mapped.madvise(mmap.MADV_RANDOM)  # a shuffled batch does not need the pages around a row
    return array


def rows_together(shape: tuple[int, ...]) -> int:
    """Return the batch size for validation and prediction of rows of this shape."""
    return min(TOGETHER, max(1, VALUES // max(1, math.prod(shape))))


class EpochRows:
    """Rows to visit in a given order: held as tensors, or streamed.

    Args:
        parts: features (n, …), targets (n, …) and, if rows are weighted, their weights (n,). They
            are streamed if the features' array is read-only (see `open_array`).
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.streamed = not parts[0].flags.writeable
        self._tensors = None if self.streamed else tuple(map(_shared, parts))

    def __len__(self) -> int:
        return len(self._parts[0])

    def chunks(
        self, batch: int, order: npt.NDArray[np.int32] | None = None
    ) -> Iterator[tuple[Tensor, Parts]]:
        """Yield chunks of the epoch: the order of rows, (rows,) int32, and the tensors it indexes.

        One chunk if the rows are in memory; otherwise chunks of whole batches of about `CHUNK`
        bytes, read ahead in a thread. Both visit the same rows in the same batches.

        Args:
            batch: rows per step.
            order: row indices of the epoch, (n,) int32; file order if None.
        """
        whole = np.arange(len(self), dtype=np.int32) if order is None else order
        if self._tensors is not None:
            yield tf.constant(whole), self._tensors
            return
        row = max(part.nbytes // max(len(part), 1) for part in self._parts)
        size = max(CHUNK // (row * batch), 1) * batch
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(_read, self._parts, whole[:size])
            for start in range(0, len(whole), size):
                now, following = ahead.result(), whole[start + size : start + 2 * size]
                if len(following):
                    ahead = reader.submit(_read, self._parts, following)
                yield now


def _read(parts: Parts, rows: npt.NDArray[np.int32]) -> tuple[Tensor, Parts]:
    """Read rows in file order; return their order in the epoch, and the rows."""
    places = np.argsort(rows)
    order = np.empty_like(rows)
    order[places] = np.arange(len(rows), dtype=np.int32)
    for part in parts:
        _ask_for(part, rows[places])
    return tf.constant(order), tuple(tf.constant(part[rows[places]]) for part in parts)


def _ask_for(part: Array, rows: npt.NDArray[np.int32]) -> None:
    """Advise the system to read these rows of a mapped file ahead, instead of one by one."""
    mapped = _mapped(part)
    if mapped is None:
        return
    size = part.nbytes // len(part)
    start: int = getattr(part, "offset", 0)
    for first in (start + rows.astype(np.int64) * size).tolist():
        page = first - first % mmap.PAGESIZE
        mapped.madvise(mmap.MADV_WILLNEED, page, first + size - page)


def _mapped(array: Array) -> mmap.mmap | None:
    """Return the memory map behind an array; None if there is none or `madvise` is missing."""
    base: object = array.base
    return base if isinstance(base, mmap.mmap) and ADVISED else None


def _shared(part: Array) -> Tensor:
    """Return a tensor over the array's own memory if possible, else a copy; on the GPU if any.

    uint8 arrays stay in host memory, because TensorFlow cannot gather them on a GPU; only their
    batches are copied there.
    """
    aligned = part.size and part.flags.c_contiguous and part.ctypes.data % ALIGNMENT == 0
    if aligned and part.flags.writeable:
        tensor = tf.experimental.dlpack.from_dlpack(part.__dlpack__())
    else:
        tensor = tf.constant(part)
    if part.dtype != np.uint8 and tf.config.list_logical_devices("GPU"):
        with tf.device("GPU:0"):
            return tf.identity(tensor)
    return tensor
