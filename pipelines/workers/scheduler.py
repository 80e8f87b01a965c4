"""Distribute requests to workers, and repeat the requests of lost workers."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Generic, TypeVar

from gristmill.pipelines.training import LOST
from gristmill.pipelines.workers.messages import Done, Epoch, Request

TIMES = {1: "", 2: " twice"}


@dataclass(frozen=True)
class Ready:
    """A worker has started and accepts requests."""


@dataclass(frozen=True)
class Lost:
    """A worker is lost, and its progress on its request with it."""

    why: str


Worker = TypeVar("Worker")


class Scheduler(ABC, Generic[Worker]):
    """Distributes requests among workers of one thread count; a subclass implements the workers.

    The request of a lost worker is given to another one. If its worker is lost too often, it is
    assumed to be the cause, and reported as failed.

    Args:
        tell: called with lines for the user about refused or lost workers.

    Attributes:
        spent: time of the searches in seconds, averaged over the workers: `tracing` (building and
            tracing models), `training`, and `waiting` (starting, or no trial left).
        moves: how often a request is given to another worker after a loss.
    """

    moves = 1

    def __init__(self, tell: Callable[[str], object] = lambda line: None) -> None:
        self.spent: dict[str, float] = defaultdict(float)
        self._tell = tell
        self._threads = 0
        self._busy: dict[Worker, Request] = {}
        self._idle: list[Worker] = []

    @abstractmethod
    def slots(self, threads: int) -> int:
        """Return how many trials with this number of threads can run at the same time."""

    @abstractmethod
    def _start(self) -> None:
        """Start a worker; add it to the idle ones, or have `_hear` yield `Ready` for it."""

    @abstractmethod
    def _send(self, worker: Worker, request: Request) -> None:
        """Send a request to an idle worker; a loss is detected later by `_hear`."""

    @abstractmethod
    def _hear(self) -> Iterator[tuple[Worker, Epoch | Done | Ready | Lost]]:
        """Wait for reports; yield each with its worker."""

    @abstractmethod
    def _end(self, workers: Sequence[Worker]) -> None:
        """End workers at once."""

    def _prepare(self) -> None:
        """Prepare for requests; do nothing by default."""

    def _lives(self, worker: Worker) -> bool:
        """Return whether an idle worker is alive, as far as is known without waiting."""
        return True

    @property
    def _starting(self) -> int:
        """Number of started workers that are not ready yet."""
        return 0

    def train(
        self, feed: Callable[[], Request | None], workers: int, threads: int
    ) -> Iterator[Epoch | Done]:
        """Carry out requests in parallel; yield the workers' reports.

        Args:
            feed: called for a request whenever a worker is idle; returns None if there is none now.
                It is called again after each completed request; when it returns None and no request
                is running, the iteration ends.
            workers: largest number of workers.
            threads: threads per worker.

        Raises:
            EnvironmentFault: no worker can be started.
        """
        began, most = time.monotonic(), 0
        done: list[Done] = []
        try:
            with closing(self._carry_out(feed, workers, threads)) as messages:
                for message in messages:
                    most = max(most, len(self._busy) + isinstance(message, Done))
                    if isinstance(message, Done):
                        done.append(message)
                    yield message
        finally:
            count = max(most, 1)
            busy, tracing = sum(one.seconds for one in done), sum(one.tracing for one in done)
            self.spent["tracing"] += tracing / count
            self.spent["training"] += (busy - tracing) / count
            self.spent["waiting"] += max(time.monotonic() - began - busy / count, 0.0)

    def _carry_out(
        self, feed: Callable[[], Request | None], workers: int, threads: int
    ) -> Generator[Epoch | Done, None, None]:
        if threads != self._threads:
            self.stop()
            self._threads = threads
        self._prepare()
        waiting: deque[Request] = deque()
        losses: Counter[str] = Counter()
        try:
            while True:
                while len(self._busy) + len(waiting) < workers and (request := feed()) is not None:
                    waiting.append(request)
                if not self._busy and not waiting:
                    return
                self._hand_out(waiting, workers)
                for worker, said in self._hear():
                    if isinstance(said, Ready):
                        self._idle.append(worker)
                    elif isinstance(said, Lost):
                        request = self._busy.pop(worker)
                        yield from self._begin_again(request, said.why, waiting, losses)
                    else:
                        if isinstance(said, Done):
                            del self._busy[worker]
                            self._idle.append(worker)
                        yield said
        finally:
            if self._busy:  # interrupted: late reports must not be taken for those of a new request
                self.stop()

    def _hand_out(self, waiting: deque[Request], workers: int) -> None:
        self._idle = [worker for worker in self._idle if self._lives(worker)]
        coming = len(self._idle) + self._starting
        room = workers - len(self._busy) - coming
        for _ in range(min(len(waiting) - coming, room)):
            self._start()
        while waiting and self._idle:
            worker = self._idle.pop()
            self._busy[worker] = waiting.popleft()
            self._send(worker, self._busy[worker])

    def _begin_again(
        self, request: Request, why: str, waiting: deque[Request], losses: Counter[str]
    ) -> Iterator[Done]:
        losses[request.key] += 1
        times = losses[request.key]
        if times > self.moves:
            yield Done(request.key, f"{LOST}{TIMES.get(times, f' {times} times')}: {why}")
            return
        self._tell(f"a worker was lost; trial {request.key[:8]} moves to another one")
        waiting.appendleft(request)

    def stop(self) -> None:
        """End all workers at once."""
        workers = [*self._busy, *self._idle]
        self._busy.clear()
        self._idle.clear()
        self._end(workers)
