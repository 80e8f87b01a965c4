"""Log a run and its trials to MLflow while they are running."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlsplit

from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import tags as names
from gristmill.pipelines.tracking.connection import client, store_errors, whole
from gristmill.pipelines.tracking.liveness import BEAT, heartbeat, mend_dead_runs, process_tags
from gristmill.pipelines.tracking.store import ARTIFACTS, is_local, tracking_uri
from gristmill.pipelines.tracking.stored import DataInput

Arguments = ParamSpec("Arguments")

LONGEST_TAG = 5000
"""Length of a tag in characters that every MLflow store accepts."""

BATCH = 1000
"""Largest number of metrics in one call to MLflow."""

_Point = tuple[str, float, float, int]
"""A metric's name, value, seconds since 1970, step."""


def _call(
    method: Callable[Concatenate[Tracker, Arguments], None],
) -> Callable[Concatenate[Tracker, Arguments], None]:
    """Make a method uninterruptible by Ctrl-C, and measure its time."""

    @wraps(method)
    def called(self: Tracker, /, *args: Arguments.args, **named: Arguments.kwargs) -> None:
        with whole(), self._part():
            method(self, *args, **named)

    return called


class Tracker:
    """One parent run and its trials.

    A context manager: the run ends as FINISHED, as FAILED on an error or as KILLED on Ctrl-C; open
    trials end as FAILED or KILLED.

    Args:
        project: the project, whose store is used.
        experiment: name of the experiment.
        part: returns a context manager that measures the time of a call.
        about: a text for the run's name, after the time.
    """

    def __init__(
        self,
        project: Project,
        experiment: str,
        part: Callable[[], AbstractContextManager[object]] = nullcontext,
        about: str = "",
    ) -> None:
        self._project, self.experiment, self._part = project, experiment, part
        self._about = about
        self.client = client(project)
        self._experiment_id = _experiment_id(project, experiment)
        self._open: list[str] = []
        self._until_end = ExitStack()
        self.run_id = ""

    def __enter__(self) -> Tracker:
        try:
            self._start()
        except KeyboardInterrupt:
            self.__exit__(KeyboardInterrupt)
            raise
        return self

    @_call
    def _start(self) -> None:
        import mlflow

        mend_dead_runs(self._project)
        mlflow.set_experiment(experiment_id=self._experiment_id)
        run = mlflow.start_run(
            run_name=" ".join(filter(None, (time.strftime("%Y-%m-%d %H:%M:%S"), self._about))),
            tags={
                names.EXPERIMENT: self.experiment,
                names.KIND: "run",
                BEAT: f"{time.time():.0f}",
                **process_tags(),
            },
        )
        self.run_id = run.info.run_id
        self._until_end.enter_context(heartbeat(self._project, self.run_id))

    @_call
    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        import mlflow

        self._until_end.close()
        status = "FINISHED"
        if kind is not None:
            status = "FAILED" if issubclass(kind, Exception) else "KILLED"
        for run_id in self._open:
            self.client.set_terminated(run_id, "KILLED" if status == "FINISHED" else status)
        mlflow.end_run(status)

    @_call
    def log(
        self,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Write to the run in one call.

        Args:
            params: parameters by name.
            metrics: values by name, with the present time and step 0.
            tags: tags by name, cut to 8000 characters.
        """
        now = time.time()
        points = [(name, value, now, 0) for name, value in (metrics or {}).items()]
        cut = {name: str(value)[:8000] for name, value in (tags or {}).items()}
        self.send(self.run_id, points, params or {}, cut)

    def send(
        self,
        run_id: str,
        metrics: Sequence[_Point],
        params: Mapping[str, object],
        tags: Mapping[str, str],
    ) -> None:
        """Write to a run, in as many calls as the metrics need.

        Args:
            run_id: MLflow's id of the run.
            metrics: (name, value, seconds since 1970, step) of each metric.
            params: parameters by name, cut to 6000 characters; sent with the first call.
            tags: tags by name; sent with the first call.
        """
        from mlflow.entities import Metric, Param, RunTag

        for start in range(0, max(len(metrics), 1), BATCH):
            self.client.log_batch(
                run_id,
                metrics=[
                    Metric(name, value, int(at * 1000), step)
                    for name, value, at, step in metrics[start : start + BATCH]
                ],
                params=[Param(name, str(value)[:6000]) for name, value in params.items()],
                tags=[RunTag(name, value) for name, value in tags.items()],
            )
            params, tags = {}, {}

    @_call
    def log_file(self, file: Path, folder: str | None = None) -> None:
        """Store a file as an artifact of the run."""
        self.client.log_artifact(self.run_id, str(file), folder)

    def address(self, name: str, ui: str) -> str:
        """Return the address of an artifact in MLflow's UI.

        Args:
            name: path of the artifact in the run.
            ui: address of the UI for the local store; a tracking server has its own.
        """
        parts = urlsplit(tracking_uri(self._project))
        if parts.scheme in ("http", "https"):
            ui = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        run = f"experiments/{self._experiment_id}/runs/{self.run_id}"
        return f"{ui.rstrip('/')}/#/{run}/artifacts/{name}"

    @_call
    def log_data(self, inputs: Sequence[DataInput], run_id: str | None = None) -> None:
        """Link the data sets that a run read; this run if `run_id` is None."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        self.client.log_inputs(
            run_id or self.run_id,
            [
                DatasetInput(
                    Dataset(
                        name=f"{data.name} {data.role}",
                        digest=data.digest[:36],
                        source_type="dvc",
                        source=json.dumps({"uri": data.source}),
                        profile=json.dumps({"num_rows": data.rows}),
                    ),
                    [InputTag("mlflow.data.context", data.role)],
                )
                for data in inputs
            ],
        )

    def create(self, name: str, tags: Mapping[str, str], began: float) -> str:
        """Create the run of a trial; return MLflow's id of it.

        Args:
            name: name of the run.
            tags: tags by name.
            began: seconds since 1970.
        """
        start, place = int(began * 1000), self._experiment_id
        run = self.client.create_run(place, start_time=start, tags=tags, run_name=name)
        self._open.append(run_id := str(run.info.run_id))
        return run_id

    def terminate(self, run_id: str, status: str) -> None:
        """End the run of a trial with one of MLflow's states."""
        self.client.set_terminated(run_id, status)
        self._open.remove(run_id)


@dataclass
class TrialRun:
    """The child run of a trial, logged in as few calls as possible: one for a short trial.

    It is created in MLflow with the first call.

    Attributes:
        tracker: the tracker of the parent run.
        key: key of the trial.
        name: readable name.
        params: parameters by name.
        parts: parts of the key.
        inputs: data sets that it reads.
        recipe: its resolved settings, stored if they fit in a tag.
        run_id: MLflow's id; empty until the run is created.
    """

    tracker: Tracker
    key: str
    name: str
    params: Mapping[str, object]
    parts: Mapping[str, str]
    inputs: Sequence[DataInput] = ()
    recipe: Mapping[str, Any] | None = None
    run_id: str = ""
    _began: float = field(default_factory=time.time)
    _known: dict[int, float] = field(default_factory=dict)
    _unsent: list[tuple[int, Mapping[str, float]]] = field(default_factory=list)

    def add(self, number: int, new: Sequence[Mapping[str, float]], now: float) -> None:
        """Record completed epochs; `send` or `finish` logs them.

        Args:
            number: number of the last one, from 1.
            new: metrics of each epoch.
            now: end of the last one, in seconds since 1970.
        """
        before = max(self._known.values(), default=self._began)
        for place, logs in enumerate(new):
            step = number - len(new) + place + 1
            self._known[step] = before + (now - before) * (place + 1) / len(new)
            self._unsent.append((step, logs))

    @whole()
    def send(self, older_than: float) -> None:
        """Log the epochs that were not logged yet.

        Args:
            older_than: seconds since 1970; a run that is not in MLflow yet is created only if it
                has an epoch from before this time, because a short trial needs one call at its end.
        """
        if not self._unsent:
            return
        if self.run_id or self._known[self._unsent[0][0]] <= older_than:
            self._log(self._metrics_of_unsent(), {})

    @whole()
    def finish(self, result: Mapping[str, Any], files: Sequence[Path]) -> None:
        """End the run: log the files, then one batch of metrics, then the state.

        Args:
            result: result of the trial; the part of its history not logged yet is logged.
            files: files to store as artifacts.
        """
        self._began = min(self._began, float(result["started"]) or self._began)
        self._open()
        for file in files:
            self.tracker.client.log_artifact(self.run_id, str(file))
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
        self.tracker.terminate(self.run_id, done)

    def _open(self) -> None:
        if self.run_id:
            return
        settings = json.dumps(self.recipe, sort_keys=True) if self.recipe is not None else ""
        tags = {
            **({names.RECIPE: settings} if 0 < len(settings) <= LONGEST_TAG else {}),
            names.PARENT: self.tracker.run_id,
            names.KIND: "trial",
            names.EXPERIMENT: self.tracker.experiment,
            names.TRIAL_KEY: self.key,
            names.TRIAL_PARTS: json.dumps(dict(self.parts), sort_keys=True),
            **process_tags(),
        }
        self.run_id = self.tracker.create(self.name, tags, self._began)
        if self.inputs:
            self.tracker.log_data(self.inputs, self.run_id)

    def _log(self, metrics: Sequence[_Point], tags: Mapping[str, str]) -> None:
        self._open()
        # MLflow's comparison shows the first metric: it should be one of the validation rows
        metrics = sorted(metrics, key=lambda one: (not one[0].startswith("val_"), one[0]))
        self.tracker.send(self.run_id, metrics, self.params, tags)
        self.params = {}
        self._unsent.clear()

    def _metrics_of_unsent(self) -> list[_Point]:
        return [
            (name, value, self._known[step], step)
            for step, logs in self._unsent
            for name, value in logs.items()
        ]


def _experiment_id(project: Project, name: str) -> str:
    connection = client(project)
    with store_errors("open its experiment"):
        found = connection.get_experiment_by_name(name)
        if found is not None:
            if found.lifecycle_stage == "deleted":
                connection.restore_experiment(found.experiment_id)
            return str(found.experiment_id)
        place = f"{(project.root / ARTIFACTS).as_uri()}/{name}" if is_local(project) else None
        kind = {"mlflow.experimentKind": "custom_model_development"}  # the UI's view of trainings
        return str(connection.create_experiment(name, artifact_location=place, tags=kind))


def _times(epochs: int, began: float, end: float, known: Mapping[int, float]) -> list[float]:
    """Return the end of each epoch; unknown ones are interpolated between known ones."""
    knots = [(0, began), *sorted(known.items())]
    if epochs > knots[-1][0]:
        knots.append((epochs, end))
    times: list[float] = []
    for (first, since), (last, until) in pairwise(knots):
        step = (until - since) / max(last - first, 1)
        times += [since + step * (place + 1) for place in range(last - first)]
    return times
