"""The versions of one data set: each content that was ever pinned, and how to find one again."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gristmill.pipelines.base import (
    ConfigError,
    EnvironmentFault,
    InputError,
    read_json,
    write_json,
)
from gristmill.pipelines.config import Project, load_experiment
from gristmill.pipelines.ingestion.versions import history
from gristmill.pipelines.ingestion.versions import repository as versions


@dataclass(frozen=True)
class Version:
    """One content of a data set.

    Attributes:
        digest: DVC's hash of the data set's folder.
        commit: the first one that pinned it; empty while none did.
        when: that commit's time, in seconds since 1970.
        whole: hash of a pin that holds it.
        kept: where its bytes are, as `versions.kept` says.
        on_disk: whether the work tree holds it now.
        pinned: whether `data.dvc` pins it now.
        rows: None where nothing recorded them.
    """

    digest: str
    commit: str
    when: float | None
    whole: str
    kept: str = "cache"
    on_disk: bool = False
    pinned: bool = False
    rows: int | None = None


@dataclass(frozen=True)
class Log:
    """The versions, newest first, and how many pins could not be read for lack of their list."""

    versions: tuple[Version, ...]
    unknown: int


def data_log(project: Project, folder: str) -> Log:
    """All versions of a data set that the commits up to HEAD, and the work tree, pin."""
    found, unknown = _listed(project, folder)
    kept = versions.kept(project, folder, {v.digest: v.whole for v in found})
    state = versions.data_state(project, folder)
    there = state in (versions.DataState.PINNED, versions.DataState.OTHER)
    disk = versions.data_digest(project, folder) if there else ""
    pinned = versions.pinned_digest(project, folder)
    return Log(
        tuple(
            replace(v, kept=kept[v.digest], on_disk=v.digest == disk, pinned=v.digest == pinned)
            for v in found
        ),
        unknown,
    )


def _listed(project: Project, folder: str) -> tuple[list[Version], int]:
    pins = history.pins(project)
    file = project.root / history.PIN
    if file.exists():
        now = history.whole_of(file.read_text(encoding="utf-8"))
        pins = [history.PinnedAt("", float("inf"), now), *pins]
    wholes = dict.fromkeys(pin.whole for pin in pins if pin.whole)
    try:
        digests = versions.in_pins(project, wholes, folder, remote=True)
    except EnvironmentFault:  # a remote that cannot be used
        digests = versions.in_pins(project, wholes, folder)
    first: dict[str, Version] = {}
    for pin in reversed(pins):  # the oldest commit that has a content gives it its place
        digest = digests.get(pin.whole)
        if digest and digest not in first:
            when = pin.when if pin.commit else None
            first[digest] = Version(digest, pin.commit, when, pin.whole)
    return list(first.values())[::-1], len(wholes) - len(digests)


@dataclass(frozen=True)
class Found:
    """A version that somebody asked for."""

    digest: str
    whole: str


def find(project: Project, name: str, asked: str) -> Found:
    """The version of an experiment's data set at a git revision, or with a hash.

    Raises:
        ConfigError: there is no such revision or hash, or the data set was not pinned there.
    """
    folder = load_experiment(project, name).data.folder
    pin = history.pin_at(project, asked)
    if pin is not None and pin.whole:
        digest = versions.in_pins(project, [pin.whole], folder, remote=True).get(pin.whole)
        if digest:
            return Found(digest, pin.whole)
        if digest is None:
            raise InputError(
                f"what {asked} pins is not known here",
                expected=f"the list of files {pin.whole} in DVC's cache or remote",
                found="nothing",
                next=f"where it is: gristmill data use {name} {asked} && dvc push data.dvc",
            )
    known, _ = _listed(project, folder)
    if history.DIGITS.fullmatch(asked):
        fitting = {v.digest: v.whole for v in known if v.digest.startswith(asked)}
        fitting = fitting or dict.fromkeys(_in_cache(project, name, asked), "")
        if len(fitting) == 1:
            ((digest, whole),) = fitting.items()
            return Found(digest, whole)
        if fitting:
            raise ConfigError(
                f"{asked} is the beginning of {len(fitting)} versions",
                expected="as many digits as tell one from the others",
                found=", ".join(digest[:12] for digest in list(fitting)[:8]),
            )
    some = [f"{v.digest[:8]} ({v.commit[:8] or 'not committed'})" for v in known[:6]]
    raise ConfigError(
        f"data/{folder} has no version '{asked}'",
        expected="a commit, branch or tag, or a hash of "
        + (", ".join(some) if some else "a version; none is pinned yet"),
        found=f"{asked} does not pin data/{folder}"
        if pin
        else "git and DVC know none of that name",
        next=f"gristmill data log {name}",
    )


def _in_cache(project: Project, name: str, prefix: str) -> list[str]:
    """Versions that no commit pins, but that were left here by `use` or a merge."""
    data = load_experiment(project, name).data
    inside = "/".join(data.path.split("/")[2:])
    found = []
    for digest, place in versions.cached(project, versions.from_cache(project, prefix)).items():
        names = [entry["relpath"] for entry in json.loads(place.read_bytes())]
        if any(file == inside or file.startswith(f"{inside}/") for file in names):
            found.append(digest)
    return found


ROWS = "rows.json"
"""In the experiment's folder under `build/`: rows of versions that a refresh has counted."""


def note_rows(project: Project, name: str, digest: str, rows: int) -> None:
    """Keeps how many rows a version has, until a run has recorded them."""
    file = project.build(name) / "refresh" / ROWS
    write_json(file, {**(read_json(file) if file.exists() else {}), digest: rows})


def recorded_rows(project: Project, name: str, wanted: Collection[str]) -> dict[str, int]:
    """Rows of versions, as refreshes and the validations that `dvc.lock` ever knew have them."""
    file = project.build(name) / "refresh" / ROWS
    noted = read_json(file) if file.exists() else {}
    found = {digest: int(noted[digest]) for digest in wanted if digest in noted}
    missing = set(wanted) - set(found)
    if not missing:
        return found
    results = _validations(project, name, missing)
    places = versions.cached(project, set(results.values()))
    for digest, result in results.items():
        if result in places:
            found[digest] = int(json.loads(places[result].read_bytes())["rows"])
    return found


def _validations(project: Project, name: str, wanted: set[str]) -> dict[str, str]:
    """For versions of a data set, DVC's hash of the `validation.json` that was made of each."""
    folder = load_experiment(project, name).data.folder
    found: dict[str, str] = {}
    names = [f"ingest@{name}", f"validate@{name}"]
    for stages in _lock_files(project, names, wanted):
        ingest, validate = (stages.get(stage, {}) for stage in names)
        digest = _entry(ingest, "deps", f"data/{folder}")
        table = f"build/{name}/table.parquet"
        made = _entry(ingest, "outs", table)
        if digest in wanted and digest not in found and made == _entry(validate, "deps", table):
            found[digest] = _entry(validate, "outs", f"build/{name}/validation.json")
        if len(found) == len(wanted):
            break
    return found


def _lock_files(
    project: Project, names: Collection[str], wanted: Collection[str]
) -> Iterable[Mapping[str, Any]]:
    """The entries of some stages in every `dvc.lock` that names one of the hashes.

    Only they are read as YAML: the whole of 500 lock files would take half a minute.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    reader = YAML(typ="safe")
    entry = re.compile(
        rf"^  (?:{'|'.join(map(re.escape, names))}):\n(?:    .*\n|\n)+", re.MULTILINE
    )
    for text in history.locks(project):
        if not any(digest in text for digest in wanted):
            continue
        try:
            yield reader.load("".join(entry.findall(text))) or {}
        except YAMLError:  # in conflict
            continue


def _entry(stage: Mapping[str, Any], part: str, path: str) -> str:
    for entry in stage.get(part) or ():
        if entry.get("path") == path:
            return str(entry.get("md5", ""))
    return ""
