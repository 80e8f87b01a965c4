"""Parallel work on the pieces of a table that is never in memory as a whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

THREADS = 2
"""Default number of pieces in work at a time; two more wait, so that memory stays small."""

Seen = TypeVar("Seen")
Done = TypeVar("Done")


def side_by_side(
    pieces: Iterable[Seen], work: Callable[[Seen], Done], threads: int = THREADS
) -> Iterator[tuple[Seen, Done]]:
    """Yield each piece with the result of `work`, in the order of the pieces.

    Args:
        pieces: Read lazily: at most `threads + 2` of them are in memory.
        work: Called with one piece, in one of the threads.
        threads: Number of threads.
    """
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
