"""`gristmill serve`: a registered model behind MLflow's scoring protocol, until Ctrl-C."""

from __future__ import annotations

import json
import shlex
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from gristmill import flows
from gristmill.commands.endings import interrupted
from gristmill.pipelines import registry, tracking
from gristmill.pipelines.base import ConfigError, writing
from gristmill.pipelines.config import Project
from gristmill.pipelines.reporting import Screen

FIRST, PORTS = 5001, 100
"""First port to try, and number of ports to try."""

LONGEST = 2_000
"""Longest request to show inline, in characters; a longer one goes into a file."""


class Counts:
    """Numbers of answered rows, and of those with values that training did not have."""

    def __init__(self) -> None:
        self._rows, self._found = 0, Counter[tuple[str, str]]()
        self._lock = threading.Lock()

    def note(self, rows: int, found: Sequence[Any]) -> None:
        """Add the rows of an answer, and what is surprising about them."""
        with self._lock:
            self._rows += rows
            for one in found:
                self._found[one.name, one.what] += int(one.rows.sum())

    def record(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        with self._lock:
            counts = [{"column": c, "what": w, "rows": n} for (c, w), n in self._found.items()]
            return {"rows": self._rows, "warnings": counts}

    def lines(self) -> Iterator[str]:
        """Yield the counts as lines for the screen."""
        made = self.record()
        if made["rows"]:
            yield f"{made['rows']:,} rows answered"
        for one in made["warnings"]:
            yield f"! {one['column']}: {one['rows']:,} rows have {one['what']}"


@interrupted("ended")
def serve(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="NAME (its champion), NAME@ALIAS or NAME@VERSION."),
    ],
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="Port on 127.0.0.1; default: the first free one from 5001."
        ),
    ] = None,
) -> None:
    """Serve a registered model with MLflow's scoring protocol, until Ctrl-C."""
    project = Project.find()
    version = registry.find(project, name)
    listener = _listen(port)
    screen = Screen()
    tracking.import_mlflow()
    from mlflow.pyfunc import scoring_server  # before the package, which adds CSV

    with listener, registry.loaded_version(project, version) as (model, about):
        for note in about:
            screen.say(f"! {note}", whole=True)
        url = f"http://{flows.HOST}:{listener.getsockname()[1]}/invocations"
        alias = f" ({', '.join(version.aliases)})" if version.aliases else ""
        screen.say(f"{version.model} version {version.number}{alias} answers at {url}")
        screen.say(_curl(project, version, model, url), whole=True)
        counts = Counts()
        model.unwrap_python_model().noted = counts.note
        app = scoring_server.init(model)
        app.get("/statistics")(counts.record)
        screen.say("Ctrl-C stops it")
        try:
            _answer(app, listener)
        finally:
            for line in counts.lines():
                screen.say(line, whole=True)


def _answer(app: Any, listener: socket.socket) -> None:
    """Run MLflow's scoring server in this process."""
    import uvicorn

    settings = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1)
    uvicorn.Server(settings).run(sockets=[listener])


def _listen(port: int | None) -> socket.socket:
    """Return a socket at the port; requests wait until the model is loaded."""
    wanted = range(FIRST, FIRST + PORTS) if port is None else [port]
    problem: OSError | None = None
    for one in wanted:
        try:
            return flows.listen(one)
        except OSError as error:
            problem = error
    raise ConfigError(
        f"port {wanted[0]} is in use" if port else f"ports {wanted[0]} to {wanted[-1]} are in use",
        expected="a free port",
        found=str(problem),
        next="leave out --port to use the first free port" if port else "gristmill serve … --port",
    )


def _curl(project: Project, version: registry.Version, model: Any, url: str) -> str:
    """Return a curl command that sends a row with the model's columns."""
    row = model.input_example.head(1).to_json(orient="records", force_ascii=False)
    content = json.dumps({"dataframe_records": json.loads(row)}, ensure_ascii=False)
    if len(content) > LONGEST:
        file = project.build(version.model) / "request.json"
        with writing(file) as aside:
            aside.write_text(content, encoding="utf-8")
        content = f"@{_short(file)}"
    header = shlex.quote("Content-Type: application/json")
    return f"curl {url} -H {header} -d {shlex.quote(content)}"


def _short(file: Path) -> Path:
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file
