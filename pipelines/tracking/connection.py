"""MLflow's client for the project's store, and the conversion of its errors."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar, cast
from urllib.parse import urlsplit

from gristmill.pipelines.base import EnvironmentFault, first_line, redact
from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking.store import check_store, is_local, relocate, tracking_uri

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.store.entities import PagedList

Found = TypeVar("Found")

PATIENCE = 5.0
"""Seconds to wait for the first answer of a server."""

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
"""Environment variables for MLflow; they must be set before it is imported."""

CREDENTIALS = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")

REFUSED = ("UNAUTHENTICATED", "PERMISSION_DENIED")
"""MLflow's codes for the statuses 401 and 403."""


@contextmanager
def whole() -> Iterator[None]:
    """Delay Ctrl-C and SIGTERM until calls to MLflow have ended; also usable as a decorator.

    An interrupted call can leave a transaction open, and the store locked for later calls.
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
    """Import MLflow, which takes a second, without telemetry and with only its error messages."""
    os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
    import logging

    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    return cast(ModuleType, mlflow)


def know_packages() -> None:
    """Have MLflow map modules to packages now, so that saving a model does not wait for it."""
    from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches

    warn_dependency_requirement_mismatches(["mlflow"])


def client(project: Project) -> MlflowClient:
    """Return MLflow's client for the project's store.

    Raises:
        EnvironmentFault: the store cannot be reached, read or written, or refuses the password.
    """
    check_store(project)
    uri = tracking_uri(project)
    _reachable(uri)
    mlflow = import_mlflow()
    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    if is_local(project):
        relocate(project)
    else:
        _require_access(uri)
    return mlflow.MlflowClient()


@contextmanager
def store_errors(doing: str) -> Iterator[None]:
    """Convert MLflow's errors to one readable error.

    Args:
        doing: the action, to complete the sentence "MLflow could not …".
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        raise EnvironmentFault(
            f"MLflow could not {doing}", found=first_line(error), next="gristmill doctor"
        ) from error


def pages(search: Callable[..., PagedList[Found]]) -> Iterator[Found]:
    """Yield all results of one of the client's searches, page by page."""
    token = None
    while token is None or token:
        page = search(page_token=token)
        yield from page
        token = page.token or ""


def prepare_store(project: Project) -> None:
    """Create the local store's tables, or migrate them to the installed version."""
    with store_errors("prepare its store"):
        client(project).search_experiments(max_results=1)


def _reachable(uri: str) -> None:
    """Raise EnvironmentFault within seconds if a server does not answer; MLflow would retry."""
    import requests

    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return
    port = parts.port or (443 if parts.scheme == "https" else 80)
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    try:
        requests.get(f"{url.rstrip('/')}/health", timeout=PATIENCE, stream=True).close()
    except requests.exceptions.SSLError:
        return  # it answers; MLflow has settings for certificates
    except requests.RequestException as error:
        late = isinstance(error, requests.Timeout)
        raise EnvironmentFault(
            "the MLflow server does not answer",
            expected=f"a server at {parts.scheme}://{parts.hostname}:{port} (MLFLOW_TRACKING_URI)",
            found=f"no answer within {PATIENCE:.0f} s" if late else first_line(_innermost(error)),
            next="start it, or unset MLFLOW_TRACKING_URI to use the project's own store",
        ) from error


@cache
def _require_access(uri: str) -> None:
    """Raise EnvironmentFault if a server refuses the password; ask once."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        MlflowClient(uri).search_experiments(max_results=1)
    except MlflowException as error:
        if error.error_code not in REFUSED:
            return  # the command's own request reports it
        missing = [name for name in CREDENTIALS if not os.environ.get(name)]
        raise EnvironmentFault(
            "the MLflow server refuses the password",
            expected=" and ".join(CREDENTIALS) + ", as the server knows them",
            found=f"{redact(uri)} (MLFLOW_TRACKING_URI) does not accept them"
            if not missing
            else f"no {' and no '.join(missing)}",
            next='export both (eval "$(gristmill up --env)" for a server of `gristmill up`),\n'
            "or unset MLFLOW_TRACKING_URI to use the project's own store",
        ) from error


def _innermost(error: BaseException) -> BaseException:
    """Return the error that an error was caused by in the end."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
