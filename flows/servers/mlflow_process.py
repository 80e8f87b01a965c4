"""MLflow's server over the local store, behind the project's password, as a process."""

from __future__ import annotations

import os
import socket
import sys
import uuid

from gristmill.flows.servers.password import USER, credentials, password_file
from gristmill.pipelines import base
from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import tracking_uri

PUBLIC = frozenset({"/health"})


def settings(project: Project) -> dict[str, str]:
    """Return what `mlflow server` sets for the process that serves."""
    store = tracking_uri(project)
    return {
        "_MLFLOW_SERVER_FILE_STORE": store,
        "_MLFLOW_SERVER_REGISTRY_STORE": store,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": (project.store / "artifacts").as_uri(),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_BOOT_ID": uuid.uuid4().hex,  # forbids code in scorers
        "_MLFLOW_IN_JOB_EXECUTOR": "false",  # so does this
        "_MLFLOW_SGI_NAME": "uvicorn",
        "MLFLOW_ENABLE_WORKSPACES": "false",
    }


def _serve(project: Project, listener: socket.socket) -> None:
    """Serve until the process ends that started this one."""
    base.end_with_parent()
    os.environ.update(settings(project))
    with base.uncollected():
        from mlflow.server.fastapi_app import app
        from mlflow.server.handlers import initialize_backend_stores

        from gristmill.flows.servers import guard
    store = tracking_uri(project)
    initialize_backend_stores(store, store, "mlflow-artifacts:/")
    realm = f"user {USER}, password in {project.relative(password_file(project))}"
    guarded = guard.Guard(app, credentials(project), PUBLIC, realm)
    guard.server(guarded, "info").run(sockets=[listener])


if __name__ == "__main__":
    _serve(Project.find(), socket.socket(fileno=int(sys.argv[1])))
