"""The text of `data.dvc`: one entry for each data set.

It once had one entry for all of `data/`, whose data sets only a list in DVC's cache names. That
form is read wherever it is found, and never written.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from gristmill.pipelines.base import InputError
from gristmill.pipelines.config import Project

PIN = "data.dvc"

Map = MutableMapping[str, Any]


@dataclass(frozen=True)
class Pin:
    """What a `data.dvc` pins.

    Attributes:
        sets: DVC's hash of each data set's folder, by its name.
        whole: hash of the list of all files in `data/`, where one entry stands for all of them.
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
            found="marks of a merge conflict" if "<<<<<<<" in text else str(error)[:200],
            next=f"gristmill doctor --fix && git checkout --merge {PIN}   merges it by data set",
        ) from error
    sets = {path.removeprefix("data/"): md5 for path, md5 in hashes.items() if path != "data"}
    return Pin(sets, hashes.get("data", ""))


def read_pin(project: Project) -> Pin:
    """What the work tree's `data.dvc` pins; nothing where there is none."""
    return pin_in(read_text(project))


def read_text(project: Project) -> str:
    """The work tree's `data.dvc`; empty where there is none."""
    file = project.root / PIN
    return file.read_text(encoding="utf-8") if file.exists() else ""


def entries_in(text: str) -> dict[str, Map]:
    """The entries of a `data.dvc` for data, by path."""
    return dict(_by_path(load_map(text)))


def with_entries(text: str, entries: Mapping[str, Map]) -> str:
    """The text of a `data.dvc` with these entries for data; whatever else is in it stays."""
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
    """A YAML mapping with its comments, so that it can be written again."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML().load(text)
    except YAMLError as error:
        raise InputError("a side of the merge is not valid YAML", found=str(error)[:200]) from error
    return content if isinstance(content, MutableMapping) else {}


def dump(document: Map, width: int | None = None) -> str:
    """YAML as DVC (without a width) or `Project.register` (with one) writes it."""
    from ruamel.yaml import YAML

    yaml = YAML()
    if width is None:
        yaml.default_flow_style = False
    else:
        yaml.width = width
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()
