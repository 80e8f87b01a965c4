"""`gristmill new --example`: an experiment of a known model, under a name of one's own."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rich.console import Console

from flows.new import alone, put_back, require_free
from pipelines.config import ConfigError, Project, load_experiment, nearest
from pipelines.config.yaml_file import read_yaml
from pipelines.ingestion import fetch, versions
from pipelines.ingestion.versions import DataState


def copy_example(name: str, example: str, origin: Path | None) -> None:
    """Copies `examples/EXAMPLE.yaml` and the builder that it names; takes its data from a folder.

    Raises:
        GristmillError: whatever is wrong; nothing is left behind.
    """
    project = Project.find()
    project.require_git()
    require_free(project, name)
    file = _require_example(project, example)
    raw = read_yaml(file)
    with alone(project) as aside, ExitStack() as undo:
        draft = aside / "experiments" / f"{name}.yaml"
        draft.parent.mkdir()
        shutil.copyfile(file, draft)
        document = load_experiment(Project(aside), name).document
        for there in (project.root / versions.PIN, project.params_file):
            undo.callback(put_back, there, there.read_bytes() if there.exists() else None)
        _copy_builder(project, raw, file.parent, undo)
        if origin is not None:
            _bring(project, document.data.path, origin, aside, undo)
        project.register(name, document.data.folder)
        draft.rename(project.experiment_file(name))
        undo.pop_all()
    console = Console(highlight=False)
    console.print(f"experiments/{name}.yaml   copied from examples/{file.name}", markup=False)
    console.print(f"next: gristmill run {name}")


def _require_example(project: Project, example: str) -> Path:
    names = sorted(path.stem for path in (project.root / "examples").glob("*.yaml"))
    if example in names:
        return project.root / "examples" / f"{example}.yaml"
    near = nearest(example, names)
    raise ConfigError(
        f"there is no example '{example}'",
        expected="one of " + ", ".join(names) if names else "a file in examples/, which has none",
        found=f"no file examples/{example}.yaml",
        next=f"--example {near}" if near else "gristmill new NAME --data FILE",
    )


def _copy_builder(project: Project, raw: dict[str, Any], examples: Path, undo: ExitStack) -> None:
    """The Python file of the model, unless the very same is there."""
    builder = (raw.get("model") or {}).get("builder")
    if not builder:
        return
    module = f"{str(builder).partition(':')[0]}.py"
    origin, target = examples / module, project.experiments / module
    if not origin.is_file():
        return
    if target.exists():
        if target.read_bytes() == origin.read_bytes():
            return
        raise ConfigError(
            f"experiments/{module} is there already, and `new` never overwrites",
            expected="no such file, or the example's own",
            found="another one",
            next=f"rename it, and the builder in the experiments that use it: grep -l "
            f"{module[:-3]} experiments/*.yaml",
        )
    undo.callback(target.unlink, missing_ok=True)
    shutil.copyfile(origin, target)


def _bring(project: Project, path: str, origin: Path, aside: Path, undo: ExitStack) -> None:
    """Copies the data from a folder of this machine and pins them."""
    target = project.root / path
    folder = path.split("/")[1]
    if target.exists():
        return
    places = [origin / path, origin / Path(path).relative_to("data"), origin / target.name]
    found = next((place for place in places if place.exists()), None)
    if found is None:
        raise ConfigError(
            "the example's data are not in that folder",
            expected=f"{target.name}, or {folder}/{target.name}, in {origin}",
            found=", ".join(sorted(p.name for p in origin.glob("*"))[:10]) or "nothing",
        )
    fresh = aside / "data" / target.name
    fetch(project, str(found.absolute()), fresh)
    if not target.parent.exists():
        undo.callback(shutil.rmtree, target.parent, ignore_errors=True)
        target.parent.mkdir(parents=True)
    undo.callback(_remove, target)
    fresh.rename(target)
    if versions.data_state(project, folder) is not DataState.PINNED:
        versions.pin(project, folder)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
