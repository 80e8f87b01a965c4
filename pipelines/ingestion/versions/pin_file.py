"""The text of `data.dvc`, now and at every commit: one entry per data set.

An older form has one entry for all of `data/`, and the names of the data sets only in a list in
DVC's cache. It is still read, but never written.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from gristmill.pipelines.base import InputError, ask_git, run_git
from gristmill.pipelines.config import Project

PIN = "data.dvc"
LOCK = "dvc.lock"

LEAST_PREFIX = 4
"""Minimum digits of a hash to name a version, as in git."""

DIGITS = re.compile(rf"[0-9a-f]{{{LEAST_PREFIX},32}}(\.dir)?")

Map = MutableMapping[str, Any]


@dataclass(frozen=True)
class Pin:
    """What a `data.dvc` pins.

    Attributes:
        sets: DVC's hash of each data set's folder, by its name.
        whole: hash of the list of all files in `data/`, if there is one entry for all of them.
    """

    sets: Mapping[str, str] = field(default_factory=dict)
    whole: str = ""


@lru_cache(maxsize=4096)
def pin_in(text: str) -> Pin:
    """Read the text of a `data.dvc`.

    Raises:
        InputError: it is not YAML; most likely it is in conflict.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        hashes = {path: str(entry["md5"]) for path, entry in _by_path(YAML(typ="safe").load(text))}
    except YAMLError as error:
        raise InputError(
            f"{PIN} cannot be read",
            expected="one entry for each data set",
            found="markers of a merge conflict" if "<<<<<<<" in text else str(error)[:200],
            next=f"gristmill doctor --fix && git checkout --merge {PIN}   merges it by data set",
        ) from error
    sets = {path.removeprefix("data/"): md5 for path, md5 in hashes.items() if path != "data"}
    return Pin(sets, hashes.get("data", ""))


def read_pin(project: Project) -> Pin:
    """Return what the work tree's `data.dvc` pins; nothing if the file is missing."""
    return pin_in(read_text(project))


def read_text(project: Project) -> str:
    """Return the text of the work tree's `data.dvc`; empty if the file is missing."""
    file = project.root / PIN
    return file.read_text(encoding="utf-8") if file.exists() else ""


def entries_in(text: str) -> dict[str, Map]:
    """Return the entries of a `data.dvc` for data, by path."""
    return dict(_by_path(load_map(text)))


def with_entries(text: str, entries: Mapping[str, Map]) -> str:
    """Return the text of a `data.dvc` with these entries for data; the rest is unchanged."""
    document = load_map(text)
    mine = {id(entry) for _, entry in _by_path(document)}
    others = [entry for entry in document.get("outs") or () if id(entry) not in mine]
    document["outs"] = others + [entries[path] for path in sorted(entries)]
    return dump(document)


def _by_path(document: Any) -> list[tuple[str, Map]]:
    entries = document.get("outs") or () if isinstance(document, Mapping) else ()
    listed = [(str(entry["path"]), entry) for entry in entries if "md5" in entry]
    return [pair for pair in listed if pair[0] == "data" or pair[0].startswith("data/")]


def load_map(text: str) -> Map:
    """Read a YAML mapping with its comments, so that it can be written again."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML().load(text)
    except YAMLError as error:
        raise InputError("a side of the merge is not valid YAML", found=str(error)[:200]) from error
    return content if isinstance(content, MutableMapping) else {}


def dump(document: Map, width: int | None = None) -> str:
    """Return YAML as DVC (without a width) or `Project.register` (with one) writes it."""
    from ruamel.yaml import YAML

    yaml = YAML()
    if width is None:
        yaml.default_flow_style = False
    else:
        yaml.width = width
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()


@dataclass(frozen=True)
class PinnedAt:
    """The pin at a commit; empty if there is none or it cannot be read."""

    commit: str
    when: float
    pin: Pin


def pins(project: Project, *revisions: str) -> list[PinnedAt]:
    """Return the commits that changed the pin, newest first: up to HEAD, or to some revisions."""
    contents = _contents(project, PIN, revisions)
    return [PinnedAt(commit, when, _pin_of(text)) for commit, when, text in contents]


def locks(project: Project) -> Iterator[str]:
    """Yield the texts of `dvc.lock`: that in the work tree, then those up to HEAD, newest first."""
    file = project.root / LOCK
    if file.exists():
        yield file.read_text(encoding="utf-8")
    for _, _, text in _contents(project, LOCK, ()):
        yield text


def _pin_of(text: str) -> Pin:
    try:
        return pin_in(text)
    except InputError:  # committed in conflict
        return Pin()


def pin_at(project: Project, revision: str) -> PinnedAt | None:
    """Return the pin at a git revision; None if git knows no such revision."""
    if revision.startswith("-"):
        return None
    commit = ask_git(project.root, "rev-parse", "--verify", "-q", f"{revision}^{{commit}}").strip()
    if not commit:
        return None
    when = ask_git(project.root, "show", "-s", "--format=%ct", commit).strip()
    text = ask_git(project.root, "show", f"{commit}:./{PIN}")
    return PinnedAt(commit, float(when), _pin_of(text))


def is_before(project: Project, old: str, new: str) -> bool:
    """Return whether a commit is an ancestor of another one, or the same.

    Args:
        project: the project.
        old: full hash of the possible ancestor.
        new: any revision.
    """
    return ask_git(project.root, "merge-base", old, new).strip() == old


def _contents(
    project: Project, name: str, revisions: Sequence[str]
) -> list[tuple[str, float, str]]:
    """Return commit, time and text of a file for each commit that changed it, in two git calls."""
    listed = ask_git(project.root, "log", "--format=%H %ct", *revisions, "--", name).split()
    commits = list(zip(listed[::2], map(float, listed[1::2]), strict=True))
    prefix = ask_git(project.root, "rev-parse", "--show-prefix").strip("\n")
    asked = "".join(f"{commit}:{prefix}{name}\n" for commit, _ in commits)
    texts = _blobs(run_git(project.root, "cat-file", "--batch", given=asked.encode()).stdout)
    return [(commit, when, text) for (commit, when), text in zip(commits, texts, strict=True)]


def _blobs(answer: bytes) -> Iterator[str]:
    """Yield the contents in the output of `git cat-file --batch`; empty for missing files."""
    place = 0
    while place < len(answer):
        end = answer.index(b"\n", place)
        size = answer[place:end].rpartition(b" ")[2]
        place = end + 1
        if size == b"missing":
            yield ""
            continue
        yield answer[place : place + int(size)].decode(errors="replace")
        place += int(size) + 1
