"""Carry out requests in a worker; what is cached between them changes no result."""

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
    """Carries out requests, and caches programs and arrays between them.

    TensorFlow is imported by the first request that needs it.

    Args:
        threads: number of threads to compute with; if None, TensorFlow's default, and one for
            estimators.
    """

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads
        self._used: WeakSet[object] = WeakSet()

    @cached_property
    def programs(self) -> Programs:
        """The cache for Keras models."""
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
            note: called with the number, from 1, and the logs of each epoch.
            built: called when the program is ready, with whether no trial has used it before.
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
        """Write the model's file and, if requested, its outputs: (n_rows, n_outputs) `.npy`."""
        from gristmill.pipelines.workers.model_export import export_arrays, export_network

        if request.recipe.model.library == "sklearn":
            export_arrays(request, self._threads or 1)
        else:
            export_network(request, self.programs)
