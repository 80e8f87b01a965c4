"""The rows that a program trains on: shared with other processes, or streamed from their files."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import tensorflow as tf

MEMORY_SHARE = 0.5
"""Of the memory that is free, how much an array may take up before it is streamed."""

CHUNK = 128 * 2**20
"""Bytes of rows that are read ahead at a time while streaming."""

ALIGNMENT = 64
"""Bytes at a multiple of which TensorFlow wants memory that it did not allocate to begin."""

Parts = tuple[Any, ...]


def open_array(file: Path) -> npt.NDArray[Any]:
    """An `.npy` file mapped into memory.

    What fits is mapped so that TensorFlow can use its pages as they are: nothing writes to them, so
    all processes share one copy, the page cache's. A larger file is mapped for reading alone, the
    sign for `chunks` to stream it.
    """
    fits = file.stat().st_size <= MEMORY_SHARE * psutil.virtual_memory().available
    array: npt.NDArray[Any] = np.load(file, mmap_mode="c" if fits else "r")
    mapped = getattr(array, "_mmap", None)
    if mapped is not None and not fits and hasattr(mmap, "MADV_RANDOM"):
        mapped.madvise(mmap.MADV_RANDOM)
    return array


class Rows:
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

    @property
    def parts(self) -> Parts:
        """The arrays."""
        return self._parts

    def chunks(
        self, batch: int, order: npt.NDArray[np.int32] | None = None
    ) -> Iterator[tuple[Any, Parts]]:
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


def _read(parts: Parts, rows: npt.NDArray[np.int32]) -> tuple[Any, Parts]:
    """Some rows, read in the order of the file; and their order in the epoch."""
    places = np.argsort(rows)
    order = np.empty_like(rows)
    order[places] = np.arange(len(rows), dtype=np.int32)
    return tf.constant(order), tuple(tf.constant(part[rows[places]]) for part in parts)


def _shared(part: npt.NDArray[Any]) -> Any:
    """A tensor over an array's own memory where that can be, else a copy; on the GPU if any."""
    aligned = part.size and part.flags.c_contiguous and part.ctypes.data % ALIGNMENT == 0
    if aligned and part.flags.writeable:
        tensor = tf.experimental.dlpack.from_dlpack(part.__dlpack__())
    else:
        tensor = tf.constant(part)
    if tf.config.list_logical_devices("GPU"):
        with tf.device("GPU:0"):
            return tf.identity(tensor)
    return tensor
