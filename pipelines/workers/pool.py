"""Worker processes on this machine, forked from a server that has imported TensorFlow."""

from __future__ import annotations

import multiprocessing
import multiprocessing.forkserver
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal, TypeVar

import psutil

from gristmill.pipelines.base import EnvironmentFault
from gristmill.pipelines.training import LOST, cores
from gristmill.pipelines.workers.messages import Call, Done, Epoch, Export, Request, raise_error
from gristmill.pipelines.workers.scheduler import Lost, Scheduler
from gristmill.pipelines.workers.worker import serve

PRELOADED = {"keras": "preload_keras", "sklearn": "preload_sklearn", "none": "worker"}
"""The module that the server preloads for its workers, by training library."""

Result = TypeVar("Result")
Library = Literal["keras", "sklearn", "none"]

QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "KERAS_BACKEND": "tensorflow",
    "GRPC_VERBOSITY": "NONE",
}
"""Environment variables of the workers; they must be set before TensorFlow is imported."""


@dataclass(frozen=True, eq=False)
class WorkerProcess:
    """A worker process, and this end of the channel to it."""

    process: BaseProcess
    channel: connection.Connection


class Pool(Scheduler[WorkerProcess]):
    """Worker processes; their standard error goes to a log.

    Workers are forked from a server that has imported the library. They exit when this process
    ends, even if it is killed.

    Args:
        log: file for their standard error.
        library: library to preload; another one is imported on first use. All pools of a process
            share the server, which the first of them starts.
    """

    def __init__(self, log: Path, library: Library = "keras") -> None:
        super().__init__()
        self._log, self._library = log, library
        self._context = multiprocessing.get_context("forkserver")
        self._closed = False

    def slots(self, threads: int) -> int:
        """Return how many trials with this number of threads the cores of this machine can run."""
        return max(1, cores() // threads)

    def warm_up(self) -> None:
        """Start the server, which imports the library in the background; return at once.

        Raises:
            EnvironmentFault: the pool is closed; a thread that outlives Ctrl-C must start nothing.
        """
        if self._closed:
            raise EnvironmentFault("the workers were stopped")
        os.environ.update(QUIET)
        module = f"gristmill.pipelines.workers.{PRELOADED[self._library]}"
        self._context.set_forkserver_preload([module])
        with _inherited(self._log):
            multiprocessing.forkserver.ensure_running()

    def export(self, request: Export, threads: int) -> None:
        """Write a trained model and its outputs in a worker; repeat it once if the worker dies.

        Raises:
            GristmillError: the error in the worker, or two workers died.
        """
        self._ask(request, threads, "the process that evaluates")

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function in a worker; repeat it once if the worker dies.

        Args:
            function: a function of this project. Its arguments and result must be picklable.

        Raises:
            GristmillError: the error in the worker, or two workers died.
        """
        name = f"the process that calls {function.__name__}"
        returned: Result = self._ask(Call(function, arguments), 1, name).returned
        return returned

    def _ask(self, request: Export | Call, threads: int, who: str) -> Done:
        asked = iter([request])
        messages = self._carry_out(lambda: next(asked, None), 1, threads)
        (done,) = (message for message in messages if isinstance(message, Done))
        if isinstance(done.error, str) and done.error.startswith(LOST):
            raise EnvironmentFault(f"{who} ended twice", found=done.error.partition(": ")[2])
        raise_error(done)
        return done

    def close(self) -> None:
        """End the workers for good, and the server that they fork from, even while it imports."""
        self._closed = True
        self.stop()
        for child in psutil.Process().children():
            with suppress(psutil.NoSuchProcess, ChildProcessError):
                if "multiprocessing.forkserver" in " ".join(child.cmdline()):
                    child.kill()
                    # only waits: the next pool of this process looks for the status of the server
                    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    def _start(self) -> None:
        self.warm_up()
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs, self._threads), daemon=True)
        process.start()
        theirs.close()
        self._idle.append(WorkerProcess(process, ours))

    def _send(self, worker: WorkerProcess, request: Request) -> None:
        with suppress(BrokenPipeError):  # it has just died; `_hear` will detect it
            worker.channel.send(request)

    def _hear(self) -> Iterator[tuple[WorkerProcess, Epoch | Done | Lost]]:
        channels = {worker.channel: worker for worker in self._busy}
        ready = connection.wait(list(channels))
        for channel in [channel for channel in channels if channel in ready]:
            worker = channels[channel]
            said: Epoch | Done | Lost
            try:
                said = channel.recv()
            except (EOFError, ConnectionResetError):
                channel.close()
                worker.process.join()
                code = worker.process.exitcode or 0
                ended = f"signal {-code}, out of memory?" if code < 0 else f"exit status {code}"
                said = Lost(ended)
            yield worker, said

    def _lives(self, worker: WorkerProcess) -> bool:
        """Return whether an idle worker's channel is silent; that of a dead one is at its end.

        `is_alive()` would detect the end later, because the server reports it.
        """
        dead = worker.channel.poll()
        if dead:
            worker.channel.close()
        return not dead

    def _end(self, workers: Sequence[WorkerProcess]) -> None:
        for worker in workers:
            worker.process.kill()
            worker.channel.close()
        for worker in workers:
            worker.process.join()


@contextmanager
def _inherited(log: Path) -> Iterator[None]:
    """Have processes started inside write standard error to a file.

    They import this code, not modules in the current folder.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    errors, environment = os.dup(2), dict(os.environ)
    try:
        os.environ["PYTHONSAFEPATH"] = "1"
        with log.open("w") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(errors, 2)
        os.close(errors)
        del os.environ["PYTHONSAFEPATH"]
        os.environ.update(environment)
