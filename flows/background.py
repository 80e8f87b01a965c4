"""Work that goes on beside the steps of a run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from gristmill.pipelines.base import EnvironmentFault

Result = TypeVar("Result")

PATIENCE = 5.0
"""Seconds for work to see that its processes are gone."""


class Work(Generic[Result]):
    """Work in a thread of its own, so that Ctrl-C reaches the one who waits for it at once.

    DVC turns Ctrl-C off in the main thread while a stage's command runs.

    Args:
        work: what to do; it begins at once.
        stop: ends the processes that it has started.
        after: work that has to be done before; where that fails, this fails as well.
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
        """Waits for what the work comes to; raises the error that it raised."""
        try:
            return self._future.result()
        except BaseException:
            if self._stop is not None:
                self._stop()
            raise

    @staticmethod
    def end(works: Collection[Work[Any]]) -> None:
        """Ends the processes of all these; what has not begun does not begin."""
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
