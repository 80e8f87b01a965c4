"""Work in the background of a run's steps."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from gristmill.pipelines.base import EnvironmentFault

Result = TypeVar("Result")

PATIENCE = 5.0
"""Seconds to wait for work to end after its processes were stopped."""


class Work(Generic[Result]):
    """Work in a separate thread, so that Ctrl-C reaches the waiting main thread at once.

    DVC disables Ctrl-C in the main thread while a stage's command runs.

    Args:
        work: function to call; it starts at once.
        stop: ends the processes that the work has started.
        after: work to wait for first; if it fails, this fails as well.
    """

    def __init__(
        self,
        work: Callable[[], Result],
        stop: Callable[[], object] | None = None,
        after: Work[Any] | None = None,
    ) -> None:
        self._work, self._stop, self._after = work, stop, after
        self._ended = False
        self._future: Future[Result] = Future()
        self._thread = threading.Thread(target=self._carry_out, daemon=True)
        self._thread.start()

    def result(self) -> Result:
        """Wait for the result and return it, or raise the error of the work."""
        try:
            return self._future.result()
        except BaseException:
            if self._stop is not None:
                self._stop()
            raise

    @staticmethod
    def end(works: Collection[Work[Any]]) -> None:
        """End the processes of all works; work that has not started is not started."""
        for work in works:
            work._ended = True
        for work in works:
            late = time.monotonic() + PATIENCE
            while work._stop is not None and work._thread.is_alive() and time.monotonic() < late:
                work._stop()
                work._thread.join(0.05)

    def _carry_out(self) -> None:
        try:
            if self._after is not None:
                self._after.result()
            if self._ended:
                raise EnvironmentFault("the work was ended before it began")
            self._future.set_result(self._work())
        except BaseException as error:
            self._future.set_exception(error)
