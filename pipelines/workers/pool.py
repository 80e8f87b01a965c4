"""Worker processes that share the trials; TensorFlow is imported once, before there is work."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import psutil

from gristmill.pipelines.base import EnvironmentFault, GristmillError
from gristmill.pipelines.training import LOST, cores
from gristmill.pipelines.workers.worker import Call, Done, Epoch, Export, Train, serve

IMPORTED = {
    "keras": ("tensorflow", "keras", "gristmill.pipelines.training.programs"),
    "sklearn": (
        "sklearn.linear_model",
        "sklearn.ensemble",
        "gristmill.pipelines.training.estimators",
    ),
    "none": (),
}
"""What workers import before there is work, by the library that trains."""

Result = TypeVar("Result")
Library = Literal["keras", "sklearn", "none"]

UNCOLLECTED = "gristmill.pipelines.workers.uncollected"

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "KERAS_BACKEND": "tensorflow",
    "GRPC_VERBOSITY": "NONE",
}
"""Environment of the workers; it must stand before TensorFlow is imported."""


@dataclass
class Spent:
    """Where the time of searches went, as shares of what the workers could have done.

    Attributes:
        tracing: seconds in which models were built and traced.
        training: in which they were trained.
        waiting: in which a worker had nothing to do: it was starting, or no trial was left.
    """

    tracing: float = 0.0
    training: float = 0.0
    waiting: float = 0.0

    def add(self, wall: float, workers: int, done: Iterable[Done]) -> None:
        """Adds a search.

        Args:
            wall: its seconds.
            workers: that were at work at the same time, at most.
            done: what they did.
        """
        busy = tracing = 0.0
        for one in done:
            busy += one.seconds
            tracing += one.tracing
        count = max(workers, 1)
        self.tracing += tracing / count
        self.training += (busy - tracing) / count
        self.waiting += max(wall - busy / count, 0.0)

    def clear(self) -> None:
        """Begins anew."""
        self.tracing = self.training = self.waiting = 0.0


def metered(
    messages: Iterator[Epoch | Done], busy: Collection[Any], spent: Spent
) -> Iterator[Epoch | Done]:
    """The messages of a search; what they tell of time goes to `spent` at its end.

    Args:
        busy: the workers that are at work at any time.
    """
    began, most = time.monotonic(), 0
    done: list[Done] = []
    try:
        for message in messages:
            most = max(most, len(busy) + isinstance(message, Done))
            if isinstance(message, Done):
                done.append(message)
            yield message
    finally:
        spent.add(time.monotonic() - began, most, done)


class Trains(Protocol):
    """What shares trials among workers, on this machine or on others."""

    spent: Spent

    def slots(self, threads: int) -> int:
        """Trials of so many threads that there is room for at the same time."""
        ...

    def train(
        self, feed: Callable[[], Train | None], workers: int, threads: int
    ) -> Iterator[Epoch | Done]:
        """See `Pool.train`."""
        ...


class Pool:
    """Processes of one thread count each; what they write to standard error goes to a log.

    The first one forks from a server that has the library imported already. Workers end with this
    process, however that ends.

    Args:
        log: where they write.
        library: that most trials are trained with; another one is imported when it is asked for.
            All pools of a process fork from the same server, which the first of them starts.

    Attributes:
        spent: where the time of the searches went.
    """

    def __init__(self, log: Path, library: Library = "keras") -> None:
        self.spent = Spent()
        self._log, self._library = log, library
        self._context = multiprocessing.get_context("forkserver")
        self._workers: list[tuple[BaseProcess, connection.Connection]] = []
        self._threads = 0
        self._closed = False

    def slots(self, threads: int) -> int:
        """Trials of so many threads that the cores of this machine can train at the same time."""
        return max(1, cores() // threads)

    def warm_up(self) -> None:
        """Lets the library be imported in the background; returns at once.

        Raises:
            EnvironmentFault: it was closed. A thread that outlives Ctrl-C must start nothing.
        """
        if self._closed:
            raise EnvironmentFault("the workers were stopped")
        os.environ.update(QUIET)
        modules = [UNCOLLECTED, *IMPORTED[self._library], "gristmill.pipelines.workers.worker"]
        self._context.set_forkserver_preload(modules)
        with _errors_to(self._log), _this_code():
            multiprocessing.forkserver.ensure_running()

    def train(
        self, feed: Callable[[], Train | None], workers: int, threads: int
    ) -> Iterator[Epoch | Done]:
        """Carries out requests, side by side; yields what the workers report.

        A worker that dies is replaced, and its request goes on in another; one that costs a second
        worker its life is reported as failed.

        Args:
            feed: asked for a request whenever a worker has none; None for nothing now. It is asked
                again when a request is done, and all ends when none is left.
            workers: processes at most.
            threads: of each.
        """
        self._ready(0, threads)
        busy: dict[connection.Connection, Train] = {}
        try:
            yield from metered(self._share(feed, busy, workers), busy, self.spent)
        finally:
            if busy:  # cut short: what the workers still say must not reach a later request
                self.stop()

    def _share(
        self,
        feed: Callable[[], Train | None],
        busy: dict[connection.Connection, Train],
        workers: int,
    ) -> Iterator[Epoch | Done]:
        again: list[Train] = []
        lost: set[str] = set()
        while True:
            while len(busy) < workers and (request := again.pop() if again else feed()) is not None:
                channel = self._idle(busy)
                busy[channel] = request
                with suppress(BrokenPipeError):  # it died just now, as reading it will show
                    channel.send(request)
            if not busy:
                return
            ready = connection.wait(list(busy))
            for channel in [channel for channel in busy if channel in ready]:
                try:
                    message = channel.recv()
                except (EOFError, ConnectionResetError):
                    request, why = busy.pop(channel), self._replace(channel)
                    if request.key in lost:
                        yield Done(request.key, f"{LOST} twice: {why}")
                    else:
                        lost.add(request.key)
                        again.append(request)
                    continue
                if isinstance(message, Done):
                    busy.pop(channel)
                yield message

    def _idle(self, busy: Collection[connection.Connection]) -> connection.Connection:
        """The channel of a worker without a request; a new one's when all have one."""
        self._ready(len(busy) + 1, self._threads, busy)
        return next(channel for _, channel in self._workers if channel not in busy)

    def export(self, request: Export, threads: int) -> None:
        """Has a worker write a trained model and its outputs; another one, should that die.

        Raises:
            GristmillError: what the worker met.
        """
        self._ask(request, threads, "the process that evaluates")

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Has a worker call a function; another one, should that die.

        Args:
            function: of this project. Its arguments and its result must be picklable.

        Raises:
            GristmillError: what the worker met.
        """
        name = f"the process that calls {function.__name__}"
        returned: Result = self._ask(Call(function, arguments), 1, name).returned
        return returned

    def _ask(self, request: Export | Call, threads: int, who: str) -> Done:
        for last in (False, True):
            self._ready(1, threads)
            channel = self._workers[0][1]
            try:
                channel.send(request)
                done: Done = channel.recv()
            except (EOFError, ConnectionError) as error:
                why = self._replace(channel)
                if last:
                    raise EnvironmentFault(f"{who} ended twice", found=why) from error
            else:
                raise_error(done)
                break
        return done

    def stop(self) -> None:
        """Ends all workers at once."""
        for process, channel in self._workers:
            process.kill()
            channel.close()
        for process, _ in self._workers:
            process.join()
        self._workers.clear()

    def close(self) -> None:
        """Ends the workers for good, and the process that they fork from even while it imports."""
        self._closed = True
        self.stop()
        for child in psutil.Process().children():
            with suppress(psutil.NoSuchProcess):
                if "multiprocessing.forkserver" in " ".join(child.cmdline()):
                    child.kill()

    def _ready(
        self, count: int, threads: int, busy: Collection[connection.Connection] = ()
    ) -> None:
        if threads != self._threads:
            self.stop()
            self._threads = threads
        # The channel of a dead worker ends at once; the server that it was forked from, and so
        # is_alive(), hears of it later. One that has nothing to do says nothing.
        dead = [w for w in self._workers if w[1] not in busy and w[1].poll()]
        self._workers = [worker for worker in self._workers if worker not in dead]
        for _, channel in dead:
            channel.close()
        while len(self._workers) < count:
            self._start()

    def _start(self) -> None:
        self.warm_up()
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs, self._threads), daemon=True)
        process.start()
        theirs.close()
        self._workers.append((process, ours))

    def _replace(self, channel: Any) -> str:
        index = next(i for i, (_, c) in enumerate(self._workers) if c is channel)
        process, _ = self._workers.pop(index)
        process.join()
        self._start()
        code = process.exitcode or 0
        return f"signal {-code}, out of memory?" if code < 0 else f"exit status {code}"


@contextmanager
def _this_code() -> Iterator[None]:
    """Processes that are started inside import this code, not what lies in the current folder."""
    kept = os.environ.get("PYTHONSAFEPATH")
    os.environ["PYTHONSAFEPATH"] = "1"
    try:
        yield
    finally:
        if kept is None:
            del os.environ["PYTHONSAFEPATH"]
        else:
            os.environ["PYTHONSAFEPATH"] = kept


@contextmanager
def _errors_to(log: Path) -> Iterator[None]:
    """Processes that are started inside inherit a file as standard error."""
    log.parent.mkdir(parents=True, exist_ok=True)
    kept = os.dup(2)
    try:
        with log.open("w") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def raise_error(done: Done) -> None:
    """Raises what a worker reported, if anything."""
    if isinstance(done.error, dict):
        raise GristmillError.from_record(done.error)
    if done.error is not None:
        raise EnvironmentFault("a worker process failed", found=str(done.error))
