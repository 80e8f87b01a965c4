"""`gristmill new --example`: copy an example under a new name, with its data."""

from __future__ import annotations

import fnmatch
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from gristmill.commands.beginning import alone, put_back, require_free, same_bytes
from gristmill.pipelines import config, ingestion
from gristmill.pipelines.base import ConfigError, EnvironmentFault, nearest, read_yaml
from gristmill.pipelines.config import Project
from gristmill.pipelines.reporting import Screen


@dataclass(frozen=True)
class Copy:
    """A copy of an example in preparation.

    Attributes:
        project: destination.
        name: name of the experiment.
        raw: YAML of the experiment with comments and layout; the data section is adapted.
        data: data section of the example.
        origin: file or folder with the data; None: use the source of the example.
        aside: temporary folder.
        again: command to show in errors, without --from.
    """

    project: Project
    name: str
    raw: Any
    data: config.Data
    origin: Path | None
    aside: Path
    again: str


def copy_example(name: str, example: str, origin: Path | None) -> None:
    """Copy `examples/EXAMPLE.yaml` with its builder and data into the project.

    The data are those of an existing experiment with the same data set, else those of `origin`,
    else fetched from `data.source`. Local data must match the hash of the source if it is known;
    otherwise they are the user's own, and the copy has no source. If `split.as` shares the cuts of
    another example, the copy shares those of an experiment with the same data, or gets that
    example's split section.

    Args:
        name: name of the new experiment.
        example: stem of a file in `examples/`.
        origin: local file or folder with the data.

    Raises:
        GristmillError: any error; nothing is left behind.
    """
    project = Project.find()
    project.require_git()
    require_free(project, name)
    file = _require_example(project, example)
    screen = Screen()
    with alone(project) as aside, ExitStack() as undo:
        raw = _load(file)
        draft = aside / "experiments" / f"{name}.yaml"
        draft.parent.mkdir()
        shutil.copyfile(file, draft)
        data = config.load_experiment(Project(aside), name).data
        others = _documents(project)
        there = [n for n, other in others.items() if other.data.folder == data.folder]
        for touched in (project.root / ingestion.PIN, project.params_file):
            undo.callback(put_back, touched, touched.read_bytes() if touched.exists() else None)
        _copy_builder(project, raw, file.parent, undo)
        if there and origin is None:
            _set(raw, others[there[0]].data)
        else:
            with screen.turning("fetching the data …"):
                again = f"gristmill new {name} --example {example}"
                _bring(Copy(project, name, raw, data, origin, aside, again), undo)
        _settle_split(project, raw, file.parent)
        _dump(raw, draft)
        data = config.load_experiment(Project(aside), name).data
        project.register(name, data.folder)
        draft.rename(project.experiment_file(name))
        undo.pop_all()
    screen.say(f"experiments/{name}.yaml   copied from examples/{file.name}")
    used = f", shared with {there[0]}" if there and origin is None else ""
    screen.say(f"{data.path}   its data{used}")
    screen.say(f"next: gristmill run {name}")


def _require_example(project: Project, example: str) -> Path:
    names = sorted(path.stem for path in (project.root / "examples").glob("*.yaml"))
    if example in names:
        return project.root / "examples" / f"{example}.yaml"
    near = nearest(example, names)
    raise ConfigError(
        f"there is no example '{example}'",
        expected="one of " + ", ".join(names) if names else "a file in examples/, which is empty",
        found=f"no file examples/{example}.yaml",
        next=f"--example {near}" if near else "gristmill new NAME --data FILE",
    )


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width, yaml.preserve_quotes = 10_000, True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _load(file: Path) -> Any:
    """Load a YAML file with its comments and layout."""
    read_yaml(file)  # for its readable errors
    return _yaml().load(file)


def _dump(raw: Any, file: Path) -> None:
    with file.open("w", encoding="utf-8") as stream:
        _yaml().dump(raw, stream)


def _set(raw: Any, data: config.Data) -> None:
    """Write path, source and target into the data section."""
    for key, value in (("path", data.path), ("source", data.source), ("target", data.target)):
        if value is None:
            raw["data"].pop(key, None)
        elif raw["data"].get(key) != value:
            raw["data"][key] = value


def _documents(project: Project) -> dict[str, config.Document]:
    """Return the valid experiments of the project."""
    experiments, _ = config.load_experiments(project)
    return {name: experiment.document for name, experiment in experiments.items()}


def _settle_split(project: Project, raw: Any, examples: Path) -> None:
    """Replace a reference to another example's cuts by one that exists in the project."""
    shared = raw["split"].get("as")
    if shared is None:
        return
    owners = [
        name
        for name, document in _documents(project).items()
        if document.data.path == raw["data"]["path"] and document.split.as_ is None
    ]
    if not owners:
        raw["split"] = _load(examples / f"{shared}.yaml")["split"]
    elif shared not in owners:
        raw["split"]["as"] = owners[0]


def _copy_builder(project: Project, raw: Any, examples: Path, undo: ExitStack) -> None:
    """Copy the Python file of the model unless the same file exists."""
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
            f"experiments/{module} exists already, and `new` never overwrites",
            expected="no such file, or the example's file",
            found="a different file",
            next=f"rename it, and the builder in the experiments that use it: grep -l "
            f"{module[:-3]} experiments/*.yaml",
        )
    undo.callback(target.unlink, missing_ok=True)
    shutil.copyfile(origin, target)


def _bring(copy: Copy, undo: ExitStack) -> None:
    """Put the data into `data/` and pin them."""
    project, data, origin = copy.project, copy.data, copy.origin
    if origin is None:
        state = ingestion.data_state(project, data.folder)
        if state is ingestion.DataState.MISSING or (project.root / data.path).exists():
            return  # the run uses them as they are, or restores the pinned version
    fresh = copy.aside / "data" / PurePath(data.path).name
    fresh.parent.mkdir()
    if origin is None:
        _fetch(copy, fresh)
    elif str(data.source).removeprefix("keras:") in ingestion.KNOWN:
        ingestion.keras_set_from(
            str(data.source).removeprefix("keras:"), _require_place(origin), fresh
        )
    else:
        fresh = _from_disk(copy, _require_place(origin), fresh)
        copy.raw["data"].pop("source", None)
        _name_target(copy.raw, data, fresh)
    target = _free_place(project, copy.name, data, fresh)
    copy.raw["data"]["path"] = target.relative_to(project.root).as_posix()
    if not target.exists():
        if not target.parent.exists():
            undo.callback(shutil.rmtree, target.parent, ignore_errors=True)
            target.parent.mkdir(parents=True)
        undo.callback(_remove, target)
        fresh.rename(target)
    folder = target.parent.name
    if ingestion.data_state(project, folder) is not ingestion.DataState.PINNED:
        ingestion.pin_data(project, folder)


def _fetch(copy: Copy, fresh: Path) -> None:
    data, disk = copy.data, f"{copy.again} --from FOLDER"
    if data.source is None:
        raise ConfigError(
            "the example has no data source",
            expected="a folder with your data",
            found="no --from",
            next=disk,
        )
    try:
        ingestion.fetch(copy.project, data.source, fresh, query=data.query)
    except EnvironmentFault as error:
        raise EnvironmentFault(
            error.what,
            expected=error.expected,
            found=error.found,
            next=f"{disk}   to use local files\n{error.next}".strip(),
        ) from error


def _require_place(origin: Path) -> Path:
    place = origin.expanduser().absolute()
    if place.exists():
        return place
    near = nearest(place.name, (p.name for p in place.parent.glob("*")))
    raise ConfigError(
        "the folder of the data does not exist",
        expected="a folder or a file after --from",
        found=f"nothing at {origin}",
        next=f"--from {origin.with_name(near)}" if near else "",
    )


def _from_disk(copy: Copy, origin: Path, fresh: Path) -> Path:
    """Copy the file or folder that the example needs, by its name or as the only match."""
    wanted, project = PurePath(copy.data.path), copy.project
    if not wanted.suffix:
        ingestion.fetch(project, str(origin), fresh)
        return fresh
    places = [origin / wanted, origin / wanted.parts[1] / wanted.name, origin / wanted.name]
    found = [place for place in places if place.is_file()][:1]
    if origin.is_file():
        found = [origin]
    elif not found:
        found = [place for place in sorted(origin.iterdir()) if place.suffix == wanted.suffix]
    if len(found) != 1:
        names = sorted(place.name for place in found or origin.iterdir())
        raise ConfigError(
            "the example's data are not in that folder",
            expected=f"{wanted.name}, or one {wanted.suffix} file, in {origin}",
            found=", ".join(names[:10]) or "nothing",
            next=f"{copy.again} --from {found[0]}" if found else "",
        )
    ingestion.find_format(found[0])
    fresh = fresh.with_name(found[0].name)
    ingestion.fetch(project, str(found[0]), fresh)
    return fresh


def _name_target(raw: Any, data: config.Data, fresh: Path) -> None:
    """Set the target to the only column that the schema does not name, if it is missing."""
    if fresh.is_dir() or ingestion.find_format(fresh).module != "delimited":
        return
    names = ingestion.header(fresh, ingestion.sniff_csv(fresh)).names
    if data.target in names:
        return
    known = (raw["schema"] or {}).get("columns") or {}
    left = [n for n in names if not any(fnmatch.fnmatchcase(n, pattern) for pattern in known)]
    if len(left) != 1:
        raise ConfigError(
            f"the table has no column '{data.target}', which the example predicts",
            expected=f"{data.target}, or one column beside {', '.join(known)}",
            found=", ".join(names[:10]) + "…" * (len(names) > 10),
            next="gristmill new NAME --data FILE --target COLUMN   to start from any table",
        )
    raw["data"]["target"] = left[0]


def _free_place(project: Project, name: str, data: config.Data, fresh: Path) -> Path:
    """Return the example's path for the data, or one with the experiment's name if it is used.

    Raises:
        ConfigError: both folders contain other data.
    """
    for folder in dict.fromkeys((data.folder, name)):
        target = project.root / "data" / folder / fresh.name
        there = [*target.parent.iterdir()] if target.parent.is_dir() else []
        pinned = ingestion.data_state(project, folder) is ingestion.DataState.MISSING
        if not there and not pinned:
            return target
        if there == [target] and same_bytes(fresh, target):
            return target
    raise ConfigError(
        f"data/{data.folder} and data/{name} contain other data, and `new` never overwrites",
        expected="a name without data",
        found=name,
        next=f"gristmill new {name}_2 …",
    )


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
