"""Runs in MLflow: the one module that talks to its tracking interface."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlsplit

import psutil

from gristmill.pipelines.base import EnvironmentFault
from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import tags as names
from gristmill.pipelines.tracking.store import (
    ARTIFACTS,
    check_store,
    is_local,
    relocate,
    tracking_uri,
)

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_SKIP_PIP_REQUIREMENTS_CHECK": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",
    "MLFLOW_LOG_UV_FILES": "false",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""MLflow's settings; they must stand in the environment before it is imported."""

BATCH = 1000
"""Metrics that MLflow takes in one call."""

Arguments = ParamSpec("Arguments")

_Point = tuple[str, float, float, int]
"""A metric's name, value, seconds since 1970, step."""
LONGEST_TAG = 5000
"""Characters that every store of MLflow keeps of a tag."""

HOST, PID, BEGUN = "gristmill.host", "gristmill.pid", "gristmill.begun"


@dataclass(frozen=True)
class DataInput:
    """One role of a data set, as MLflow shows it: name, DVC's hash, rows."""

    name: str
    digest: str
    role: str
    rows: int
    source: str


@contextmanager
def whole() -> Iterator[None]:
    """Puts Ctrl-C off until calls to MLflow have ended; also a decorator.

    In the middle of one it leaves a transaction open, and the store locked for all that follows.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    kept = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler or signal.SIG_DFL)
        if came:
            signal.raise_signal(came[0])


def _call(
    method: Callable[Concatenate[Tracker, Arguments], None],
) -> Callable[Concatenate[Tracker, Arguments], None]:
    """A call to MLflow that is whole, and whose time is taken."""

    @wraps(method)
    def called(self: Tracker, /, *args: Arguments.args, **named: Arguments.kwargs) -> None:
        with whole(), self._part():
            method(self, *args, **named)

    return called


class Tracker:
    """One parent run and the trials below it.

    Used as a context: it ends FINISHED, FAILED on an error or KILLED on Ctrl-C, and so does every
    trial that is still open.

    Args:
        project: whose store it is in.
        experiment: of which it is a run.
        part: a context that takes the time of each call.
        about: what tells this run from others, for its name.
    """

    def __init__(
        self,
        project: Project,
        experiment: str,
        part: Callable[[], AbstractContextManager[object]] = nullcontext,
        about: str = "",
    ) -> None:
        self._project, self._experiment, self._part = project, experiment, part
        self._about = about
        self._client = client(project)
        self._experiment_id = _experiment_id(project, experiment)
        self._open: list[str] = []
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
            tags={names.EXPERIMENT: self._experiment, names.KIND: "run", **process_tags()},
        )
        self.run_id = run.info.run_id

    @_call
    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        import mlflow

        status = "FINISHED"
        if kind is not None:
            status = "FAILED" if issubclass(kind, Exception) else "KILLED"
        for run_id in self._open:
            self._client.set_terminated(run_id, "KILLED" if status == "FINISHED" else status)
        mlflow.end_run(status)

    @_call
    def log(
        self,
        *,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        run_id: str | None = None,
    ) -> None:
        """Writes to the parent run, or another, in one call."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        self._client.log_batch(
            run_id or self.run_id,
            metrics=[Metric(name, value, now, 0) for name, value in (metrics or {}).items()],
            params=[Param(name, str(value)[:6000]) for name, value in (params or {}).items()],
            tags=[RunTag(name, str(value)[:8000]) for name, value in (tags or {}).items()],
        )

    @_call
    def log_file(self, file: Path, folder: str | None = None, run_id: str | None = None) -> None:
        """Keeps a file as an artifact."""
        self._client.log_artifact(run_id or self.run_id, str(file), folder)

    def address(self, name: str, ui: str) -> str:
        """Of an artifact of the run in MLflow's UI.

        Args:
            name: of the artifact.
            ui: where the UI is, unless the runs go to a server, which has its own.
        """
        parts = urlsplit(tracking_uri(self._project))
        if parts.scheme in ("http", "https"):
            ui = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        run = f"experiments/{self._experiment_id}/runs/{self.run_id}"
        return f"{ui.rstrip('/')}/#/{run}/artifacts/{name}"

    @_call
    def log_data(self, inputs: Sequence[DataInput], run_id: str | None = None) -> None:
        """Links the data sets that a run read."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        self._client.log_inputs(
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

    def trial(
        self,
        key: str,
        name: str,
        params: Mapping[str, Any],
        parts: Mapping[str, str],
        inputs: Sequence[DataInput] = (),
        recipe: Mapping[str, Any] | None = None,
    ) -> TrialRun:
        """A child run; MLflow hears of it when there is something to send.

        Args:
            key: of the trial.
            name: for people.
            params: its parameters.
            parts: what the key was made of.
            inputs: the rows that it reads.
            recipe: its resolved settings, kept where a tag has room for them.
        """
        settings = json.dumps(recipe, sort_keys=True) if recipe is not None else ""
        tags = {
            **({names.RECIPE: settings} if 0 < len(settings) <= LONGEST_TAG else {}),
            names.PARENT: self.run_id,
            names.KIND: "trial",
            names.EXPERIMENT: self._experiment,
            names.TRIAL_KEY: key,
            names.TRIAL_PARTS: json.dumps(dict(parts), sort_keys=True),
            **process_tags(),
        }
        return TrialRun(self, name, tags, params, inputs)

    def _create(self, name: str, tags: Mapping[str, str], began: float) -> Any:
        run = self._client.create_run(
            self._experiment_id, start_time=int(began * 1000), tags=tags, run_name=name
        )
        self._open.append(run.info.run_id)
        return run.info

    def _terminate(self, run_id: str, status: str) -> None:
        self._client.set_terminated(run_id, status)
        self._open.remove(run_id)


class TrialRun:
    """One child run, told of in as few calls as will do: a short trial's metrics in one."""

    def __init__(
        self,
        tracker: Tracker,
        name: str,
        tags: Mapping[str, str],
        params: Mapping[str, Any],
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
        artifacts = _artifacts(self._info.artifact_uri)
        for file in files:
            artifacts.log_artifact(str(file))
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
        self._tracker._terminate(self.run_id, done)

    def _open(self) -> None:
        if self._info is None:
            self._info = self._tracker._create(self._name, self._tags, self._began)
            if self._inputs:
                self._tracker.log_data(self._inputs, self.run_id)

    def _log(self, metrics: Sequence[_Point], tags: Mapping[str, str]) -> None:
        from mlflow.entities import Metric, Param, RunTag

        self._open()
        # MLflow's comparison begins with the metric that came first: one of the validation rows
        metrics = sorted(metrics, key=lambda one: (not one[0].startswith("val_"), one[0]))
        for start in range(0, max(len(metrics), 1), BATCH):
            self._tracker._client.log_batch(
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


def _artifacts(uri: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(uri)


def import_mlflow() -> Any:
    """MLflow, which takes a second to import, without its telemetry and noise."""
    os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
    import logging

    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    return mlflow


def know_packages() -> None:
    """Has MLflow find out now which package each module is of; else saving a model waits for it."""
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

    warn_dependency_requirement_mismatches(["mlflow"])


def client(project: Project) -> Any:
    """MLflow's client for the project's store.

    Raises:
        EnvironmentFault: the store cannot be reached, read or written.
    """
    check_store(project)
    uri = tracking_uri(project)
    _reachable(uri)
    mlflow = import_mlflow()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    if is_local(project):
        relocate(project)
    return mlflow.MlflowClient()


@contextmanager
def store_errors(doing: str) -> Iterator[None]:
    """Turns what MLflow raises into one readable error."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        raise EnvironmentFault(
            f"MLflow could not {doing}",
            found=str(error).strip().split("\n")[0][:300],
            next="gristmill doctor",
        ) from error


def prepare_store(project: Project) -> None:
    """Makes the local store's tables, or brings them up to the installed version."""
    with store_errors("prepare its store"):
        client(project).search_experiments(max_results=1)


def tags_of(project: Project, run_id: str) -> Mapping[str, str]:
    """The tags of a run in any store; none when it is not there."""
    from mlflow.exceptions import MlflowException

    connection = client(project)
    try:
        return dict(connection.get_run(run_id).data.tags)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise


def find_runs(project: Project, tag: str, value: str, most: int = 50) -> list[names.Run]:
    """Finished runs with a tag in any store, newest first."""
    connection = client(project)
    with store_errors("look up runs"):
        experiments = [e.experiment_id for e in connection.search_experiments()]
        runs = connection.search_runs(
            experiments,
            f"tags.`{tag}` = '{value}' AND attributes.status = 'FINISHED'",
            order_by=["attributes.end_time DESC"],
            max_results=most,
        )
    return [(run.info.run_id, run.info.artifact_uri, dict(run.data.tags)) for run in runs]


def find_trials(
    project: Project, experiment: str, before: float
) -> list[tuple[str, str, Mapping[str, str], str]]:
    """Finished trials that ended before a time: id, artifact address, parameters, result."""
    connection = client(project)
    end = f" AND attributes.end_time <= {int(before * 1000)}" if math.isfinite(before) else ""
    found, page = [], None
    with store_errors("look up trials"):
        where = [e.experiment_id for e in connection.search_experiments()]
        while page is None or page:
            runs = connection.search_runs(
                where,
                f"tags.`{names.EXPERIMENT}` = '{experiment}' AND tags.`gristmill.kind` = 'trial' "
                f"AND attributes.status = 'FINISHED'{end}",
                max_results=1000,
                page_token=page,
            )
            found += list(runs)
            page = runs.token or ""
    return [
        (run.info.run_id, run.info.artifact_uri, dict(run.data.params), result)
        for run in found
        if (result := run.data.tags.get(names.TRIAL_RESULT))
    ]


def first_start(project: Project, tag: str, value: str) -> float:
    """When the first run with a tag began, in seconds since 1970; infinite when there is none."""
    connection = client(project)
    with store_errors("look up runs"):
        runs = connection.search_runs(
            [e.experiment_id for e in connection.search_experiments()],
            f"tags.`{tag}` = '{value}'",
            order_by=["attributes.start_time ASC"],
            max_results=1,
        )
    return runs[0].info.start_time / 1000 if runs else math.inf


def fetch_artifact(project: Project, run_id: str, name: str, folder: Path) -> Path:
    """Copies an artifact of a run into a folder.

    Raises:
        EnvironmentFault: it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    connection = client(project)
    from mlflow.exceptions import MlflowException

    try:
        return Path(connection.download_artifacts(run_id, name, str(folder)))
    except (MlflowException, OSError) as error:
        raise EnvironmentFault(
            f"the artifact {name} of run {run_id[:8]} is not in the store",
            found=str(error).split("\n")[0][:200],
        ) from error


def keep_artifact(project: Project, run_id: str, file: Path, folder: str | None = None) -> None:
    """Keeps a file as an artifact of a run; one of the same name is replaced."""
    connection = client(project)
    with whole(), store_errors(f"keep {file.name}"):
        connection.log_artifact(run_id, str(file), folder)


def has_artifact(project: Project, run_id: str, name: str) -> bool:
    """Whether a run kept an artifact; only a store that answers can say that it did not."""
    connection = client(project)
    folder = name.rpartition("/")[0] or None
    with store_errors(f"list the artifacts of run {run_id[:8]}"):
        return name in {str(found.path) for found in connection.list_artifacts(run_id, folder)}


def process_tags() -> dict[str, str]:
    """What tells whether the process of a run still lives."""
    me = psutil.Process()
    return {HOST: socket.gethostname(), PID: str(me.pid), BEGUN: f"{me.create_time():.2f}"}


def process_lives(host: str, pid: str, begun: str) -> bool:
    """Whether the process with these tags runs; on another host that cannot be known: yes."""
    if host != socket.gethostname():
        return True
    try:
        process = psutil.Process(int(pid))
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return bool(abs(process.create_time() - float(begun)) < 1)
    except (psutil.NoSuchProcess, ValueError):
        return False


def mend_dead_runs(project: Project) -> int:
    """Marks runs as KILLED that say RUNNING while their process is gone; returns how many."""
    connection = client(project)
    mended = 0
    with store_errors("look for runs whose process is gone"):
        experiments = [e.experiment_id for e in connection.search_experiments()]
        for run in connection.search_runs(experiments, "attributes.status = 'RUNNING'"):
            tags = run.data.tags
            if PID in tags and not process_lives(
                tags.get(HOST, ""), tags[PID], tags.get(BEGUN, "0")
            ):
                connection.set_terminated(run.info.run_id, "KILLED")
                mended += 1
    return mended


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


def _reachable(uri: str) -> None:
    """A server that does not answer is found out in seconds, not after MLflow's retries."""
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=5).close()
    except OSError as error:
        raise EnvironmentFault(
            "the MLflow server does not answer",
            expected=f"a server at {parts.scheme}://{parts.hostname}:{port} (MLFLOW_TRACKING_URI)",
            found=str(error),
            next="start it, or unset MLFLOW_TRACKING_URI to use the project's own store",
        ) from error
