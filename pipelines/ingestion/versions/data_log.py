"""The versions of a data set: every content that was ever pinned, and the search for one."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from gristmill.pipelines.base import ConfigError, read_json, write_json
from gristmill.pipelines.config import Project, load_experiment
from gristmill.pipelines.ingestion.versions import cache, pin_file, pins
from gristmill.pipelines.ingestion.versions.repository import opened
from gristmill.pipelines.ingestion.versions.stages import cache_folder, cached_files


@dataclass(frozen=True)
class DataVersion:
    """One content of a data set.

    Attributes:
        digest: DVC's hash of the data set's folder.
        commit: the first commit that pinned it; empty if none did.
        when: that commit's time, in seconds since 1970.
        kept: where its bytes are.
        on_disk: whether it is in the work tree now.
        pinned: whether `data.dvc` pins it now.
        rows: number of rows; None if it was not recorded.
    """

    digest: str
    commit: str
    when: float | None
    kept: cache.Kept = cache.Kept.CACHE
    on_disk: bool = False
    pinned: bool = False
    rows: int | None = None


@dataclass(frozen=True)
class Log:
    """The versions, newest first, and the number of pins whose list of files was not found."""

    versions: tuple[DataVersion, ...]
    unknown: int


def data_log(project: Project, folder: str) -> Log:
    """Return all versions of a data set that the commits up to HEAD, and the work tree, pin."""
    found, unknown = _listed(project, folder)
    there = pins.data_state(project, folder) in (pins.DataState.PINNED, pins.DataState.OTHER)
    disk = pins.data_digest(project, folder) if there else ""
    pinned = pins.pinned_digest(project, folder)
    with opened(project) as repo:
        digests = [version.digest for version in found]
        lists = {digest: pins.find_list(project, repo, digest, remote=False) for digest in digests}
        kept = cache.where_kept(repo, lists)
    versions = (
        replace(v, kept=kept[v.digest], on_disk=v.digest == disk, pinned=v.digest == pinned)
        for v in found
    )
    return Log(tuple(versions), unknown)


def _listed(project: Project, folder: str, *revisions: str) -> tuple[list[DataVersion], int]:
    """Return the versions, newest first, and the number of pins whose data sets are unknown."""
    now = pin_file.PinnedAt("", math.inf, pin_file.read_pin(project))
    every = [now, *pin_file.pins(project, *revisions)]
    with opened(project) as repo:
        known = pins.known_sets(repo, [at.pin for at in every], remote=True)
    first: dict[str, DataVersion] = {}
    for at in reversed(every):  # the oldest commit with a content determines its position
        digest = known.get(at.pin.whole, at.pin.sets).get(folder)
        if digest and digest not in first:
            first[digest] = DataVersion(digest, at.commit, at.when if at.commit else None)
    unknown = {at.pin.whole for at in every} - {"", *known}
    return list(first.values())[::-1], len(unknown)


def sets_in(project: Project, pin: pin_file.Pin, asked: str) -> Mapping[str, str]:
    """Return the hash of each data set of a pin.

    Args:
        project: the project.
        pin: what a `data.dvc` pins.
        asked: the revision as the user wrote it, to be named in errors.

    Raises:
        InputError: the pin is one hash whose list of files is neither in the cache nor the remote.
    """
    if not pin.whole:
        return pin.sets
    with opened(project) as repo:
        return pins.require_sets_of(
            repo,
            pin.whole,
            f"the data pinned by {asked} are unknown here",
            f"on a machine that has them: git checkout {asked} && dvc push data.dvc",
        )


def sets_with(project: Project, digest: str) -> set[str]:
    """Return the versions of data sets, if their lists are here, that contain a file's bytes."""
    every = [pin_file.read_pin(project), *(at.pin for at in pin_file.pins(project, "--all"))]
    with opened(project) as repo:
        known = pins.known_sets(repo, every)
        versions = {one for pin in every for one in known.get(pin.whole, pin.sets).values()}
        lists = {one: cache.load_list(repo, one) or () for one in versions}
    return {one for one, files in lists.items() if any(i.value == digest for _, _, i in files)}


def find(project: Project, name: str, asked: str) -> str:
    """Return the version of an experiment's data set at a git revision, or with a hash.

    Args:
        project: the project.
        name: the experiment.
        asked: a git revision, or the first 4 or more digits of a version's hash.

    Raises:
        ConfigError: there is no such revision or hash, or the data set was not pinned there.
    """
    folder = load_experiment(project, name).data.folder
    at = pin_file.pin_at(project, asked)
    if at is not None and (digest := sets_in(project, at.pin, asked).get(folder)):
        return digest
    listed, _ = _listed(project, folder, "--all")
    if pin_file.DIGITS.fullmatch(asked):
        fitting = {v.digest for v in listed if v.digest.startswith(asked)}
        fitting = fitting or set(_in_cache(project, name, asked))
        if len(fitting) == 1:
            return fitting.pop()
        if fitting:
            raise ConfigError(
                f"{asked} is the beginning of {len(fitting)} versions",
                expected="enough digits to identify one version",
                found=", ".join(digest[:12] for digest in sorted(fitting)[:8]),
            )
    some = [f"{v.digest[:8]} ({v.commit[:8] or 'not committed'})" for v in listed[:6]]
    raise ConfigError(
        f"data/{folder} has no version '{asked}'",
        expected="a commit, branch or tag, or a hash of "
        + (", ".join(some) if some else "a version; none is pinned yet"),
        found=f"{asked} does not pin data/{folder}" if at else "a name unknown to git and DVC",
        next=f"gristmill data log {name}",
    )


def _in_cache(project: Project, name: str, prefix: str) -> list[str]:
    """Return versions that no commit pins, but that `use` or a merge left in the cache."""
    data = load_experiment(project, name).data
    inside = "/".join(data.path.split("/")[2:])
    found = []
    for place in cache_folder(project).joinpath(prefix[:2]).glob(f"{prefix[2:]}*.dir"):
        names = [entry["relpath"] for entry in json.loads(place.read_bytes())]
        if any(file == inside or file.startswith(f"{inside}/") for file in names):
            found.append(prefix[:2] + place.name)
    return found


ROWS = "rows.json"
"""A file in the experiment's folder under `build/`: numbers of rows counted by refreshes."""


def note_rows(project: Project, name: str, digest: str, rows: int) -> None:
    """Record the number of rows of a version until a run does.

    Args:
        project: the project.
        name: the experiment.
        digest: hash of the version.
        rows: its number of rows.
    """
    file = project.build(name) / "refresh" / ROWS
    write_json(file, {**(read_json(file) if file.exists() else {}), digest: rows})


def recorded_rows(project: Project, name: str, wanted: Collection[str]) -> dict[str, int]:
    """Return the numbers of rows of versions, from refreshes and validations in any `dvc.lock`.

    Args:
        project: the project.
        name: the experiment.
        wanted: hashes of versions; those without a record are left out.
    """
    file = project.build(name) / "refresh" / ROWS
    noted = read_json(file) if file.exists() else {}
    found = {digest: int(noted[digest]) for digest in wanted if digest in noted}
    missing = set(wanted) - set(found)
    if not missing:
        return found
    results = _validations(project, name, missing)
    places = cached_files(project, set(results.values()))
    for digest, result in results.items():
        if result in places:
            found[digest] = int(json.loads(places[result].read_bytes())["rows"])
    return found


def _validations(project: Project, name: str, wanted: set[str]) -> dict[str, str]:
    """Return for each version of a data set DVC's hash of its `validation.json`."""
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
    """Yield the entries of some stages in every `dvc.lock` that contains one of the hashes.

    Only these entries are parsed as YAML: 500 complete lock files would take half a minute.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    reader = YAML(typ="safe")
    entry = re.compile(
        rf"^  (?:{'|'.join(map(re.escape, names))}):\n(?:    .*\n|\n)+", re.MULTILINE
    )
    for text in pin_file.locks(project):
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
