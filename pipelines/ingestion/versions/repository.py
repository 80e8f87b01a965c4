"""Versions of data, and the stages that depend on them: the one module that imports dvc."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path, PurePosixPath
from typing import Any

import psutil
from dvc.exceptions import DvcException, ReproductionError
from dvc.fs import LocalFileSystem, RemoteMissingDepsError
from dvc.lock import LockError, make_lock
from dvc.repo import Repo, lock_repo
from dvc.rwlock import RWLOCK_FILE, RWLOCK_LOCK
from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import add_update_tree
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.transfer import transfer
from dvc_data.hashfile.tree import Tree, du
from dvc_objects.errors import ObjectFormatError

from gristmill.pipelines.base import (
    ConfigError,
    EnvironmentFault,
    GristmillError,
    InputError,
    read_json,
    write_json,
    writing,
)
from gristmill.pipelines.config import Project
from gristmill.pipelines.ingestion.versions import history

STAGES = ("ingest", "validate", "split", "scale")
PIN = "data.dvc"
MISSING = ("deleted", "not in cache")
"""What DVC says of files of which only the hash is here."""


class DataState(Enum):
    """How a data set's folder on disk stands to the pin.

    EDITED would be lost if it were replaced; OTHER was pinned once and is in DVC's cache.
    """

    PINNED = "matches the pin"
    EDITED = "differs from the pin"
    OTHER = "is another version than the pinned one"
    MISSING = "is pinned, but not on disk"
    NEW = "is on disk, but not pinned"
    ABSENT = "is neither on disk nor pinned"


@dataclass(frozen=True)
class StageState:
    """Whether a stage has something to do, and why."""

    name: str
    changes: tuple[str, ...]


@contextmanager
def _opened(project: Project) -> Iterator[Any]:
    """The repository under DVC's lock; its own methods may take the lock again."""
    project.require_git()
    for package in ("dvc", "dvc_objects", "dvc_data"):
        logging.getLogger(package).setLevel(logging.CRITICAL)  # below it, DVC draws progress bars
    try:
        with (
            _remotes_packages(),
            Repo(str(project.root), _wait_for_lock=True) as repo,
            lock_repo(repo),
        ):
            _mend_users(repo)
            _finish_move(project, repo)
            yield repo
    except LockError as error:
        raise EnvironmentFault(
            "another process holds DVC's lock", found=str(error), next="wait for it and try again"
        ) from error
    except DvcException as error:
        raise EnvironmentFault(
            "DVC could not do its part", found=_first_lines(error), next="dvc status -v"
        ) from error


def _mend_users(repo: Repo) -> None:
    """Drops DVC's list of who uses which file when a process was killed while it wrote that.

    DVC reads and writes it under a lock of its own, and takes no list for an empty one.
    """
    file = Path(repo.tmp_dir) / RWLOCK_FILE
    if _is_json(file):
        return
    hardlink = repo.config["core"].get("hardlink_lock", False)
    guard = make_lock(
        f"{file.with_name(RWLOCK_LOCK)}", tmp_dir=repo.tmp_dir, hardlink_lock=hardlink, wait=True
    )
    with guard:
        if not _is_json(file):
            file.unlink()


def _is_json(file: Path) -> bool:
    try:
        json.loads(file.read_bytes())
    except FileNotFoundError:
        return True
    except ValueError:
        return False
    return True


def _without_package(error: Exception) -> Exception:
    """Of a remote's kind that this environment has no package for; other errors stay."""
    named = re.search(r"dvc-\w+", str(error))
    package = f"dvc-{error.protocol}" if isinstance(error, RemoteMissingDepsError) else ""
    package = package or (named[0] if named else "")
    if not package:
        return error
    return EnvironmentFault(
        "DVC's remote needs a package that is not installed",
        expected=f"{package}, which `make setup` does not bring",
        found=str(error),
        next=f".venv/bin/uv pip install --python .venv {package}",
    )


@contextmanager
def _remotes_packages() -> Iterator[None]:
    try:
        yield
    except (ImportError, RemoteMissingDepsError) as error:
        raise _without_package(error) from error


def _place(project: Project, name: str) -> str:
    """A path in the project as DVC takes it: from the folder that the command was typed in."""
    return os.path.relpath(project.root / name)


def data_state(project: Project, folder: str) -> DataState:
    """Compares `data/<folder>` with what `data.dvc` pins, reading only files that changed."""
    with _opened(project) as repo:
        return _state(project, repo, folder)


def _state(project: Project, repo: Any, folder: str) -> DataState:
    place = project.root / "data" / folder
    there = place.is_dir() and any(place.iterdir())
    out = _pin(project, repo)
    if out is None:
        return DataState.NEW if there else DataState.ABSENT
    tree = out.get_obj()
    if tree is None:  # a clone without cache: only the whole, or what ingest last read, is known
        if not there:
            return DataState.MISSING
        if out.get_hash() == out.hash_info:
            return DataState.PINNED
        expected = _last_ingested(repo, folder)
        if expected is None:
            return DataState.NEW
        return DataState.PINNED if _hash_of(repo, folder) == expected else DataState.EDITED
    part = _subtree(tree, folder)
    if part is None:
        return DataState.NEW if there else DataState.ABSENT
    if not there:
        return DataState.MISSING
    disk = _hash_of(repo, folder)
    if disk == part.hash_info:
        return DataState.PINNED
    return DataState.OTHER if _was_pinned(project, repo, folder, disk.value) else DataState.EDITED


def _was_pinned(project: Project, repo: Any, folder: str, digest: str) -> bool:
    """Whether a version was pinned on some branch, and all its bytes are in the cache."""
    part = _tree(repo, digest)
    if part is None:
        listed = (_tree(repo, pin.whole) for pin in history.pins(project, "--all"))
        parts = (_subtree(tree, folder) for tree in listed if tree is not None)
        part = next((part for part in parts if part is not None and part.oid == digest), None)
    return part is not None and not _lacking(repo, part)


def data_digest(project: Project, folder: str) -> str:
    """DVC's hash of `data/<folder>` as it is on disk."""
    with _opened(project) as repo:
        return str(_hash_of(repo, folder).value)


def cache_folder(project: Project) -> Path:
    """Where DVC keeps the bytes on this machine."""
    with _opened(project) as repo:
        return Path(repo.cache.local.path)


def restore_from_cache(project: Project, folder: str) -> bool:
    """Puts the pinned bytes of `data/<folder>` back from DVC's cache or its remote.

    Returns:
        Whether the folder then matches the pin.
    """
    target = _place(project, f"data/{folder}")
    with _opened(project) as repo:
        tree = _pinned(project, repo)
        part = None if tree is None else _subtree(tree, folder)
        if _pin(project, repo) is None or (tree is not None and part is None):
            return False
        try:
            if part is None or _lacking(repo, part):
                if not _has_remote(repo):
                    return False
                repo.pull(targets=[target], force=True)
            else:
                repo.checkout(targets=[target], force=True)
        except DvcException:  # offline, or not there: the source comes next
            pass
        return _state(project, repo, folder) is DataState.PINNED


def knows_pin(project: Project) -> bool:
    """Whether it is known which files `data.dvc` pins: their list is in the cache or the remote."""
    with _opened(project) as repo:
        return _pin(project, repo) is None or _pinned(project, repo) is not None


def matches_pin(project: Project) -> bool:
    """Whether `data/` has the pinned hash; if so DVC's cache gets the bytes.

    Where the list of pinned files is not known, data sets may be there that are not pinned yet.
    """
    with _opened(project) as repo:
        out = _pin(project, repo)
        if out is None or not Path(out.fs_path).exists():
            return False
        if out.get_hash() == out.hash_info:
            if out.get_obj() is None:
                repo.add(_place(project, "data"))
            return True
        return _pinned(project, repo) is None and _pinned_among(repo, str(out.hash_info.value))


def keep(project: Project, folder: str) -> None:
    """DVC's cache gets the bytes of `data/<folder>`, which is as pinned, unless it has their list.

    On a clone the pin of all of `data/` cannot be taken apart until all data sets are there; this
    one can be found by its own hash.
    """
    with _opened(project) as repo:
        out = _pin(project, repo)
        digests = [str(_hash_of(repo, folder).value), *([str(out.hash_info.value)] if out else [])]
        if not any(_tree(repo, digest) for digest in digests):
            _built(repo, project.root / "data" / folder, add=True)


def _pinned_among(repo: Any, digest: str) -> bool:
    """Finds the data sets on disk that together have the pin's hash; they go to the cache."""
    data = Path(repo.root_dir, "data")
    parts = {
        place.name: _built(repo, place, add=False)
        for place in sorted(data.iterdir())
        if place.is_dir() and not place.name.startswith(".")
    }
    ingested = [name for name in parts if _last_ingested(repo, name) is not None]
    without_one = [[name for name in parts if name != new] for new in parts]
    for names in (ingested, *without_one):
        whole = Tree()
        for name in names:
            _graft(whole, name, parts[name])
        whole.digest()
        if whole.oid == digest:
            for name in names:
                _built(repo, data / name, add=True)
            add_update_tree(repo.cache.local, whole)
            return True
    return False


def _graft(whole: Tree, folder: str, part: Tree) -> None:
    for key, meta, info in part:
        whole.add((folder, *key) if key else (folder,), meta, info)


def pin(project: Project, folder: str) -> str:
    """Takes `data/<folder>` as it is into the pin; the other data sets stay as pinned.

    Returns:
        DVC's hash of the folder.

    Raises:
        ConfigError: other data sets are not on disk and the pin's list is not in the cache.
    """
    with _opened(project) as repo:
        if _pin(project, repo) is None:
            repo.add(_place(project, "data"))
            return str(_hash_of(repo, folder).value)
        part = _built(repo, project.root / "data" / folder, add=True)
        whole = _with_part(project, repo, folder, part)
        _write_pin(project, repo, whole)
        return str(part.oid)


def pinned_digest(project: Project, folder: str) -> str | None:
    """DVC's hash of the pinned version of a data set; None while there is none, or none known."""
    with _opened(project) as repo:
        tree = _pinned(project, repo)
        part = None if tree is None else _subtree(tree, folder)
    return None if part is None else str(part.oid)


def lay_out(project: Project, path: PurePosixPath, target: Path) -> bool:
    """Puts the pinned bytes of one file, `data/NAME/…`, to a place aside; False if not there."""
    with _opened(project) as repo:
        tree = _pinned(project, repo)
        inside = path.parts[1:]
        files = {} if tree is None else {key: info for key, _, info in tree}
        found = {key: i for key, i in files.items() if key[: len(inside)] == inside}
        odb = repo.cache.local
        if not found or not all(odb.exists(info.value) for info in found.values()):
            return False
        for key, info in found.items():
            place = target.joinpath(*key[len(inside) :])
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(odb.oid_to_path(info.value), place)
    return True


def would_be(project: Project, path: PurePosixPath, raw: Path, *, edits: bool) -> str:
    """DVC's hash of a data set's folder with `raw` at `path`, `data/NAME/…`.

    Args:
        edits: whether the folder's other files are taken as they are on disk, not as pinned.
    """
    with _opened(project) as repo:
        return str(_with(project, repo, path, raw, edits=edits, add=False).oid)


def take(project: Project, path: PurePosixPath, raw: Path, *, edits: bool) -> str:
    """Makes the pin and the disk hold the data set with `raw` at `path`; see `would_be`.

    All bytes are in DVC's cache before the pin moves, in one rename. A process that is killed
    before it leaves the old version; one that is killed after it is finished by the next command.

    Returns:
        DVC's hash of the data set's folder.
    """
    folder = path.parts[1]
    with _opened(project) as repo:
        part = _with(project, repo, path, raw, edits=edits, add=True)
        _move(project, repo, folder, part)
        _finish_move(project, repo)
    return str(part.oid)


def go_to(project: Project, folder: str, whole: str, digest: str) -> None:
    """Makes the pin and the disk hold the version of one data set that has this hash.

    Args:
        whole: hash of a pin that holds it, where that is known.
        digest: hash of the data set's folder.

    Raises:
        InputError: its bytes are neither in the cache nor in the remote.
    """
    with _opened(project) as repo:
        part = _whole_version(repo, folder, whole, digest)
        _move(project, repo, folder, part)
        _finish_move(project, repo)


def lay_out_version(
    project: Project, folder: str, whole: str, digest: str, target: Path
) -> list[str]:
    """Links a version of one data set from DVC's cache to a place aside, its bytes read once.

    Args:
        whole: hash of a pin that holds it, where that is known.
        digest: hash of the data set's folder.

    Returns:
        The files whose bytes in the cache are not those of the version.

    Raises:
        InputError: its bytes are neither in the cache nor in the remote.
    """
    damaged = []
    with _opened(project) as repo:
        for key, _, info in _whole_version(repo, folder, whole, digest):
            place = target.joinpath(*key)
            place.parent.mkdir(parents=True, exist_ok=True)
            kept = Path(repo.cache.local.oid_to_path(info.value))
            try:
                place.hardlink_to(kept)
            except OSError:  # on another file system
                place.symlink_to(kept)
            with kept.open("rb") as file:
                if hashlib.file_digest(file, "md5").hexdigest() != info.value:
                    damaged.append("/".join(key))
    return damaged


def hash_of(project: Project, path: Path) -> str:
    """DVC's hash of a file or folder as it is on disk."""
    with _opened(project) as repo:
        return str(_built(repo, path, add=False).hash_info.value)


def in_pins(
    project: Project, wholes: Collection[str], folder: str, *, remote: bool = False
) -> dict[str, str]:
    """For each pin whose list of files is known: the data set's hash in it, empty if not in it."""
    found = {}
    with _opened(project) as repo:
        for whole in wholes:
            tree = _tree(repo, whole, remote=remote)
            if tree is not None:
                part = _subtree(tree, folder)
                found[whole] = "" if part is None else str(part.oid)
    return found


def sets_in(project: Project, whole: str) -> dict[str, str]:
    """The hash of each data set of a pin.

    Raises:
        InputError: the pin's list of files is neither in the cache nor in the remote.
    """
    with _opened(project) as repo:
        tree = _tree(repo, whole, remote=True)
        if tree is None:
            raise InputError(
                f"what the pin {whole[:8]} holds is not known here",
                expected=f"the list of files {whole} in DVC's cache or remote",
                found="nothing",
                next="dvc fetch, where a remote has it",
            )
        return {name: _oid(_subtree(tree, name)) for name in {key[0] for key, _, _ in tree}}


def sets_with(project: Project, wholes: Collection[str], digest: str) -> set[str]:
    """The hashes of data sets, in those of the pins that are known, that hold a file's bytes."""
    found = set()
    with _opened(project) as repo:
        for whole in wholes:
            tree = _tree(repo, whole) or ()
            names = {key[0] for key, _, info in tree if info.value == digest}
            found |= {_oid(_subtree(tree, name)) for name in names}
    return found


def from_cache(project: Project, prefix: str) -> list[str]:
    """Hashes in DVC's cache of versions that were pinned or left here, by their beginning."""
    with _opened(project) as repo:
        place = Path(repo.cache.local.path, prefix[:2])
        return sorted(prefix[:2] + file.name for file in place.glob(f"{prefix[2:]}*.dir"))


def kept(project: Project, folder: str, wholes: Mapping[str, str]) -> dict[str, str]:
    """Where the bytes of versions are: "cache", "remote", "nowhere", or "unasked".

    The last one is said where there is a remote that cannot be asked.

    Args:
        wholes: for each version's hash that of a pin that holds it.
    """
    with _opened(project) as repo:
        files: dict[str, set[str]] = {}
        for digest, whole in wholes.items():
            tree = _tree(repo, whole)
            part = None if tree is None else _subtree(tree, folder)
            files[digest] = set() if part is None else _lacking(repo, part)
        wanted = set().union(*files.values())
        there = _in_remote(repo, wanted) if wanted and _has_remote(repo) else set()
    return {digest: _where(lacking, there) for digest, lacking in files.items()}


def _in_remote(repo: Any, wanted: Collection[str]) -> set[str] | None:
    """Which files the remote has; None where it cannot be asked."""
    try:
        with _remotes_packages():
            return set(repo.cloud.get_remote_odb().oids_exist(list(wanted)))
    except (EnvironmentFault, DvcException, OSError):
        return None


def _where(lacking: set[str], there: set[str] | None) -> str:
    if not lacking:
        return "cache"
    if there is None:
        return "unasked"
    return "remote" if lacking <= there else "nowhere"


def cached(project: Project, digests: Collection[str]) -> dict[str, Path]:
    """The places in DVC's cache of the files that are there, by hash."""
    with _opened(project) as repo:
        odb = repo.cache.local
        return {digest: Path(odb.oid_to_path(digest)) for digest in digests if odb.exists(digest)}


@dataclass(frozen=True)
class MergedPins:
    """The pin of two branches.

    Attributes:
        text: of `data.dvc`; where both sides changed a data set, ours stands.
        conflicts: for each data set that both changed: our hash and theirs; empty for deleted.
    """

    text: str
    conflicts: Mapping[str, tuple[str, str]]


def merge_pins(project: Project, base: str, ours: str, theirs: str) -> MergedPins:
    """Three contents of `data.dvc` merged data set by data set; takes no lock of DVC.

    Raises:
        InputError: the lists of files that the three pin are not all in the cache or the remote.
    """
    with _remotes_packages(), Repo(str(project.root)) as repo:
        sides = [_sets(repo, text) for text in (base, ours, theirs)]
        b, o, t = sides
        merged, conflicts = dict(o), {}
        for name in sorted({*b, *o, *t}):
            old, mine, other = (_oid(side.get(name)) for side in sides)
            if other in (old, mine):
                continue
            if mine == old:
                merged.pop(name, None)
                merged |= {name: t[name]} if name in t else {}
            else:
                conflicts[name] = (mine, other)
                for side in (o, t):
                    if name in side:
                        _remember(repo, side[name])
        whole = Tree()
        for name, part in merged.items():
            _graft(whole, name, part)
        whole.digest()
        add_update_tree(repo.cache.local, whole)
        return MergedPins(_pin_text(ours or theirs, whole, du(repo.cache.local, whole)), conflicts)


def _sets(repo: Any, text: str) -> dict[str, Tree]:
    """The data sets of a pin, by name."""
    whole = history.whole_of(text)
    if not whole:
        return {}
    tree = _tree(repo, whole, remote=True)
    if tree is None:
        raise InputError(
            "the pins cannot be merged: a list of files is not in DVC's cache",
            expected=f"{whole} in .dvc/cache" + (" or the remote" if _has_remote(repo) else ""),
            found="nothing",
            next="git merge --abort, dvc fetch --all-branches (where that version was pinned: "
            "dvc push), and merge again",
        )
    names = {key[0] for key, _, _ in tree}
    return {name: _subtree(tree, name) for name in names}


def _oid(part: Tree | None) -> str:
    return "" if part is None else str(part.oid)


def _tree(repo: Any, digest: str, *, remote: bool = False) -> Tree | None:
    """A list of files by its hash, from the cache or, where asked, the remote."""
    if not digest:
        return None
    odb, info = repo.cache.local, HashInfo("md5", digest)
    try:
        return Tree.load(odb, info)
    except (FileNotFoundError, ObjectFormatError):
        if not remote or not _has_remote(repo):
            return None
    try:
        tree = Tree.load(repo.cloud.get_remote_odb(), info)
    except (OSError, ObjectFormatError):
        return None
    tree.digest()
    return add_update_tree(odb, tree)


def _has_remote(repo: Any) -> bool:
    return bool(repo.config["core"].get("remote"))


def _pinned(project: Project, repo: Any) -> Tree | None:
    out = _pin(project, repo)
    return None if out is None else _tree(repo, str(out.hash_info.value), remote=True)


def _lacking(repo: Any, part: Tree) -> set[str]:
    """The files of a version that are not in the cache."""
    odb = repo.cache.local
    return {info.value for _, _, info in part if not odb.exists(info.value)}


def _fetch(repo: Any, part: Tree) -> int:
    """Brings a version's bytes from the remote to the cache; returns how many files lack them."""
    lacking = _lacking(repo, part)
    if lacking and _has_remote(repo):
        infos = {HashInfo("md5", digest) for digest in lacking}
        transfer(repo.cloud.get_remote_odb(), repo.cache.local, infos, cache_odb=repo.cache.local)
        lacking = _lacking(repo, part)
    return len(lacking)


def _whole_version(repo: Any, folder: str, whole: str, digest: str) -> Tree:
    """The files of a version of one data set, all of their bytes in the cache."""
    part = _tree(repo, digest)
    if part is None and whole:
        tree = _tree(repo, whole, remote=True)
        part = None if tree is None else _subtree(tree, folder)
        part = part if part is not None and part.oid == digest else None
    missing = None if part is None else _fetch(repo, part)
    if part is None or missing:
        what = "its list of files" if part is None else f"{missing} of its {len(part)} files"
        remote = "DVC's cache or remote" if _has_remote(repo) else "DVC's cache; no remote"
        raise InputError(
            f"the bytes of version {digest[:8]} of data/{folder} are not here",
            expected=f"in {remote}",
            found=f"{what} is nowhere to be found" if part is None else f"{what} are missing",
            next=f"where it is: gristmill data use NAME {digest[:8]} && dvc push data.dvc",
        )
    return part


def _remember(repo: Any, part: Tree) -> None:
    """Keeps a version's list of files by its own hash, so that it can be found without a commit."""
    part.digest()
    add_update_tree(repo.cache.local, part)


def _with(
    project: Project, repo: Any, path: PurePosixPath, raw: Path, *, edits: bool, add: bool
) -> Tree:
    folder, inside = path.parts[1], path.parts[2:]
    base = (
        _built(repo, project.root / "data" / folder, add=add)
        if edits
        else _pinned_part(project, repo, folder)
    )
    part = Tree()
    for key, meta, info in base:
        if key[: len(inside)] != inside:
            part.add(key, meta, info)
    made = _built(repo, raw, add=add)
    if isinstance(made, Tree):
        for key, meta, info in made:
            part.add((*inside, *key), meta, info)
    else:
        part.add(inside, None, made.hash_info)
    part.digest()
    return part


def _pinned_part(project: Project, repo: Any, folder: str) -> Tree:
    tree = _pinned(project, repo)
    if tree is None and _pin(project, repo) is not None:
        raise _unknown_pin()
    return (tree and _subtree(tree, folder)) or Tree()


def _unknown_pin() -> ConfigError:
    return ConfigError(
        "the other pinned data sets must be restored before a new one is pinned",
        expected="all of data/ on disk, as data.dvc pins it",
        found="a pin whose list of files is not in DVC's cache",
        next="gristmill data restore",
    )


def _built(repo: Any, path: Path, *, add: bool) -> Any:
    """The hashes of a file or folder; with `add` its bytes go to the cache."""
    odb = repo.cache.local
    staging, _, made = build(
        odb, str(path), LocalFileSystem(), "md5", ignore=repo.dvcignore, dry_run=not add
    )
    if add:
        transfer(staging, odb, {made.hash_info}, shallow=False)
    return made


MOVE = "gristmill-move.json"
"""In DVC's own folder for temporary files: the move of a data set that is under way."""


def _move(project: Project, repo: Any, folder: str, part: Tree) -> None:
    """Moves the pin to a version whose bytes are in the cache; `_finish_move` does the rest."""
    whole = _with_part(project, repo, folder, part)
    write_json(Path(repo.tmp_dir, MOVE), {"folder": folder, "pin": whole.oid})
    _write_pin(project, repo, whole)


def _with_part(project: Project, repo: Any, folder: str, part: Tree) -> Tree:
    """The pin's list of files with another version of one data set; all lists are in the cache."""
    before = _pinned(project, repo)
    if before is None and _pin(project, repo) is not None:
        raise _unknown_pin()
    whole = Tree()
    for key, meta, info in before or ():
        if key[0] != folder:
            whole.add(key, meta, info)
    _graft(whole, folder, part)
    whole.digest()
    add_update_tree(repo.cache.local, whole)
    for version in filter(None, (part, before and _subtree(before, folder))):
        _remember(repo, version)
    return whole


def _write_pin(project: Project, repo: Any, whole: Tree) -> None:
    file = project.root / PIN
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if history.whole_of(text) != whole.oid:
        new = _pin_text(text, whole, du(repo.cache.local, whole))
        with writing(file) as aside:
            aside.write_text(new, encoding="utf-8")


def _finish_move(project: Project, repo: Any) -> None:
    """Lays out the files of a move whose pin is in place; forgets one that did not come so far."""
    journal = Path(repo.tmp_dir, MOVE)
    if not journal.exists():
        return
    move = read_json(journal)
    file = project.root / PIN
    if file.exists() and history.whole_of(file.read_text(encoding="utf-8")) == move["pin"]:
        repo._reset()
        repo.checkout(targets=[_place(project, f"data/{move['folder']}")], force=True)
    journal.unlink()


def _pin_text(text: str, whole: Tree, size: int | None) -> str:
    """`data.dvc` with another hash; everything else in it stays."""
    document = parse_yaml_for_update(text, PIN) or {"outs": [{}]}
    entry = document["outs"][0]
    about = {"md5": whole.oid, "size": size, "nfiles": len(whole), "hash": "md5", "path": "data"}
    for key, value in about.items():
        if value is None:
            entry.pop(key, None)
        else:
            entry[key] = value
    return str(dumps_yaml(document))


def _reasons(stage: Any) -> tuple[str, ...]:
    entries = stage.status(check_updates=False).get(stage.addressing, [])
    if entries and not any(dep.hash_info for dep in stage.deps):
        return ("first time",)
    lines: list[str] = []
    missing = False
    for entry in entries:
        if isinstance(entry, str):
            lines.append(entry)
            continue
        for shown, what in next(iter(entry.values())).items():
            place = os.path.relpath(shown, stage.repo.root_dir)
            if isinstance(what, dict):
                lines += [f"{key} in {place} {how}" for key, how in what.items()]
            elif what in MISSING and place.startswith("build/"):
                missing = True
            else:
                lines.append(f"{place} {what}")
    return tuple(lines) if lines or not missing else ("not made here yet",)


def run_stage(project: Project, stage: str, experiment: str, force: bool) -> bool:
    """Has DVC carry out one stage, unless nothing that it depends on has changed.

    Returns:
        Whether anything was done.

    Raises:
        GristmillError: what the stage's own process reported.
        KeyboardInterrupt: the stage was interrupted.
    """
    record = project.build(experiment) / "logs" / f"{stage}.json"
    record.unlink(missing_ok=True)
    os.environ["GRISTMILL_RECORD"] = str(record)
    target = f"{stage}@{experiment}"
    if (file := _place(project, "dvc.yaml")) != "dvc.yaml":
        target = f"{file}:{target}"
    try:
        with _opened(project) as repo:
            return bool(repo.reproduce(target, single_item=True, force=force))
    except EnvironmentFault as fault:
        if record.is_file():
            raise GristmillError.from_record(read_json(record)) from fault
        cause: BaseException | None = fault
        while cause is not None:
            if isinstance(cause, ReproductionError) and "exited with -2" in str(cause.__cause__):
                raise KeyboardInterrupt from fault
            cause = cause.__cause__
        raise
    finally:
        os.environ.pop("GRISTMILL_RECORD", None)


def stop_stage(stage: str, experiment: str) -> None:
    """Ends the process that carries out a stage, if there is one."""
    wanted = f"stage {stage} {experiment}"
    for child in psutil.Process().children(recursive=True):
        try:
            if wanted in " ".join(child.cmdline()):
                child.kill()
        except psutil.NoSuchProcess:
            continue


@dataclass(frozen=True)
class DataPlan:
    """What DVC knows of an experiment.

    Attributes:
        data: how the data set stands to the pin.
        stages: what each stage would do, in their order.
        digests: DVC's hashes of what the stages read and made, by path.
    """

    data: DataState
    stages: tuple[StageState, ...]
    digests: Mapping[str, str]


def data_plan(project: Project, experiment: str, folder: str) -> DataPlan:
    """What DVC would do for the experiment over the data set in `data/<folder>`."""
    with _opened(project) as repo:
        data = _state(project, repo, folder)
        stages = list(
            repo.stage.load_all(_place(project, "dvc.yaml"), f"*@{experiment}", glob=True)
        )
        reasons = {stage.addressing.split("@")[0]: _reasons(stage) for stage in stages}
    states = tuple(StageState(name, reasons.get(name, ("first time",))) for name in STAGES)
    return DataPlan(data, states, _digests(stages))


def digests(project: Project, experiment: str) -> Mapping[str, str]:
    """DVC's hashes of what the experiment's stages read and made, by path."""
    with _opened(project) as repo:
        return _digests(
            repo.stage.load_all(_place(project, "dvc.yaml"), f"*@{experiment}", glob=True)
        )


def _digests(stages: Iterable[Any]) -> dict[str, str]:
    return {
        out.def_path: str(out.hash_info.value)
        for stage in stages
        for out in (*stage.deps, *stage.outs)
        if out.hash_info and out.def_path.startswith(("build/", "data/"))
    }


def _pin(project: Project, repo: Any) -> Any:
    if not (project.root / PIN).is_file():
        return None
    (out,) = repo.stage.load_one(_place(project, PIN)).outs
    return out


def _subtree(tree: Tree, folder: str) -> Any:
    part = Tree()
    for key, meta, hash_info in tree:
        if key[0] == folder:
            part.add(key[1:], meta, hash_info)
    if not len(part):
        return None
    part.digest()
    return part


def _hash_of(repo: Any, folder: str) -> Any:
    return _built(repo, Path(repo.root_dir, "data", folder), add=False).hash_info


def _last_ingested(repo: Any, experiment_folder: str) -> Any:
    """The hash of a data set's folder that `dvc.lock` has from the last ingest."""
    for stage in repo.stage.load_all(str(Path(repo.root_dir, "dvc.yaml")), "ingest@*", glob=True):
        for dep in stage.deps:
            if dep.def_path == f"data/{experiment_folder}" and dep.hash_info:
                return dep.hash_info
    return None


def _first_lines(error: Exception) -> str:
    parts: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause).strip().split("\n")[0]
        if text and text not in parts:
            parts.append(text)
        cause = cause.__cause__
    return "\n".join(parts)[:600]
