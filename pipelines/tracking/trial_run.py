"""One trial's child run in MLflow."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gristmill.pipelines.tracking import tags as names
from gristmill.pipelines.tracking.connection import whole
from gristmill.pipelines.tracking.stored import DataInput

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import RunInfo

BATCH = 1000
"""Metrics that MLflow takes in one call."""

_Point = tuple[str, float, float, int]
"""A metric's name, value, seconds since 1970, step."""


class Parent(Protocol):
    """What a trial needs of the run that trains it."""

    client: MlflowClient

    def create(self, name: str, tags: Mapping[str, str], began: float) -> RunInfo:
        """Opens a child run."""

    def terminate(self, run_id: str, status: str) -> None:
        """Closes a child run."""

    def log_data(self, inputs: Sequence[DataInput], run_id: str | None = None) -> None:
        """Links the data sets that a run read."""


class TrialRun:
    """One child run, reported in as few calls as will do: a short trial's metrics in one.

    Args:
        tracker: of the run that trains it.
        name: for people.
        tags: of the child run.
        params: its parameters.
        inputs: the rows that it reads.
    """

    def __init__(
        self,
        tracker: Parent,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, object],
        inputs: Sequence[DataInput],
    ) -> None:
        self._tracker, self._name, self._inputs = tracker, name, inputs
        self._tags = dict(tags)
        self._params: Mapping[str, Any] = params
        self._began = time.time()
        self._known: dict[int, float] = {}
        self._unsent: list[tuple[int, Mapping[str, float]]] = []
        self._info: Any = None

    @property
    def run_id(self) -> str:
        """Empty while MLflow has not heard of it."""
        return str(self._info.run_id) if self._info is not None else ""

    def add(self, number: int, new: Sequence[Mapping[str, float]], now: float) -> None:
        """Epochs that have ended.

        Args:
            number: of the last one, from 1.
            new: metrics of each.
            now: when the last one ended, in seconds since 1970.
        """
        before = max(self._known.values(), default=self._began)
        for place, logs in enumerate(new):
            step = number - len(new) + place + 1
            self._known[step] = before + (now - before) * (place + 1) / len(new)
            self._unsent.append((step, logs))

    @whole()
    def send(self, older_than: float) -> None:
        """Sends what is new.

        Args:
            older_than: what MLflow has not heard of yet is opened for epochs before this time only,
                in seconds since 1970, for a short trial may end before anyone has looked.
        """
        if not self._unsent:
            return
        if self._info is not None or self._known[self._unsent[0][0]] <= older_than:
            self._log(self._metrics_of_unsent(), {})

    @whole()
    def finish(self, result: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Closes the run: files first, then one batch, then the state.

        Args:
            result: of the trial; of its history what was not sent yet is.
            files: to be kept as artifacts.
        """
        self._began = min(self._began, float(result["started"]) or self._began)
        self._open()
        for file in files:
            self._tracker.client.log_artifact(self.run_id, str(file))
        epochs = max(map(len, result["history"].values()), default=0)
        sent = set(self._known) - {step for step, _ in self._unsent}
        self._unsent = [(step, logs) for step, logs in self._unsent if step > epochs]
        end = max(self._began + float(result["seconds"]), *self._known.values(), 0.0)
        times = _times(epochs, float(result["started"]), end, self._known)
        metrics = self._metrics_of_unsent()
        metrics += [
            (name, value, times[step - 1], step)
            for name, values in result["history"].items()
            for step, value in enumerate(values, 1)
            if step not in sent
        ]
        metrics += [(f"best_{name}", value, end, 0) for name, value in result["scores"].items()]
        about = {key: value for key, value in result.items() if key != "history"}
        tags = {names.TRIAL_RESULT: json.dumps(about)}
        if result["error"]:
            tags["gristmill.error"] = str(result["error"])[:5000]
        self._log(metrics, tags)
        done = "FINISHED" if result["status"] == "finished" else "FAILED"
        self._tracker.terminate(self.run_id, done)

    def _open(self) -> None:
        if self._info is None:
            self._info = self._tracker.create(self._name, self._tags, self._began)
            if self._inputs:
                self._tracker.log_data(self._inputs, self.run_id)

    def _log(self, metrics: Sequence[_Point], tags: Mapping[str, str]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        self._open()
        # MLflow's comparison begins with the metric that came first: one of the validation rows
        metrics = sorted(metrics, key=lambda one: (not one[0].startswith("val_"), one[0]))
        for start in range(0, max(len(metrics), 1), BATCH):
            self._tracker.client.log_batch(
                self.run_id,
                metrics=[
                    Metric(name, value, int(at * 1000), step)
                    for name, value, at, step in metrics[start : start + BATCH]
                ],
                params=[Param(name, str(value)[:6000]) for name, value in self._params.items()],
                tags=[RunTag(name, value) for name, value in tags.items()],
            )
            self._params, tags = {}, {}
        self._unsent.clear()

    def _metrics_of_unsent(self) -> list[_Point]:
        return [
            (name, value, self._known[step], step)
            for step, logs in self._unsent
            for name, value in logs.items()
        ]


def _times(epochs: int, began: float, end: float, known: Mapping[int, float]) -> list[float]:
    """When each epoch ended: those that are not known lie evenly between those that are."""
    knots = [(0, began), *sorted(known.items())]
    if epochs > knots[-1][0]:
        knots.append((epochs, end))
    times: list[float] = []
    for (first, since), (last, until) in pairwise(knots):
        step = (until - since) / max(last - first, 1)
        times += [since + step * (place + 1) for place in range(last - first)]
    return times
