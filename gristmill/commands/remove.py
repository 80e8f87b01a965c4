"""`gristmill remove`: take an experiment out of the project, so that git can undo it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from gristmill import flows
from gristmill.pipelines import config, ingestion
from gristmill.pipelines.base import (
    ConfigError,
    EnvironmentFault,
    locked,
    run_git,
)
from gristmill.pipelines.config import Project
from gristmill.pipelines.registry import registered_models as registry
from gristmill.pipelines.reporting import Screen


def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The experiment.")],
    models: Annotated[
        bool, typer.Option("--models", help="Also delete its registered models, for good.")
    ] = False,
) -> None:
    """Remove an experiment, and its data set if no other one uses it; git can undo it."""
    project, screen = Project.find(), Screen()
    project.require_git()
    registered = models and bool(registry.versions(project, name))
    if not registered and name not in project.leftovers():
        project.require_experiment(name)
    folder, others = _data_set(project, name)
    mine = folder is not None and not others
    _require_unused(project, name)
    _require_undoable(project, name, folder if mine else None)

    def refuse() -> None:
        raise EnvironmentFault(
            f"a run of {name} is active", next=f"gristmill runs cancel {name}   or wait for it"
        )

    build = project.build(name)
    build.mkdir(parents=True, exist_ok=True)
    with locked(build / flows.LOCK, refuse):
        for line in _take_out(project, name, folder if mine else None):
            screen.say(f"removed {line}")
        if others:
            screen.say(f"kept data/{folder}, which {', '.join(others)} uses")
        _models(project, name, models, screen)
        shutil.rmtree(build)
        project.unregister(name)  # last: until then, the same command completes the removal
    files = " ".join(_tracked(project, name))
    screen.say(f"undo: git checkout HEAD -- {files}" + f" && gristmill data restore {name}" * mine)
    screen.say(f"next: git add -A experiments data.dvc dvc.lock params.yaml && "
               f"git commit -m 'Remove {name}'")  # fmt: skip


def _data_set(project: Project, name: str) -> tuple[str | None, list[str]]:
    """Return the folder of an experiment's data, and the other experiments that use it."""
    used = project.registered()
    experiments, _ = config.load_experiments(project)  # for others the entry in params.yaml counts
    used |= {other: experiment.data.folder for other, experiment in experiments.items()}
    folder = used.get(name)
    here = {*project.experiment_names()} - {name}
    return folder, sorted(other for other in here if folder and used.get(other) == folder)


def _require_unused(project: Project, name: str) -> None:
    experiments, _ = config.load_experiments(project)
    for other, experiment in experiments.items():
        if experiment.document.split.as_ == name:
            raise ConfigError(
                f"{other} shares the split of {name}",
                expected="an experiment that no other one needs",
                found=f"split: {{as: {name}}} in experiments/{other}.yaml",
                next=f"gristmill remove {other}   or give it a split of its own",
            )


def _require_undoable(project: Project, name: str, folder: str | None) -> None:
    """Raise unless HEAD has the experiment's files, and the pin of the data set, as they are."""
    changed = [
        project.relative(file)
        for file in (project.experiment_file(name), project.cuts_file(name))
        if file.exists() and not _committed(project, file)
    ]
    if folder is not None:
        state = ingestion.data_state(project, folder)
        if state is ingestion.DataState.EDITED:
            raise ingestion.edited(folder, f"data/{folder}", name)
        if state is ingestion.DataState.NEW and name in project.experiment_names():
            raise ingestion.not_pinned(folder, f"data/{folder}", name)
        if not ingestion.is_committed(project, folder):
            changed.append(ingestion.PIN)
    if changed:
        files = " ".join(changed)
        raise ConfigError(
            f"{', '.join(changed)} differ from HEAD" if len(changed) > 1
            else f"{changed[0]} differs from HEAD",
            expected="committed files, so that git can undo the removal",
            found="changes, or files, that are in no commit",
            next=f"git add {files} && git commit -m 'Before removing {name}' -- {files}   then "
            f"gristmill remove {name}",
        )  # fmt: skip


def _committed(project: Project, file: Path) -> bool:
    """Return whether HEAD has a file with the present content."""
    path = project.relative(file)
    return (
        run_git(project.root, "cat-file", "-e", f"HEAD:./{path}").returncode == 0
        and run_git(project.root, "diff", "--quiet", "HEAD", "--", path).returncode == 0
    )


def _tracked(project: Project, name: str) -> Iterator[str]:
    """Yield the files that git can restore."""
    mine = (project.experiment_file(name), project.cuts_file(name))
    shared = ("params.yaml", "dvc.lock", ingestion.PIN)
    for path in (*map(project.relative, mine), *shared):
        if run_git(project.root, "cat-file", "-e", f"HEAD:./{path}").returncode == 0:
            yield path


def _take_out(project: Project, name: str, folder: str | None) -> Iterator[str]:
    """Remove the files, the entries of `dvc.lock`, the pin and the data; yield what was removed."""
    for file in (project.experiment_file(name), project.cuts_file(name)):
        if file.exists():
            file.unlink()
            yield project.relative(file)
    if stages := ingestion.forget_stages(project, name):
        yield f"{stages} stages in dvc.lock"
    if folder is not None:
        ingestion.unpin(project, folder)
        if (place := project.root / "data" / folder).exists():
            shutil.rmtree(place)
        yield f"data/{folder} and its pin in {ingestion.PIN}"
    yield f"build/{name}"


def _models(project: Project, name: str, wanted: bool, screen: Screen) -> None:
    count = len(registry.versions(project, name))
    if not count:
        return
    versions = f"{count} registered version" + "s" * (count > 1)
    if wanted:
        registry.remove_model(project, name)
        screen.say(f"removed {versions} of {name}")
    else:
        screen.say(f"kept {versions}: gristmill remove {name} --models   deletes them for good")
