"""MLflow's client for the project's store, and what its faults become."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar, cast
from urllib.parse import urlsplit

from gristmill.pipelines.base import EnvironmentFault, first_line
from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking.store import check_store, is_local, relocate, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.entities import PagedList

Found = TypeVar("Found")

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


def import_mlflow() -> ModuleType:
    """MLflow, which takes a second to import, without its telemetry and noise."""
    os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
    import logging

    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    return cast(ModuleType, mlflow)


def know_packages() -> None:
    """Has MLflow find out now which package each module is of; else saving a model waits for it."""
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

    warn_dependency_requirement_mismatches(["mlflow"])


def client(project: Project) -> MlflowClient:
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
            f"MLflow could not {doing}", found=first_line(error), next="gristmill doctor"
        ) from error


def pages(search: Callable[..., PagedList[Found]]) -> Iterator[Found]:
    """All that one of the client's searches finds, a page after the other."""
    token = None
    while token is None or token:
        page = search(page_token=token)
        yield from page
        token = page.token or ""


def prepare_store(project: Project) -> None:
    """Makes the local store's tables, or brings them up to the installed version."""
    with store_errors("prepare its store"):
        client(project).search_experiments(max_results=1)


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
