"""Recording and display of running trials."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from gristmill.flows.results import trial_parameters
from gristmill.flows.session import Session
from gristmill.flows.steps.progress import Progress
from gristmill.pipelines.search import score_words
from gristmill.pipelines.tracking import Board, DataInput, TrialRun, whole
from gristmill.pipelines.training import Trial, TrialResult, recipe_record
from gristmill.pipelines.workers import Epoch

EVERY = 2.0
"""Maximum delay in seconds of a running trial's metrics in MLflow."""

PLAIN_EVERY = 30.0
"""Seconds between two progress lines without a terminal."""

MOST_LINES = 32
"""With more trials than this, only failures and improvements get a line each."""


class Watch:
    """Receive the reports of trials, record them in MLflow and show them on the screen.

    A thread writes to MLflow, so that no worker waits for it: the epochs of a running trial in a
    batch every `EVERY` seconds, a shorter trial in one batch at its end. As a context it ends when
    everything is recorded, and adds the workers' times to the screen's parts.

    Args:
        run: session of the trials.
        asked: number of trials to run.
        inputs: returns the rows that a trial reads, by its fold.
        known: results of earlier runs; one of them can be the best.
        tells: whether to record the progress on the run in MLflow.
    """

    def __init__(
        self,
        run: Session,
        asked: int,
        inputs: Callable[[int | None], Sequence[DataInput]],
        known: Iterable[tuple[Trial, TrialResult]] = (),
        *,
        tells: bool = True,
    ) -> None:
        document = run.experiment.document
        self._run, self._objective = run, document.objective
        self._progress = Progress(
            asked, self._objective, (document.split.folds or 1) * document.search.repeats
        )
        for trial, result in known:
            if result.status == "finished":
                self._progress.know(trial, result)
        self._record = _Record(run, inputs, self._progress, tells=tells)
        self._said = time.monotonic()

    def __enter__(self) -> Watch:
        self._record.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        screen, spent = self._run.screen, self._run.trainer.spent
        screen.spend(spent)
        spent.clear()
        with screen.part("tracking"):
            self._record.end()
        if kind is None:
            self._record.check()

    def take(self, trial: Trial, message: Epoch | TrialResult) -> None:
        """Process a message of a trial."""
        self._record.check()
        self._record.put(trial, message)
        screen, progress = self._run.screen, self._progress
        if isinstance(message, Epoch):
            progress.epoch(trial, message)
        else:
            better = progress.finish(trial, message)
            if progress.asked <= MOST_LINES or better or message.status == "failed":
                screen.say(f"    {trial_line(trial.name, message, self._objective)}")
                self._said = time.monotonic()
        screen.now(*progress.lines())
        if not screen.console.is_terminal and time.monotonic() - self._said > PLAIN_EVERY:
            screen.say(f"    {progress.head()}")
            self._said = time.monotonic()


class _Record(threading.Thread):
    """The thread that writes to MLflow and, if requested, TensorBoard."""

    def __init__(
        self,
        run: Session,
        inputs: Callable[[int | None], Sequence[DataInput]],
        progress: Progress,
        *,
        tells: bool,
    ) -> None:
        super().__init__(name="record of trials", daemon=True)
        self._run, self._inputs, self._progress = run, inputs, progress
        self._messages: queue.SimpleQueue[tuple[Trial, Epoch | TrialResult, float] | None] = (
            queue.SimpleQueue()
        )
        self._open: dict[str, TrialRun] = {}
        self._failed: BaseException | None = None
        self._tells, self._recorded = tells, 0
        self._next = time.monotonic() + EVERY
        self._boards: dict[str, Board] = {}

    def put(self, trial: Trial, message: Epoch | TrialResult) -> None:
        """Queue a message."""
        self._messages.put((trial, message, time.time()))

    def check(self) -> None:
        """Raise the error of the thread, if any."""
        if self._failed is not None:
            raise self._failed

    def end(self) -> None:
        """Wait until all messages are recorded."""
        self._messages.put(None)
        with whole():
            self.join()

    def run(self) -> None:
        try:
            while True:
                try:
                    message = self._messages.get(timeout=max(self._next - time.monotonic(), 0.0))
                except queue.Empty:
                    self._send()
                    continue
                if message is None:
                    break
                self._take(*message)
            self._record_progress()
        except BaseException as error:
            self._failed = error

    def _take(self, trial: Trial, message: Epoch | TrialResult, now: float) -> None:
        if self._run.boards is not None:
            self._draw(self._run.boards, trial, message, now)
        if trial.key not in self._open:
            self._open[trial.key] = TrialRun(
                self._run.tracker,
                trial.key,
                trial.name,
                trial_parameters(trial),
                trial.parts,
                self._inputs(trial.fold),
                recipe_record(trial.recipe),
            )
        if isinstance(message, Epoch):
            self._open[trial.key].add(message.number, message.new, now)
            return
        folder = self._run.build / "trials" / trial.key
        files = [folder / "weights.npz", folder / "result.json"]
        run = self._open.pop(trial.key)
        run.finish(asdict(message), [file for file in files if file.exists()])

    def _draw(self, folder: Path, trial: Trial, message: Epoch | TrialResult, now: float) -> None:
        if trial.key not in self._boards:
            self._boards[trial.key] = Board(folder, trial.key, trial.name)
        if isinstance(message, Epoch):
            self._boards[trial.key].add(message.number, message.new, now)
        else:
            self._boards.pop(trial.key).close(message.history, now)

    def _send(self) -> None:
        """Send new epochs, in one batch per trial."""
        self._next = time.monotonic() + EVERY
        for run in self._open.values():
            run.send(older_than=time.time() - EVERY)
        self._record_progress()

    def _record_progress(self) -> None:
        progress = self._progress
        if not self._tells or progress.done == self._recorded:
            return
        self._recorded = progress.done
        metrics = {}
        if progress.best is not None:  # first, so that MLflow's comparison shows it first
            metrics[f"best_{progress.objective}"] = progress.best
        self._run.tracker.log(metrics=metrics | {"trials_done": float(progress.done)})


def trial_line(name: str, result: TrialResult, objective: str) -> str:
    """Return a line about the result of a trial.

    It shows the error, or score, epochs and seconds, the reason if Keras's `fit` trained it, and
    its note.

    Args:
        name: name of the trial.
        result: its result.
        objective: metric of the score.
    """
    if result.status == "failed":
        return f"{name:30s} failed: {result.error}"[:200]
    score = score_words(result.scores, objective)
    epochs = f"{result.epochs:3d} epochs " if result.loop else ""
    slow = f"  by {result.loop}" if result.loop.startswith("fit") else ""
    note = f"  {result.note}" if result.note else ""
    return f"{name:30s} {score:21s} {epochs}{result.seconds:5.1f} s{slow}{note}"
