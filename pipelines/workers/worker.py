"""The worker process, which trains and predicts: the only process of a run with TensorFlow."""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Mapping
from itertools import pairwise
from multiprocessing import connection
from statistics import fmean
from typing import Any

from gristmill.pipelines.base import GristmillError, end_with_parent
from gristmill.pipelines.workers.bench import Bench
from gristmill.pipelines.workers.messages import Call, Done, Epoch, Export, Failure, Request

PAUSE = 0.25
"""Seconds between two reports on a trial; a report has all epochs since the last one."""


def serve(channel: connection.Connection, threads: int) -> None:
    """Carry out requests until the channel closes; exit at once if the parent process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()
    bench = Bench(threads)
    while True:
        try:
            request = channel.recv()
        except EOFError:
            return
        channel.send(carry_out(bench, request, channel.send))


def carry_out(bench: Bench, request: Request, tell: Callable[[Epoch], object]) -> Done:
    """Carry out a request; errors are returned, not raised.

    Args:
        bench: caches programs and arrays between requests.
        request: the request.
        tell: called with the reports on a trial's epochs.
    """
    if isinstance(request, Export):
        return Done(request.key, _failure(lambda: bench.export(request)))
    if isinstance(request, Call):
        returned: list[Any] = []
        error = _failure(lambda: returned.append(request.function(*request.arguments)))
        return Done(request.key, error, returned=returned[0] if returned else None)
    meter = TrialMeter(request.key, tell)
    error = _failure(lambda: bench.train(request, meter.note, meter.built))
    return Done(request.key, error, time.monotonic() - meter.began, meter.tracing)


def _failure(work: Callable[[], None]) -> Failure:
    try:
        work()
    except GristmillError as error:
        return error.record()
    except Exception as error:  # any error of a model fails its trial, not the search
        return "".join(traceback.format_exception_only(error)).strip()[:2000]
    return None


class TrialMeter:
    """Reports a trial's epochs, at most one report in `PAUSE` seconds, and measures its time.

    Attributes:
        began: start of the trial by the monotonic clock.
    """

    def __init__(self, key: str, tell: Callable[[Epoch], object]) -> None:
        self._key, self._tell = key, tell
        self.began = time.monotonic()
        self._ends = [self.began]  # then the end of building, and of each epoch
        self._fresh, self._told = False, 0.0
        self._new: list[Mapping[str, float]] = []

    def built(self, fresh: bool) -> None:
        """Record that the program is built; `fresh` if its first epoch will trace it."""
        self._fresh = fresh
        self._ends.append(time.monotonic())

    def note(self, number: int, logs: Mapping[str, float]) -> None:
        """Record the end of an epoch, and report it."""
        now = time.monotonic()
        self._ends.append(now)
        self._new.append(logs)
        if now - self._told >= PAUSE:
            self._tell(Epoch(self._key, number, tuple(self._new)))
            self._told = now
            self._new.clear()

    @property
    def tracing(self) -> float:
        """Seconds of building, plus the extra time of the first epoch of a fresh program.

        A single epoch cannot be compared with others, and counts as training.
        """
        seconds = [end - start for start, end in pairwise(self._ends)]
        building, epochs = sum(seconds[:1]), seconds[1:]
        if not self._fresh or len(epochs) < 2:
            return building
        return building + max(epochs[0] - fmean(epochs[1:]), 0.0)
