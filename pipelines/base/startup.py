"""Garbage collection, turned off while heavy libraries are imported."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Turn off garbage collection inside the block.

    An import creates no garbage, and collection takes up to a quarter of its time. The objects
    that exist at the end are excluded from later collections, in forked processes too.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
