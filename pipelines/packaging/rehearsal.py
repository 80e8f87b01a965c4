"""The test of a package in a fresh process, required before registration."""

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
from gristmill.pipelines.packaging.stored_files import (
    PackageChanged,
    copy_package,
    fetch_package,
    list_files,
    unchecked,
)
from gristmill.pipelines.tracking import StoredVersion

PROCESS = Path(__file__).with_name("rehearsal_process.py")

IMPORTED = {"keras": ("keras",), "sklearn": ()}
"""Slow imports of a package by library; an estimator needs only numpy."""


@dataclass(frozen=True)
class Ask:
    """A question to a package: rows to predict.

    Attributes:
        rows: number of rows, from the first on; repeated if there are fewer.
        columns: names in order; None keeps the columns as they are.
        put: values by column that replace those of every row.
        gaps: columns with one missing value each, the first in row 1, the second in row 2, ….
    """

    rows: int
    columns: list[str] | None = None
    put: Mapping[str, Any] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Answered:
    """Answers and side effects of a package.

    Attributes:
        tables: predictions by name of the question; `single` for rows predicted one by one.
        errors: errors by name of the question.
        error: error before the first question, such as on loading; empty if there was none.
        files: list of the package's files, see `list_files`.
        imported: modules of this project that it imported.
        strayed: its forbidden actions on files, the network or processes.
        requirements: library versions it was created with, `name==version`.
        measured: if rows were predicted one by one, `start_seconds` from the stored files to the
            first prediction, without the import of libraries, and `latency_ms`, the median time of
            a later row through `mlflow.pyfunc`.
    """

    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    files: str = ""
    imported: Sequence[str] = ()
    strayed: Sequence[str] = ()
    requirements: Sequence[str] = ()
    measured: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Differing:
    """A library whose installed version differs from that of a package.

    Attributes:
        name: name of the distribution.
        wanted: version the package was created with.
        found: installed version; empty if it is not installed.
    """

    name: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.name} {self.wanted}, installed: {self.found or 'none'}"


def installed(name: str) -> str:
    """Return the installed version of a library; empty if it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def differing(lines: Iterable[str]) -> tuple[Differing, ...]:
    """Return the requirements of a package that are installed in another version."""
    pairs = [line.strip().split("==") for line in lines if "==" in line]
    every = [Differing(name, wanted, installed(name)) for name, wanted in pairs]
    return tuple(one for one in every if one.found != one.wanted)


def other_versions(address: str, others: Sequence[Differing], problem: str) -> EnvironmentFault:
    """Return the error for a package that fails, probably because of its library versions.

    Args:
        address: `models:/NAME/VERSION`.
        others: libraries with another version.
        problem: error of the package.
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
    """A fresh process that loads packages; started early, so that nobody waits for its imports.

    Args:
        project: project whose store holds the packages.
        library: library to import in advance; packages may use the other one as well.

    Attributes:
        warnings: about packages that work, but were created with other library versions.
    """

    def __init__(self, project: Project, library: Literal["keras", "sklearn"] = "keras") -> None:
        self._project, self._library = project, library
        self._process: subprocess.Popen[str] | None = None
        self._folder = ""
        self._stopped = False
        self.warnings: list[str] = []

    def warm_up(self) -> None:
        """Start the process if there is none; return at once.

        Raises:
            EnvironmentFault: stopped; a thread that outlives Ctrl-C must not start another.
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
                start_new_session=True,  # only the parent receives Ctrl-C, and ends this process
            )

    def answer(self, model: str | StoredVersion, rows: pd.DataFrame) -> pd.DataFrame:
        """Return the predictions of a package for raw rows; see `ask`.

        Raises:
            EnvironmentFault: it cannot be loaded, raises, imports this project, has side effects,
                does not work with the installed library versions, or was changed after it was
                registered.
        """
        made = self.ask(model, rows, {"rows": Ask(len(rows))})
        address = model if isinstance(model, str) else f"models:/{model.model}/{model.number}"
        problem = made.error or made.errors.get("rows", "")
        others = differing(made.requirements)
        if problem and others:
            raise other_versions(address, others, problem)
        imports = [f"imports {', '.join(made.imported)}"] if made.imported else []
        for deed in [*imports, *made.strayed]:
            problem = problem or f"it {deed}"
        if problem:
            raise EnvironmentFault(
                "the package does not work in a fresh process",
                expected=f"{address} loads and answers {len(rows)} raw rows",
                found=problem,
            )
        notes = [] if isinstance(model, str) else unchecked(model)
        if others:
            notes.append(f"{address} works, but was made with " + "; with ".join(map(str, others)))
        self.warnings += [note for note in notes if note not in self.warnings]
        return made.tables["rows"]

    def ask(
        self,
        model: str | StoredVersion,
        rows: pd.DataFrame,
        asks: Mapping[str, Ask],
        single: int = 0,
    ) -> Answered:
        """Ask a package.

        Args:
            model: a registered version, or the address of a package that is not registered yet.
            rows: raw rows of the questions.
            asks: questions by name.
            single: number of rows to predict one by one first; 0 for none.

        Raises:
            PackageChanged: the version's package was changed after it was registered.
        """
        self.warm_up()
        with tempfile.TemporaryDirectory() as folder:
            given, answers = Path(folder) / "rows.parquet", Path(folder) / "answers.parquet"
            rows.to_parquet(given, index=False)
            place = Path(folder) / "package"
            try:
                if isinstance(model, str):
                    package = copy_package(self._project, model, place)
                else:
                    package = fetch_package(self._project, model, place)
            except PackageChanged:
                raise
            except Exception as error:  # any error of the store is part of the answer
                return Answered(error=f"{type(error).__name__}: {error}")
            files = list_files(package)
            reply = self._ask(
                {
                    "package": str(package),
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
        return Answered(**reply, files=files, tables=tables)

    def stop(self) -> None:
        """End the process; no other is started."""
        self._stopped = True
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
            shutil.rmtree(self._folder, ignore_errors=True)

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
