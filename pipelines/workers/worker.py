"""The process that trains and predicts: the only place where TensorFlow lives in a run."""

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
"""Seconds between two messages about a trial's epochs; a message tells of all since the last."""


def serve(channel: connection.Connection, threads: int) -> None:
    """Answer requests until the channel closes; end at once when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
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
    """Do what a request asks for, whatever comes of it.

    Args:
        bench: what is kept between requests.
        request: what to do.
        tell: takes the messages about a trial's epochs.
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
    except Exception as error:  # whatever a model raises fails its trial, not the search
        return "".join(traceback.format_exception_only(error)).strip()[:2000]
    return None


class TrialMeter:
    """Tells of a trial's epochs, not more often than the parent has use for, and takes its time.

    Attributes:
        began: by the monotonic clock.
    """

    def __init__(self, key: str, tell: Callable[[Epoch], object]) -> None:
        self._key, self._tell = key, tell
        self.began = time.monotonic()
        self._ends = [self.began]  # of the building, and of each epoch
        self._fresh, self._told = False, 0.0
        self._new: list[Mapping[str, float]] = []

    def built(self, fresh: bool) -> None:
        """The program is there; `fresh` when its first epoch will trace it."""
        self._fresh = fresh
        self._ends.append(time.monotonic())

    def note(self, number: int, logs: Mapping[str, float]) -> None:
        """An epoch has ended."""
        now = time.monotonic()
        self._ends.append(now)
        self._new.append(logs)
        if now - self._told >= PAUSE:
            self._tell(Epoch(self._key, number, tuple(self._new)))
            self._told = now
            self._new.clear()

    @property
    def tracing(self) -> float:
        """Seconds of building, and those by which the first epoch of a fresh program was longer.

        A single epoch cannot be told apart, and counts as training.
        """
        seconds = [end - start for start, end in pairwise(self._ends)]
        building, epochs = sum(seconds[:1]), seconds[1:]
        if not self._fresh or len(epochs) < 2:
            return building
        return building + max(epochs[0] - fmean(epochs[1:]), 0.0)
