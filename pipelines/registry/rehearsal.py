"""A package is tried in a fresh process before it may be registered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from pipelines.config import EnvironmentFault, Project
from pipelines.tracking import tracking_uri

PROCESS = Path(__file__).with_name("rehearsal_process.py")

IMPORTED = {"keras": ("keras",), "sklearn": ()}
"""What a package imports that takes long; of an estimator it is arrays, and numpy is all."""


class Rehearsal:
    """A fresh process that loads packages; started early, so that its imports cost no waiting.

    Args:
        project: whose store holds the packages.
        library: that the first package will need; one of another kind imports its own.
    """

    def __init__(self, project: Project, library: Literal["keras", "sklearn"] = "keras") -> None:
        self._project, self._library = project, library
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def warm_up(self) -> None:
        """Starts the process; returns at once.

        Raises:
            EnvironmentFault: it was stopped. A thread that outlives Ctrl-C must not start another.
        """
        if self._stopped:
            raise EnvironmentFault("the rehearsal was stopped")
        if self._process is not None:
            return
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment |= {
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        }
        log = self._project.root / "build" / "rehearsal.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(PROCESS), *IMPORTED[self._library]],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                cwd=tempfile.gettempdir(),
                start_new_session=True,  # Ctrl-C is for the parent, which ends this one
            )

    def answer(self, model: str, rows: pd.DataFrame) -> pd.DataFrame:
        """What the package at a model address answers for raw rows.

        Raises:
            EnvironmentFault: it cannot be loaded, raises, or imports this project.
        """
        self.warm_up()
        with tempfile.TemporaryDirectory() as folder:
            given, answers = Path(folder) / "rows.parquet", Path(folder) / "answers.parquet"
            rows.to_parquet(given, index=False)
            store = tracking_uri(self._project)
            reply = self._ask(
                {"model": model, "rows": str(given), "answers": str(answers), "store": store}
            )
            problem = reply.get("error")
            if not problem and reply["imported"]:
                problem = "it imports " + ", ".join(reply["imported"])
            if problem:
                raise EnvironmentFault(
                    "the package does not work in a fresh process",
                    expected=f"{model} loads and answers {len(rows)} raw rows",
                    found=str(problem),
                )
            return pd.read_parquet(answers)

    def stop(self) -> None:
        """Ends the process for good."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _ask(self, request: dict[str, str]) -> dict[str, Any]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            return {"error": "the process did not start"}
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            return {"error": "the process ended; see build/rehearsal.log"}
        return dict(json.loads(line))
