"""Runs in MLflow: the one module that talks to its tracking interface."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from pipelines.config import EnvironmentFault, Project
from pipelines.tracking import tags as names
from pipelines.tracking.store import ARTIFACTS, check_store, is_local, relocate, tracking_uri

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
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


class Tracker:
    """One parent run and the trials below it.

    Used as a context: it ends FINISHED, FAILED on an error or KILLED on Ctrl-C, and so does every
    trial that is still open.
    """

    def __init__(self, project: Project, experiment: str) -> None:
        self._project, self._experiment = project, experiment
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

    @whole()
    def _start(self) -> None:
        import mlflow

        mend_dead_runs(self._project)
        mlflow.set_experiment(experiment_id=self._experiment_id)
        run = mlflow.start_run(
            run_name=time.strftime("%Y-%m-%d %H:%M:%S"),
            tags={names.EXPERIMENT: self._experiment, names.KIND: "run", **process_tags()},
        )
        self.run_id = run.info.run_id

    @whole()
    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        import mlflow

        status = "FINISHED"
        if kind is not None:
            status = "FAILED" if issubclass(kind, Exception) else "KILLED"
        for run_id in self._open:
            self._client.set_terminated(run_id, "KILLED" if status == "FINISHED" else status)
        mlflow.end_run(status)

    @whole()
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

    @whole()
    def log_file(self, file: Path, folder: str | None = None, run_id: str | None = None) -> None:
        """Keeps a file as an artifact."""
        self._client.log_artifact(run_id or self.run_id, str(file), folder)

    @whole()
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

    @whole()
    def start_trial(
        self,
        key: str,
        name: str,
        params: Mapping[str, Any],
        parts: Mapping[str, str],
        recipe: Mapping[str, Any] | None = None,
    ) -> str:
        """Opens a child run; `recipe` is kept where a tag has room for it."""
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
        run = self._client.create_run(self._experiment_id, tags=tags, run_name=name)
        self._open.append(run.info.run_id)
        self.log(params=params, run_id=run.info.run_id)
        return str(run.info.run_id)

    @whole()
    def finish_trial(self, run_id: str, result: Mapping[str, Any], files: Sequence[Path]) -> None:
        """Closes a child run: files first, then one batch, then the state."""
        from mlflow.entities import Metric, RunTag

        for file in files:
            self._client.log_artifact(run_id, str(file))
        began, seconds = float(result["started"]), float(result["seconds"])
        metrics = [
            Metric(name, value, int((began + seconds * (step + 1) / len(values)) * 1000), step + 1)
            for name, values in result["history"].items()
            for step, value in enumerate(values)
        ]
        last = int((began + seconds) * 1000)
        metrics += [Metric(f"best_{name}", v, last, 0) for name, v in result["scores"].items()]
        about = {key: value for key, value in result.items() if key != "history"}
        tags = [RunTag(names.TRIAL_RESULT, json.dumps(about))]
        if result["error"]:
            tags.append(RunTag("gristmill.error", str(result["error"])[:5000]))
        for start in range(0, max(len(metrics), 1), BATCH):
            self._client.log_batch(run_id, metrics=metrics[start : start + BATCH], tags=tags)
        done = "FINISHED" if result["status"] == "finished" else "FAILED"
        self._client.set_terminated(run_id, done)
        self._open.remove(run_id)


def client(project: Project) -> Any:
    """MLflow's client for the project's store.

    Raises:
        EnvironmentFault: the store cannot be reached, read or written.
    """
    os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
    check_store(project)
    uri = tracking_uri(project)
    _reachable(uri)
    import logging

    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
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
