"""`gristmill doctor`: check everything that a run needs."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated

import typer

from gristmill import flows
from gristmill.commands.config import write_schema
from gristmill.pipelines import config, ingestion, packaging, tracking, training
from gristmill.pipelines.base import EnvironmentFault, GristmillError
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion.versions import snapshot
from gristmill.pipelines.registry import registered_models as registry
from gristmill.pipelines.reporting import Screen

LEAST_SPACE = 2 << 30
"""Bytes of free disk space below which a run can fail."""

SHOWN = 5
"""Versions without a digest that are named."""

PORTS = {4200: "Prefect", 5000: "MLflow"}

Finding = tuple[bool, str]


def doctor(
    fix: Annotated[
        bool, typer.Option("--fix", help="Also prepare the databases and restore data.")
    ] = False,
) -> int:
    """Check the set-up: versions, experiments, data, databases and ports."""
    project = Project.find()
    screen = Screen()
    if fix:
        _fix(project, screen)
    well = True
    for name, check in CHECKS.items():
        try:
            for good, text in check(project):
                _line(screen, good, name, text)
                well = well and good
        except GristmillError as error:
            _line(screen, False, name, "\n".join(error.lines()))
            well = False
    return 0 if well else 4


def _fix(project: Project, screen: Screen) -> None:
    """Migrate the databases and restore pinned data; the last step of `make setup`."""
    project.require_git()
    migration = _start_migration(project)
    write_schema(project)
    ingestion.register_driver(project, _program())
    flows.mend_password(project)
    if tracking.is_local(project):
        tracking.prepare_store(project)
        screen.say("MLflow's store is ready")
    ingestion.sweep(project)
    experiments, _ = config.load_experiments(project)
    for name, experiment in experiments.items():
        if ingestion.data_state(project, experiment.data.folder) is not ingestion.DataState.EDITED:
            screen.say(f"data of {name}: {snapshot.restore(project, name)}")
    if migration is not None:
        _, errors = migration.communicate()
        if migration.returncode:
            raise EnvironmentFault(
                "Prefect's database could not be upgraded",
                found=errors.decode(errors="replace").strip()[-300:],
                next="rename .prefect/ and try again",
            )
        screen.say("Prefect's database is ready")


def _program() -> Path:
    """Return the `gristmill` script of this environment, which git calls."""
    return Path(sys.executable).parent / "gristmill"


def _start_migration(project: Project) -> subprocess.Popen[bytes] | None:
    """Start upgrading Prefect's database in the background."""
    if "PREFECT_API_URL" in os.environ:
        return None
    project.prefect_home.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "-y"]
    return subprocess.Popen(
        command,
        env=os.environ | flows.settings(project),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _line(screen: Screen, good: bool, name: str, text: str) -> None:
    first, *rest = text.split("\n")
    screen.judge(good, f"{name:12s} {first}")
    for line in rest:
        screen.say(f"    {'':12s} {line}", whole=True)


def _python(project: Project) -> Iterator[Finding]:
    good = (3, 11) <= sys.version_info[:2] < (3, 14)
    yield good, f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    yield True, f"{training.cores()} cores, {training.device()}, {training.instruction_set()}"


def _packages(project: Project) -> Iterator[Finding]:
    lock = project.root / "requirements.lock"
    if not lock.exists():
        yield True, "no requirements.lock to compare with"
        return
    others = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        pinned, _, marker = line.rstrip(" \\").partition(" ; ")
        if "==" not in pinned or pinned.startswith((" ", "#")) or marker:
            continue
        name, _, wanted = pinned.partition("==")
        try:
            found = version(name.partition("[")[0])
        except PackageNotFoundError:
            found = "missing"
        if found != wanted:
            others.append(f"{name} {found}, locked {wanted}")
    some = "\n".join(others[:5]) + (f"\nand {len(others) - 5} more" if len(others) > 5 else "")
    yield not others, "as locked" if not others else f"not as locked (make setup):\n{some}"


def _repository(project: Project) -> Iterator[Finding]:
    project.require_git()
    yield True, "git and DVC"
    free = shutil.disk_usage(project.root).free
    yield free > LEAST_SPACE, f"{free / 2**30:.0f} GiB of disk free"
    current = ingestion.is_registered(project, _program())
    how = "git merges data.dvc, dvc.lock and params.yaml by name"
    missing = "git does not know how to merge data.dvc"
    yield current, how if current else f"{missing}: gristmill doctor --fix"
    for name in ("build", "mlruns", ".prefect", "data"):
        if not config.writable(project.root / name):
            yield False, f"{name}/ cannot be written: chmod -R u+w {name}"


def _experiments(project: Project) -> Iterator[Finding]:
    experiments, faults = config.load_experiments(project)
    for name in project.experiment_names():
        yield name in experiments, name if name in experiments else "\n".join(faults[name].lines())
    for name in project.leftovers():
        yield False, f"{name} is removed in part: gristmill remove {name}   removes the rest"


def _data(project: Project) -> Iterator[Finding]:
    experiments, _ = config.load_experiments(project)
    for folder in sorted({experiment.data.folder for experiment in experiments.values()}):
        state = ingestion.data_state(project, folder)
        bad = state is ingestion.DataState.EDITED
        yield not bad, f"data/{folder} {state.value}" + (" (gristmill data status)" if bad else "")


def _mlflow(project: Project) -> Iterator[Finding]:
    tracking.check_store(project)
    if tracking.is_local(project):
        tracking.check_content(project)
        models = len(tracking.local_models(project))
        yield True, f"mlruns/mlflow.db, {models} registered model{'s' * (models != 1)}"
        return
    from gristmill.pipelines.base import redact

    tracking.client(project)
    yield True, redact(tracking.tracking_uri(project))


def _models(project: Project) -> Iterator[Finding]:
    """Check the packages in the local store; in another store, those of versions with an alias."""
    local = tracking.is_local(project)
    every = [v for model in registry.read_models(project) for v in model.versions]
    before = [v for v in every if packaging.unchecked(v)]
    checked = [v for v in every if v not in before and (local or v.aliases)]
    changed = False
    for one in checked:
        try:
            packaging.require_unchanged(project, one)
        except EnvironmentFault as error:
            changed = True
            yield False, "\n".join(error.lines())
    if checked and not changed:
        yield True, f"{len(checked):,} packages are as they were registered"
    if before:
        names = ", ".join(f"{v.model} {v.number}" for v in before[:SHOWN])
        more = f" and {len(before) - SHOWN} more" * (len(before) > SHOWN)
        yield True, f"no digest from their registration, not checked: {names}{more}"


def _prefect(project: Project) -> Iterator[Finding]:
    url = os.environ.get("PREFECT_API_URL")
    if url is None:
        ready = (project.prefect_home / "prefect.db").exists()
        yield True, ".prefect/prefect.db" + ("" if ready else ", created by the first run")
        return
    from gristmill.pipelines.base import redact

    flows.Server(project).wait()
    yield True, f"{redact(url)} (PREFECT_API_URL)"


def _password(project: Project) -> Iterator[Finding]:
    file = flows.password_file(project)
    if fault := flows.password_fault(project):
        yield False, f"{project.relative(file)} {fault}: gristmill doctor --fix"
        return
    ready = "readable by its owner alone" if file.exists() else "created by the first run"
    yield True, f"{project.relative(file)}, {ready}"


def _ports(project: Project) -> Iterator[Finding]:
    for port, what in PORTS.items():
        used = "in use; `gristmill up` has an option for another"
        yield True, f"{port} for {what} is {used if flows.port_fault(port) else 'free'}"


CHECKS: dict[str, Callable[[Project], Iterator[Finding]]] = {
    "python": _python,
    "packages": _packages,
    "repository": _repository,
    "experiments": _experiments,
    "data": _data,
    "mlflow": _mlflow,
    "models": _models,
    "prefect": _prefect,
    "password": _password,
    "ports": _ports,
}
