"""Requests shared out among workers: what runs where, what is repeated when a worker is lost."""

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
    """A worker has started and may be given requests."""


@dataclass(frozen=True)
class Lost:
    """A worker is gone, and with it what it had carried out of its request."""

    why: str


Worker = TypeVar("Worker")


class Scheduler(ABC, Generic[Worker]):
    """Shares requests out among workers of one thread count; a subclass says what a worker is.

    The request of a worker that is lost goes on in another one. When it has been lost too often it
    is taken for the cause, and reported as failed.

    Args:
        tell: takes lines for the user, about workers that are refused or lost.

    Attributes:
        spent: where the time of the searches went, in seconds, as shares of what the workers could
            have done: `tracing`, in which models were built and traced; `training`; `waiting`, in
            which a worker had nothing to do: it was starting, or no trial was left.
        moves: times that a request is begun elsewhere when its worker is lost.
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
        """Return how many trials of so many threads there is room for at the same time."""

    @abstractmethod
    def _start(self) -> None:
        """Start a worker; it is put to the idle ones now, or `_hear` yields `Ready` for it."""

    @abstractmethod
    def _send(self, worker: Worker, request: Request) -> None:
        """Hand a request to an idle worker. A loss is left for `_hear` to find."""

    @abstractmethod
    def _hear(self) -> Iterator[tuple[Worker, Epoch | Done | Ready | Lost]]:
        """Wait until a worker has something to say; yield who says what."""

    @abstractmethod
    def _end(self, workers: Sequence[Worker]) -> None:
        """End workers at once."""

    def _prepare(self) -> None:
        """Make ready for requests; nothing by default."""

    def _lives(self, worker: Worker) -> bool:
        """Whether an idle worker is still there, as far as can be known at once."""
        return True

    @property
    def _starting(self) -> int:
        """How many workers have been started that `_hear` has not called ready."""
        return 0

    def train(
        self, feed: Callable[[], Request | None], workers: int, threads: int
    ) -> Iterator[Epoch | Done]:
        """Carry out requests, side by side; yield what the workers report.

        Args:
            feed: asked for a request whenever a worker has none; None for nothing now. It is asked
                again when a request is done, and all ends when none is left.
            workers: at most.
            threads: of each.

        Raises:
            EnvironmentFault: there is no room for the workers.
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
            if self._busy:  # cut short: what the workers still say must not reach a later request
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
        self._tell(f"a worker was lost; trial {request.key[:8]} goes elsewhere")
        waiting.appendleft(request)

    def stop(self) -> None:
        """End all workers at once."""
        workers = [*self._busy, *self._idle]
        self._busy.clear()
        self._idle.clear()
        self._end(workers)
