"""The progress of a search and its remaining time."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import fmean

from gristmill.pipelines.search import score_words
from gristmill.pipelines.training import Trial, TrialResult, more_is_better
from gristmill.pipelines.workers import Epoch

RUNNING = 4
"""Maximum number of running trials shown."""


@dataclass
class Progress:
    """The state of a running search.

    Attributes:
        asked: number of trials to run.
        objective: metric of the score, for example `val_accuracy`.
        parts: trials per point, one for each fold and repeat; their mean is the point's score.
        clock: returns monotonic seconds.
        best: best score so far; None before a point is complete.
        leader: the point with the best score.
        done: trials that have ended, failed ones included.
        failed: trials that have failed.
    """

    asked: int
    objective: str
    parts: int = 1
    clock: Callable[[], float] = time.monotonic
    best: float | None = None
    leader: str = ""
    done: int = 0
    failed: int = 0
    _running: dict[str, tuple[Trial, Epoch]] = field(default_factory=dict)
    _epochs: list[int] = field(default_factory=list)
    _scores: dict[str, dict[str, float]] = field(default_factory=lambda: defaultdict(dict))
    _start: tuple[float, float] | None = None

    def epoch(self, trial: Trial, message: Epoch) -> None:
        """Record an epoch of a trial."""
        self._running[trial.key] = trial, message
        self._clock_starts()

    def finish(self, trial: Trial, result: TrialResult) -> bool:
        """Record the end of a trial; return whether its point is the best so far."""
        self._running.pop(trial.key, None)
        self.done += 1
        self._clock_starts()
        if result.status != "finished":
            self.failed += 1
            return False
        self._epochs.append(result.epochs)
        return self.know(trial, result)

    def know(self, trial: Trial, result: TrialResult) -> bool:
        """Add a finished trial of any run; return whether its point is the best so far."""
        scores = self._scores[trial.point]
        if self.objective in result.scores:
            scores[trial.key] = result.scores[self.objective]  # the largest budget comes last
        if len(scores) < self.parts:
            return False
        score = fmean(scores.values())
        sign = -1 if more_is_better(self.objective) else 1
        if self.best is not None and sign * score >= sign * self.best:
            return False
        self.best, self.leader = score, trial.point
        return True

    def remaining(self) -> float | None:
        """Return the remaining seconds at the pace so far; None while it is unknown.

        A running trial is assumed to need the mean number of epochs of the finished ones, or its
        budget while none has finished.
        """
        if self._start is None:
            return None
        began, work = self._start
        gained, seconds = self._work() - work, self.clock() - began
        if gained <= 0 or seconds < 1:
            return None
        return seconds / gained * max(self.asked - self._work(), 0.0)

    def head(self) -> str:
        """Return a line with trials, failures, time left and the best score."""
        left = self.remaining()
        words = [f"{self.done}/{self.asked} trials"]
        words += [f"{self.failed} failed"] if self.failed else []
        words += [f"{_minutes(left)} left"] if left is not None else []
        if self.best is not None:
            words.append(f"best {score_words({self.objective: self.best}, self.objective)}")
        return "  ".join(words)

    def lines(self) -> list[str]:
        """Return the head and a line per running trial."""
        return [
            self.head(),
            *(
                f"epoch {message.number}/{trial.epochs}  "
                f"{score_words(message.logs, self.objective)}  {trial.name}"
                for trial, message in list(self._running.values())[:RUNNING]
            ),
        ]

    def _work(self) -> float:
        """Return the number of trials done, plus the fractions of the running ones."""
        typical = fmean(self._epochs) if self._epochs else None
        parts = (
            min(message.number / (typical or trial.epochs), 0.95)
            for trial, message in self._running.values()
        )
        return self.done + sum(parts)

    def _clock_starts(self) -> None:
        """Start measuring the pace at the first message, when the workers have started."""
        if self._start is None:
            self._start = self.clock(), self._work()


def _minutes(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
