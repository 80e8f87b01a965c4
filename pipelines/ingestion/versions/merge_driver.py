"""Merges of the files that hold a list of independent things, for git: a three-way by name."""

from __future__ import annotations

import io
import shlex
import subprocess
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gristmill.pipelines.base import InputError
from gristmill.pipelines.config import Project

DRIVER = "gristmill-data"
"""The name by which `.gitattributes` asks for the driver."""

Map = MutableMapping[str, Any]


@dataclass(frozen=True)
class Merged:
    """The text of a merged file, and what both sides changed, each in a line or more."""

    text: str
    conflicts: tuple[str, ...] = field(default=())


def merge_file(project: Project, name: str, base: str, ours: str, theirs: str) -> Merged:
    """Merges `data.dvc`, `dvc.lock` or `params.yaml`.

    Raises:
        InputError: a side is not what that file should be, or DVC does not know its files.
    """
    if name == "data.dvc":
        return _pins(project, base, ours, theirs)
    if name == "dvc.lock":
        return merge_locks(base, ours, theirs)
    return merge_parameters(base, ours, theirs)


def _pins(project: Project, base: str, ours: str, theirs: str) -> Merged:
    from gristmill.pipelines.ingestion.versions import repository as versions

    found = versions.merge_pins(project, base, ours, theirs)
    lines = []
    for folder, (mine, other) in found.conflicts.items():
        user = next(iter(users(project, folder)), "NAME")
        take = f"gristmill data use {user} {other[:8]}   takes theirs"
        lines.append(
            f"data/{folder} was changed on both sides: {_called(mine)} here, {_called(other)} there"
            f"\n  data.dvc holds ours of it, and everything else merged\n"
            f"  next      git add data.dvc   keeps ours\n"
            + (f"            {take}; then git add data.dvc\n" if other else "")
            + f"            gristmill data refresh {user} --data FILE   takes one made of both; "
            "then git add data.dvc"
        )
    return Merged(found.text, tuple(lines))


def _called(digest: str) -> str:
    return f"version {digest[:8]}" if digest else "deleted"


def users(project: Project, folder: str) -> list[str]:
    """The experiments over a data set, as `params.yaml` lists them."""
    try:
        listed = _map(project.params_file.read_text(encoding="utf-8")).get("experiments") or {}
    except (OSError, InputError):
        return []
    return [name for name, entry in listed.items() if entry.get("data") == folder]


def merge_locks(base: str, ours: str, theirs: str) -> Merged:
    """`dvc.lock` by stage; what both sides changed is left out, so that DVC does it again."""
    document, theirs_map = _map(ours), _map(theirs)
    old, mine, other = (side.get("stages") or {} for side in (_map(base), document, theirs_map))
    for name in dict.fromkeys((*old, *mine, *other)):
        if other.get(name) == old.get(name) or other.get(name) == mine.get(name):
            continue
        if mine.get(name) == old.get(name) and name in other:
            mine[name] = other[name]
        else:
            mine.pop(name, None)
    document.setdefault("schema", theirs_map.get("schema", "2.0"))
    document["stages"] = mine
    return Merged(_dump(document, width=None))


def merge_parameters(base: str, ours: str, theirs: str) -> Merged:
    """`params.yaml` by key; where both sides changed one to different values, ours stands."""
    document = _map(ours)
    conflicts = _into(document, _map(base), _map(theirs), "")
    return Merged(_dump(document, width=100), tuple(conflicts))


def _into(ours: Map, base: Map, theirs: Map, where: str) -> list[str]:
    conflicts = []
    for key in dict.fromkeys((*theirs, *base)):
        old, mine, other = base.get(key), ours.get(key), theirs.get(key)
        if other in (old, mine):
            continue
        if mine == old:
            if key in theirs:
                ours[key] = other
            else:
                ours.pop(key, None)
        elif isinstance(mine, MutableMapping) and isinstance(other, MutableMapping):
            below = old if isinstance(old, MutableMapping) else {}
            conflicts += _into(mine, below, other, f"{where}{key}.")
        else:
            conflicts.append(
                f"{where}{key} was changed on both sides: {_said(mine)} here, {_said(other)} there"
                "\n  params.yaml holds ours of it, and everything else merged"
                "\n  next      git add params.yaml   keeps ours; or edit that line before it"
            )
    return conflicts


def _said(value: Any) -> str:
    return "deleted" if value is None else str(value)


def _map(text: str) -> Map:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML().load(text)
    except YAMLError as error:
        raise InputError("a side of the merge is not valid YAML", found=str(error)[:200]) from error
    return content if isinstance(content, MutableMapping) else {}


def _dump(document: Map, width: int | None) -> str:
    """As DVC (without a width) or `Project.register` (with one) write it."""
    from ruamel.yaml import YAML

    yaml = YAML()
    if width is None:
        yaml.default_flow_style = False
    else:
        yaml.width = width
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


def plain_merge(base: Path, ours: Path, theirs: Path) -> None:
    """What git does without a driver: `ours` becomes the merged text, or has conflict marks."""
    labels = ["-L", "ours", "-L", "base", "-L", "theirs"]
    command = ["git", "merge-file", *labels, str(ours), str(base), str(theirs)]
    subprocess.run(command, check=False, stderr=subprocess.DEVNULL)


def driver_command(project: Project, program: Path) -> str:
    """The driver as git calls it, from the top of the work tree, by the shell.

    The program inside of the clone is named from its top, so that the clone can be moved; from
    outside of it, such as a second work tree, its whole path is tried, then PATH. Where there is
    none git's own merge is done.
    """
    top = Path(_git(project, "rev-parse", "--show-toplevel").strip() or project.root).resolve()
    program = program.absolute()
    places = [str(program)]
    if program.is_relative_to(top):
        places.insert(0, "./" + str(program.relative_to(top)))
    tried = " ".join(shlex.quote(place.replace("%", "%%")) for place in places)
    return (
        f'for g in {tried} gristmill; do command -v "$g" >/dev/null 2>&1 && '
        f'exec "$g" data merge %O %A %B %P; done; '
        "exec git merge-file -L ours -L base -L theirs %A %O %B"
    )


def registered_driver(project: Project) -> str:
    """The driver in the clone's settings; empty where there is none."""
    return _git(project, "config", "--local", f"merge.{DRIVER}.driver").rstrip("\n")


def register_driver(project: Project, program: Path) -> None:
    """Writes the driver into the clone's settings."""
    _git(project, "config", "--local", f"merge.{DRIVER}.name", "data sets and experiments by name")
    command = driver_command(project, program)
    _git(project, "config", "--local", f"merge.{DRIVER}.driver", command)


def _git(project: Project, *words: str) -> str:
    command = ("git", "-C", str(project.root), *words)
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout.decode(errors="replace")
