"""What is recorded and shown of trials while they run, and how long a search will take."""

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
"""Seconds by which what MLflow knows of a running trial may be behind."""

PLAIN_EVERY = 30.0
"""Seconds between two lines on how far the search is, where there is no terminal."""

MOST_LINES = 32
"""Of a search with more trials only failures and improvements have a line each."""


class Watch:
    """Hears what trials report, tells MLflow and the screen.

    MLflow is told by a thread, so that no worker waits for it: a running trial's epochs in one
    batch every `EVERY` seconds, a trial that is shorter in one batch at its end. As a context it
    ends when all is told, and says where the time went.

    Args:
        run: of which the trials are.
        asked: how many trials are to run.
        inputs: the rows that a trial with this fold reads.
        known: results of earlier runs, among which the best may be.
        tells: whether the run says in MLflow how far it is.
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
        """Takes in what a trial has reported."""
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
    """The thread that tells MLflow, and TensorBoard where that was asked for."""

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
        self._tells, self._told = tells, 0
        self._next = time.monotonic() + EVERY
        self._boards: dict[str, Board] = {}

    def put(self, trial: Trial, message: Epoch | TrialResult) -> None:
        """Hands a message over."""
        self._messages.put((trial, message, time.time()))

    def check(self) -> None:
        """Raises what the thread met."""
        if self._failed is not None:
            raise self._failed

    def end(self) -> None:
        """Waits until all messages are told."""
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
            self._tell_parent()
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
        """What is new, in one batch a trial."""
        self._next = time.monotonic() + EVERY
        for run in self._open.values():
            run.send(older_than=time.time() - EVERY)
        self._tell_parent()

    def _tell_parent(self) -> None:
        progress = self._progress
        if not self._tells or progress.done == self._told:
            return
        self._told = progress.done
        metrics = {}
        if progress.best is not None:  # first: the metric that MLflow's comparison begins with
            metrics[f"best_{progress.objective}"] = progress.best
        self._run.tracker.log(metrics=metrics | {"trials_done": float(progress.done)})


def trial_line(name: str, result: TrialResult, objective: str) -> str:
    """What a trial came to, in words: its error, or score, epochs and seconds, why it was trained
    by Keras's `fit` if it was, and a word on it."""
    if result.status == "failed":
        return f"{name:30s} failed: {result.error}"[:200]
    score = score_words(result.scores, objective)
    epochs = f"{result.epochs:3d} epochs " if result.loop else ""
    slow = f"  by {result.loop}" if result.loop.startswith("fit") else ""
    note = f"  {result.note}" if result.note else ""
    return f"{name:30s} {score:21s} {epochs}{result.seconds:5.1f} s{slow}{note}"
