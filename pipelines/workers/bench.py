"""Where trials are trained: what is kept from one to the next changes no result."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from gristmill.pipelines.training import Programs
    from gristmill.pipelines.workers.messages import Export, Train


class Bench:
    """Where requests are carried out; what it keeps between them changes no result.

    TensorFlow is imported with the first request that needs it.

    Args:
        threads: that it computes with; one, and for TensorFlow its own choice, if left out.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._used: WeakSet[object] = WeakSet()

    @cached_property
    def programs(self) -> Programs:
        """What is kept for Keras's models."""
        from gristmill.pipelines.training import Programs, use_threads

        if self._threads is not None:
            use_threads(self._threads)
        return Programs()

    def train(
        self,
        request: Train,
        note: Callable[[int, Mapping[str, float]], None],
        built: Callable[[bool], object] = lambda fresh: None,
    ) -> None:
        """Run one trial; see `run_trial`.

        Args:
            request: the trial.
            note: told each epoch's number and logs.
            built: told when the program is ready, and whether no trial has used it yet.
        """
        if request.recipe.model.library == "sklearn":
            from gristmill.pipelines.training import train_estimator

            request.folder.mkdir(parents=True, exist_ok=True)
            threads = self._threads or 1
            train_estimator(request.key, request.recipe, request.data, request.folder, threads)
            return
        from gristmill.pipelines.training import run_trial

        begun = time.monotonic()
        program = self.programs.program(request.recipe, request.data, request.modules)
        built(program not in self._used)
        self._used.add(program)
        request.folder.mkdir(parents=True, exist_ok=True)
        run_trial(request.key, request.recipe, program, request.folder, note, begun)

    def export(self, request: Export) -> None:
        """Write the model's file and, if asked for, the outputs: (n_rows, n_outputs) `.npy`."""
        from gristmill.pipelines.workers.model_export import export_arrays, export_network

        if request.recipe.model.library == "sklearn":
            export_arrays(request, self._threads or 1)
        else:
            export_network(request, self.programs)
