"""`gristmill serve`: a registered model behind MLflow's scoring protocol, until Ctrl-C."""

from __future__ import annotations

import os
import signal

from rich.console import Console

from flows.server import HOST
from flows.up import await_answer, interrupt, process_of, require_free, watch_over
from pipelines.config import Project
from pipelines.registry.models import find
from pipelines.tracking import tracking_uri

FORM = '{"dataframe_records": [{"COLUMN": VALUE, …}, …]}'
"""What MLflow's protocol takes, among others: a row each."""


def serve(text: str, port: int) -> None:
    """Serves a version on this machine until Ctrl-C.

    Args:
        text: `NAME` for the champion, `NAME@ALIAS` or `NAME@VERSION`.
        port: to listen at.

    Raises:
        ConfigError: there is no such version, or the port is taken.
        EnvironmentFault: the server does not start, or ends by itself.
    """
    project, console = Project.find(), Console(highlight=False)
    version = find(project, text)
    require_free(port, "the model", "--port", f"serve {text}")
    signal.signal(signal.SIGTERM, interrupt)
    os.environ["MLFLOW_TRACKING_URI"] = tracking_uri(project)
    command = ["-m", "mlflow", "models", "serve", "--model-uri", version.address]
    command += ["--env-manager", "local", "--host", HOST, "--port", str(port), "--workers", "1"]
    log, url = project.root / "build" / "serve.log", f"http://{HOST}:{port}"
    try:
        with process_of(project, command, log) as process:
            await_answer(f"{url}/ping", process, log)
            console.print(f"{version.model} version {version.number} answers at {url}/invocations")
            console.print(f"  POST {FORM} as application/json")
            console.print("Ctrl-C ends it")
            watch_over([process], log.name)
    except KeyboardInterrupt:
        console.print("ended")
