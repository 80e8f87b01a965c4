"""The rows that a program trains on: shared with other processes, or streamed from their files."""

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
"""Of the memory that is free, how much an array may take up before it is streamed."""

CHUNK = 128 * 2**20
"""Bytes of rows that are read ahead at a time while streaming."""

TOGETHER = 1024
"""Rows that go through a model at a time where nothing is learnt, at most."""

VALUES = 1 << 22
"""Values of features among them, at most: what a network makes of pictures is larger still."""

ALIGNMENT = 64
"""Bytes at a multiple of which TensorFlow wants memory that it did not allocate to begin."""

ADVISED = hasattr(mmap, "MADV_RANDOM") and hasattr(mmap, "MADV_WILLNEED")

Array = npt.NDArray[Any]
Tensor: TypeAlias = tf.Tensor
Parts = tuple[Any, ...]
"""Features, targets and perhaps weights of rows: arrays, tensors or batches of them."""


def scaling_of(statistics: Mapping[str, Any]) -> Parts:
    """What stored pixels are shifted by, and what they are then multiplied with.

    Args:
        statistics: as the stage `scale` wrote them.

    Returns:
        Two arrays (channels,) float32, (1,) where all channels have the same; () for a table,
        whose features are stored as the model takes them.
    """
    picture = statistics["picture"]
    if not picture:
        return ()
    both = np.array([picture["offset"], picture["factor"]], dtype=np.float32)
    return tuple(both[:, :1] if (both == both[:, :1]).all() else both)


def value_range(statistics: Mapping[str, Any]) -> tuple[float, float] | None:
    """The least and the largest value that a pixel can have once it is scaled; None for a table."""
    picture = statistics["picture"]
    if not picture:
        return None
    pairs = list(zip(picture["offset"], picture["factor"], strict=True))
    return min((0 - o) * f for o, f in pairs), max((255 - o) * f for o, f in pairs)


def ready(parts: Sequence[Array | Tensor], scaling: Parts) -> Parts:
    """A batch with float32 features: the operations by which a package scales, value for value."""
    if not scaling:
        return tuple(parts)
    offset, factor = scaling
    made = (tf.cast(parts[0], tf.float32) - offset) * factor
    made.set_shape(parts[0].shape)
    return made, *parts[1:]


def open_array(file: Path) -> Array:
    """An `.npy` file mapped into memory.

    What fits is mapped so that TensorFlow can use its pages as they are: nothing writes to them, so
    all processes share one copy, the page cache's. A larger file is mapped for reading alone, the
    sign for `chunks` to stream it.
    """
    fits = file.stat().st_size <= MEMORY_SHARE * psutil.virtual_memory().available
    array: Array = np.load(file, mmap_mode="c" if fits else "r")
    mapped = _mapped(array)
    if mapped is not None and not fits:
        mapped.madvise(mmap.MADV_RANDOM)  # pages around a row are of no use to its batch
    return array


def rows_together(shape: tuple[int, ...]) -> int:
    """How many rows of a shape go through a model at a time where nothing is learnt."""
    return min(TOGETHER, max(1, VALUES // max(1, math.prod(shape))))


class EpochRows:
    """Rows to visit in an order: as tensors once for all, or streamed.

    Args:
        parts: features (n, …), targets (n, …) and, where they differ, the rows' weights (n,). They
            are streamed where the features' array is for reading alone, as `open_array` says.
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
        """The order in which to visit the rows of some tensors, (rows,) int32; and the tensors.

        All at once where they are in memory, else as many whole batches at a time as `CHUNK` holds,
        read ahead in a thread. Both ways visit the same rows in the same batches.

        Args:
            batch: rows a step.
            order: of the epoch; the rows as they stand when there is none.
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
    """Some rows, read in the order of the file; and their order in the epoch."""
    places = np.argsort(rows)
    order = np.empty_like(rows)
    order[places] = np.arange(len(rows), dtype=np.int32)
    for part in parts:
        _ask_for(part, rows[places])
    return tf.constant(order), tuple(tf.constant(part[rows[places]]) for part in parts)


def _ask_for(part: Array, rows: npt.NDArray[np.int32]) -> None:
    """Has the system read rows of a mapped file all at once, not each when it is come to."""
    mapped = _mapped(part)
    if mapped is None:
        return
    size = part.nbytes // len(part)
    start: int = getattr(part, "offset", 0)
    for first in (start + rows.astype(np.int64) * size).tolist():
        page = first - first % mmap.PAGESIZE
        mapped.madvise(mmap.MADV_WILLNEED, page, first + size - page)


def _mapped(array: Array) -> mmap.mmap | None:
    """The map of a whole file, where the system takes advice on it."""
    base: object = array.base
    return base if isinstance(base, mmap.mmap) and ADVISED else None


def _shared(part: Array) -> Tensor:
    """A tensor over an array's own memory where that can be, else a copy; on the GPU if any.

    Bytes stay with the processor: TensorFlow gathers none on a GPU, only their batches go there.
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
