"""Write training curves as TensorBoard event files, without TensorFlow."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VALIDATION = "val_"

MOST_LETTERS = 80
"""Characters of a trial's name in the folder's name; the trial's key makes it unique."""


class Board:
    """The curves of one trial: a TensorBoard run for training and one for validation.

    Epochs are written in order. For a resumed trial the earlier epochs are on disk already; if they
    are not, nothing is written until the end, when the whole history is known.

    Args:
        folder: folder of all curves.
        key: key of the trial.
        name: readable name of the trial.
    """

    def __init__(self, folder: Path, key: str, name: str) -> None:
        plain = "".join("_" if c in '/\\:*?"<>|' else c for c in name[:MOST_LETTERS]).strip(" .")
        self._folder = folder / f"{plain} {key[:8]}"
        self._name = f"events.out.tfevents.{time.time_ns()}.{os.getpid()}"
        self._last = 0

    def add(self, number: int, new: Sequence[Mapping[str, float]], now: float) -> None:
        """Write completed epochs; those written already are skipped.

        Args:
            number: number of the last one, from 1.
            new: metrics of each epoch; the names of validation metrics begin with `val_`.
            now: seconds since 1970.
        """
        first = number - len(new) + 1
        if first > self._last + 1 and not self._folder.exists():
            return
        if first == 1 and self._last == 0:  # the trial starts again
            shutil.rmtree(self._folder, ignore_errors=True)
        for step, logs in enumerate(new, first):
            if step > self._last:
                self._write(step, logs, now)
                self._last = step

    def close(self, history: Mapping[str, Sequence[float]], now: float) -> None:
        """Write the missing epochs of a trial that has ended.

        Args:
            history: each metric's values by epoch.
            now: seconds since 1970.
        """
        epochs = max(map(len, history.values()), default=0)
        logs = [{name: values[step] for name, values in history.items()} for step in range(epochs)]
        if logs:
            self.add(epochs, logs, now)

    def _write(self, step: int, logs: Mapping[str, float], now: float) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        for part in ("train", "validation"):
            values = [
                Summary.Value(tag=name.removeprefix(VALIDATION), simple_value=value)
                for name, value in logs.items()
                if name.startswith(VALIDATION) == (part == "validation")
            ]
            if values:
                self._append(part, Event(wall_time=now, step=step, summary=Summary(value=values)))

    def _append(self, part: str, *events: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        file = self._folder / part / self._name
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            events = (Event(wall_time=time.time(), file_version="brain.Event:2"), *events)
        with file.open("ab") as out:
            for event in events:
                RecordWriter(out).write(event.SerializeToString())
