"""Work that goes on beside the steps of a run."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class Work(Generic[Result]):
    """Work in a thread of its own, so that Ctrl-C reaches the one who waits for it at once.

    DVC turns Ctrl-C off in the main thread while a stage's command runs.

    Args:
        work: what to do; it begins at once.
        stop: ends the processes that it has started.
    """

    def __init__(
        self, work: Callable[[], Result], stop: Callable[[], object] = lambda: None
    ) -> None:
        self.stop = stop
        self._work = work
        self._done: list[Result] = []
        self._failed: list[BaseException] = []
        self._thread = threading.Thread(target=self._carry_out, daemon=True)
        self._thread.start()

    def result(self) -> Result:
        """Waits for what the work comes to; raises the error that it raised."""
        try:
            while self._thread.is_alive():
                self._thread.join(0.05)
            if self._failed:
                raise self._failed[0]
            return self._done[0]
        except BaseException:
            self.stop()
            raise

    def _carry_out(self) -> None:
        try:
            self._done.append(self._work())
        except BaseException as error:
            self._failed.append(error)
