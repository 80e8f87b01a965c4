"""Work on the pieces of a table that is never in memory as a whole, on more than one core."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

THREADS = 2
"""Pieces that are worked on at a time; two more wait, so that memory stays small."""

Seen = TypeVar("Seen")
Done = TypeVar("Done")


def side_by_side(
    pieces: Iterable[Seen], work: Callable[[Seen], Done], threads: int = THREADS
) -> Iterator[tuple[Seen, Done]]:
    """What `work` makes of each piece, in order; a few at a time are under way."""
    under_way: deque[tuple[Seen, Future[Done]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for piece in pieces:
                under_way.append((piece, pool.submit(work, piece)))
                if len(under_way) > threads + 1:
                    seen, future = under_way.popleft()
                    yield seen, future.result()
            while under_way:
                seen, future = under_way.popleft()
                yield seen, future.result()
        finally:
            for _, future in under_way:
                future.cancel()
