"""A merge driver for git: a three-way merge, by name, of files that list independent entries."""

from __future__ import annotations

import shlex
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gristmill.pipelines.base import InputError, ask_git, run_git
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion.versions import pin_file
from gristmill.pipelines.ingestion.versions.pin_file import Map, dump, load_map

DRIVER = "gristmill-data"
"""The name of the driver in `.gitattributes`."""


@dataclass(frozen=True)
class Merged:
    """The text of a merged file, and a message for each entry that both sides changed."""

    text: str
    conflicts: tuple[str, ...] = ()


def merge_file(project: Project, name: str, base: str, ours: str, theirs: str) -> Merged:
    """Merge `data.dvc`, `dvc.lock` or `params.yaml`.

    Args:
        project: the project.
        name: the name of the file.
        base, ours, theirs: its text in the common ancestor and on both sides.

    Raises:
        InputError: a side is not valid, or its list of files is neither in DVC's cache nor remote.
    """
    if name == pin_file.PIN:
        return _pins(project, base, ours, theirs)
    if name == pin_file.LOCK:
        return merge_locks(base, ours, theirs)
    return merge_parameters(base, ours, theirs)


def _merge(base: Map, ours: Map, theirs: Map) -> list[str]:
    """Apply to `ours` the changes of `theirs` only; return the keys that both changed."""
    both = []
    for key in dict.fromkeys((*theirs, *base)):
        old, mine, other = base.get(key), ours.get(key), theirs.get(key)
        if other in (old, mine):
            continue
        if mine != old:
            both.append(key)
        elif key in theirs:
            ours[key] = other
        else:
            ours.pop(key, None)
    return both


def _pins(project: Project, *texts: str) -> Merged:
    sides = [_entries(project, text) for text in texts]
    entries = {(path, one["md5"]): one for side in sides for path, one in side.items()}
    base, ours, theirs = ({path: one["md5"] for path, one in side.items()} for side in sides)
    both = _merge(base, ours, theirs)
    conflicts = [
        _conflict(project, path.removeprefix("data/"), ours.get(path, ""), theirs.get(path, ""))
        for path in both
    ]
    merged = {path: entries[path, md5] for path, md5 in ours.items()}
    return Merged(pin_file.with_entries(texts[1] or texts[2], merged), tuple(conflicts))


def _entries(project: Project, text: str) -> dict[str, Map]:
    """Return the entries of a side; one hash for all data sets is split by DVC's list."""
    entries = pin_file.entries_in(text)
    whole = entries.pop("data", None)
    if whole is None:
        return entries
    from gristmill.pipelines.ingestion.versions.pins import entry_of, require_sets_of
    from gristmill.pipelines.ingestion.versions.repository import unlocked

    with unlocked(project) as repo:
        sets = require_sets_of(
            repo,
            whole["md5"],
            "the pins cannot be merged: a list of files is not in DVC's cache",
            "git merge --abort, dvc fetch --all-branches (after dvc push on the machine that "
            "pinned that version), and merge again",
        )
        paths = {f"data/{name}": digest for name, digest in sets.items()}
        return {path: entry_of(repo, path, digest) for path, digest in paths.items()} | entries


def _conflict(project: Project, folder: str, here: str, there: str) -> str:
    user = next(iter(users(project, folder)), "NAME")
    take = f"gristmill data use {user} {there[:8]}   uses theirs"
    return (
        f"data/{folder} was changed on both sides: {_called(here)} here, {_called(there)} there\n"
        "  data.dvc has our version of it; everything else is merged\n"
        "  next      git add data.dvc   keeps ours\n"
        + (f"            {take}; then git add data.dvc\n" if there else "")
        + f"            gristmill data refresh {user} --data FILE   uses a file merged by hand; "
        "then git add data.dvc"
    )


def _called(digest: str) -> str:
    return f"version {digest[:8]}" if digest else "deleted"


def users(project: Project, folder: str) -> list[str]:
    """Return the experiments that use a data set, as `params.yaml` lists them."""
    try:
        listed = load_map(project.params_file.read_text(encoding="utf-8")).get("experiments") or {}
    except (OSError, InputError):
        return []
    return [name for name, entry in listed.items() if entry.get("data") == folder]


def merge_locks(base: str, ours: str, theirs: str) -> Merged:
    """Merge `dvc.lock` by stage; stages that both changed are removed, so that DVC reruns them.

    Args:
        base, ours, theirs: its text in the common ancestor and on both sides.
    """
    document, their_document = load_map(ours), load_map(theirs)
    sides = [side.get("stages") or {} for side in (load_map(base), document, their_document)]
    for name in _merge(*sides):
        sides[1].pop(name, None)
    document.setdefault("schema", their_document.get("schema", "2.0"))
    document["stages"] = sides[1]
    return Merged(dump(document))


def merge_parameters(base: str, ours: str, theirs: str) -> Merged:
    """Merge `params.yaml` by key; ours is kept where both sides changed a key differently.

    Args:
        base, ours, theirs: its text in the common ancestor and on both sides.
    """
    document = load_map(ours)
    conflicts = _into(document, load_map(base), load_map(theirs), "")
    return Merged(dump(document, width=100), tuple(conflicts))


def _into(ours: Map, base: Map, theirs: Map, where: str) -> list[str]:
    conflicts = []
    for key in _merge(base, ours, theirs):
        old, mine, other = base.get(key), ours.get(key), theirs.get(key)
        if isinstance(mine, MutableMapping) and isinstance(other, MutableMapping):
            below = old if isinstance(old, MutableMapping) else {}
            conflicts += _into(mine, below, other, f"{where}{key}.")
        else:
            conflicts.append(
                f"{where}{key} was changed on both sides: {_said(mine)} here, {_said(other)} there"
                "\n  params.yaml has our value of it; everything else is merged"
                "\n  next      git add params.yaml   keeps ours; or edit that line first"
            )
    return conflicts


def _said(value: Any) -> str:
    return "deleted" if value is None else str(value)


def plain_merge(base: Path, ours: Path, theirs: Path) -> None:
    """Merge as git does without a driver: write the merged text, or conflict markers, to `ours`.

    Args:
        base, ours, theirs: files with the text in the common ancestor and on both sides.
    """
    labels = ["-L", "ours", "-L", "base", "-L", "theirs"]
    run_git(Path(), "merge-file", *labels, str(ours), str(base), str(theirs))


def driver_command(project: Project, program: Path) -> str:
    """Return the shell command of the driver, which git runs at the top of the work tree.

    A program inside the clone has a path relative to its top, so that the clone can be moved. Its
    absolute path is tried next, for a second work tree, then PATH. If nothing is found, git's own
    merge runs.
    """
    shown = ask_git(project.root, "rev-parse", "--show-toplevel").strip()
    top = Path(shown or project.root).resolve()
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


def is_registered(project: Project, program: Path) -> bool:
    """Return whether git calls the program, also after the clone was moved."""
    wanted, found = (
        command.partition(" gristmill; do ")
        for command in (driver_command(project, program), registered_driver(project))
    )
    first = [shlex.split(places)[:4] for places in (wanted[0], found[0])]  # for g in PROGRAM …
    inside = first[0][-1].startswith("./")  # the next one is the place where the clone was
    return wanted[2] == found[2] and (first[0] == first[1] if inside else wanted == found)


def registered_driver(project: Project) -> str:
    """Return the driver in the clone's git settings; empty if it is not registered."""
    return ask_git(project.root, "config", "--local", f"merge.{DRIVER}.driver").rstrip("\n")


def register_driver(project: Project, program: Path) -> None:
    """Write the driver to the clone's git settings."""
    command = driver_command(project, program)
    settings = {"name": "data sets and experiments by name", "driver": command}
    for key, value in settings.items():
        ask_git(project.root, "config", "--local", f"merge.{DRIVER}.{key}", value)
