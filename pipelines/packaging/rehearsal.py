"""A package is tried in a fresh process before it may be registered."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from gristmill.pipelines.base import EnvironmentFault
from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import client, is_local

PROCESS = Path(__file__).with_name("rehearsal_process.py")

IMPORTED = {"keras": ("keras",), "sklearn": ()}
"""What a package imports that takes long; of an estimator it is arrays, and numpy is all."""


@dataclass(frozen=True)
class Ask:
    """A question to a package: rows that it shall answer.

    Attributes:
        rows: how many, from the first on; more than there are repeat them.
        columns: their names in order; None: as they are.
        put: values that stand in every row of a column instead of its own.
        gaps: columns of which the first row lacks the first, the second the second, and so on.
    """

    rows: int
    columns: list[str] | None = None
    put: Mapping[str, Any] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Answered:
    """What a package said and did.

    Attributes:
        tables: its answers by the name of what was asked; `single` are of rows that came alone.
        errors: what it raised instead.
        error: what it raised before it could be asked; empty if it did not.
        imported: what it imports of this project.
        strayed: what it does to files that are not its own, the network or other processes.
        requirements: the versions of libraries that it was made with, `name==version`.
        measured: where rows came alone `start_seconds`, from its files to its first answer, with
            its libraries imported, and `latency_ms`, the median time that one row takes after that,
            through `mlflow.pyfunc`.
    """

    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    imported: Sequence[str] = ()
    strayed: Sequence[str] = ()
    requirements: Sequence[str] = ()
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Differing:
    """A library that is installed in another version than a package was made with.

    Attributes:
        found: the installed version, empty if it is not there.
    """

    name: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.name} {self.wanted}, installed: {self.found or 'none'}"


def installed(name: str) -> str:
    """The version of a library here; empty if it is not there."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def differing(lines: Iterable[str]) -> tuple[Differing, ...]:
    """What of a package's requirements is installed in another version."""
    pairs = [line.strip().split("==") for line in lines if "==" in line]
    every = [Differing(name, wanted, installed(name)) for name, wanted in pairs]
    return tuple(one for one in every if one.found != one.wanted)


def other_versions(address: str, others: Sequence[Differing], problem: str) -> EnvironmentFault:
    """The error for a package that does not work here, most likely for its libraries' versions.

    Args:
        address: `models:/NAME/VERSION`.
        others: what differs.
        problem: what the package raised.
    """
    model = address.removeprefix("models:/").partition("/")[0].partition("@")[0]
    pins = " ".join(f"{one.name}=={one.wanted}" for one in others)
    have = ", ".join(f"{one.name} {one.found}" if one.found else f"no {one.name}" for one in others)
    return EnvironmentFault(
        f"{address} does not work with the installed library versions",
        expected=", ".join(f"{one.name} {one.wanted}" for one in others),
        found=f"{have}: {problem}",
        next=f"uv pip install {pins}, or use a version made with the installed libraries: "
        f"gristmill models {model}",
    )


class Rehearsal:
    """A fresh process that loads packages; started early, so that its imports cost no waiting.

    Args:
        project: whose store holds the packages.
        library: that the first package will need; one of another kind imports its own.

    Attributes:
        warnings: about packages that work though they were made with other versions of libraries.
    """

    def __init__(self, project: Project, library: Literal["keras", "sklearn"] = "keras") -> None:
        self._project, self._library = project, library
        self._process: subprocess.Popen[str] | None = None
        self._folder = ""
        self._stopped = False
        self.warnings: list[str] = []

    def warm_up(self) -> None:
        """Starts the process; returns at once.

        Raises:
            EnvironmentFault: it was stopped. A thread that outlives Ctrl-C must not start another.
        """
        if self._stopped:
            raise EnvironmentFault("the rehearsal was stopped")
        if self._process is not None:
            return
        self._folder = tempfile.mkdtemp(prefix="rehearsal-")
        temporary, elsewhere = Path(self._folder, "temporary"), Path(self._folder, "elsewhere")
        temporary.mkdir()
        elsewhere.mkdir()
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment |= {
            "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TMPDIR": str(temporary),
        }
        log = self._project.root / "build" / "rehearsal.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(PROCESS), self._folder, *IMPORTED[self._library]],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=environment,
                cwd=elsewhere,
                start_new_session=True,  # Ctrl-C is for the parent, which ends this one
            )

    def answer(self, model: str, rows: pd.DataFrame) -> pd.DataFrame:
        """What the package at a model address answers for raw rows.

        Raises:
            EnvironmentFault: it cannot be loaded, raises, imports this project, or does more than
                to answer; or it does not work with the versions of libraries that are installed.
        """
        made = self.ask(model, rows, {"rows": Ask(len(rows))})
        problem = made.error or made.errors.get("rows", "")
        others = differing(made.requirements)
        if problem and others:
            raise other_versions(model, others, problem)
        imports = [f"imports {', '.join(made.imported)}"] if made.imported else []
        for deed in [*imports, *made.strayed]:
            problem = problem or f"it {deed}"
        if problem:
            raise EnvironmentFault(
                "the package does not work in a fresh process",
                expected=f"{model} loads and answers {len(rows)} raw rows",
                found=problem,
            )
        told = f"{model} works, but was made with " + "; with ".join(map(str, others))
        if others and told not in self.warnings:
            self.warnings.append(told)
        return made.tables["rows"]

    def ask(
        self, model: str, rows: pd.DataFrame, asks: Mapping[str, Ask], single: int = 0
    ) -> Answered:
        """Asks the package at a model address.

        Args:
            model: its address.
            rows: raw rows that the questions are about.
            asks: the questions by name.
            single: how many of the rows are asked one by one first.
        """
        self.warm_up()
        with tempfile.TemporaryDirectory() as folder:
            given, answers = Path(folder) / "rows.parquet", Path(folder) / "answers.parquet"
            rows.to_parquet(given, index=False)
            try:
                package = self._fetch(model, folder)
            except Exception as error:  # whatever the store raises is the answer
                return Answered(error=f"{type(error).__name__}: {error}")
            reply = self._ask(
                {
                    "package": package,
                    "rows": str(given),
                    "answers": str(answers),
                    "asks": {name: asdict(ask) for name, ask in asks.items()},
                    "single": single,
                }
            )
            tables: dict[str, pd.DataFrame] = {}
            if answers.exists():
                every = pd.read_parquet(answers).groupby("ask", sort=False)
                tables = {
                    str(name): table.drop(columns="ask").reset_index(drop=True)
                    for name, table in every
                }
        return Answered(**reply, tables=tables)

    def stop(self) -> None:
        """Ends the process for good."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
            shutil.rmtree(self._folder, ignore_errors=True)

    def _fetch(self, model: str, folder: str) -> str:
        """Where the package at a model address lies; from a server's store it comes to a folder."""
        from mlflow.artifacts import download_artifacts

        client(self._project)  # names its store to MLflow
        place = None if is_local(self._project) else folder
        return str(download_artifacts(artifact_uri=model, dst_path=place))

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
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
