"""The search for garbage, put off while heavy libraries are imported."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage inside: an import makes none, and the search is up to a quarter of it.

    What is left is never searched again, also not by processes that are forked later.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
