"""DVC's cache and its remote: lists of files, and their bytes.

This is the only module that imports dvc_data and dvc_objects. A list (DVC's `Tree`) contains the
files of a folder with their hashes; its own hash is the hash of a version.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.fs import LocalFileSystem, RemoteMissingDepsError
from dvc.repo import Repo
from dvc_data.hashfile.build import build
from dvc_data.hashfile.checkout import checkout
from dvc_data.hashfile.db import add_update_tree
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.transfer import transfer
from dvc_data.hashfile.tree import Tree, du
from dvc_objects.errors import ObjectDBPermissionError, ObjectFormatError
from dvc_objects.fs.errors import AuthError

from gristmill.pipelines.base import EnvironmentFault, GristmillError, redact

Key = tuple[str, ...]


class RemoteUnusable(EnvironmentFault):
    """DVC's remote cannot be reached, or this environment has no package for its kind."""


class RemoteRefused(EnvironmentFault):
    """DVC's remote does not accept the login."""


class Kept(Enum):
    """Where the bytes of a version are."""

    CACHE = ""
    REMOTE = "in the remote only"
    UNASKED = "bytes not in the cache; the remote cannot be asked"
    REFUSED = "bytes not in the cache; the remote refused the login"
    NOWHERE = "bytes neither in the cache nor in a remote"


def file_list(entries: Iterable[tuple[Key, Any, Any]]) -> Tree:
    """Return a list of files with its hash."""
    made = Tree()
    for key, meta, info in entries:
        made.add(key, meta, info)
    made.digest()
    return made


def load_list(repo: Repo, digest: str, *, remote: bool = False) -> Tree | None:
    """Return a list of files by its hash; None if it is not found.

    Args:
        repo: DVC's repository.
        digest: hash of the list.
        remote: whether to look in the remote too, if the cache does not have it.
    """
    odb, info = repo.cache.local, HashInfo("md5", digest)
    with suppress(FileNotFoundError, ObjectFormatError):
        return Tree.load(odb, info)
    if not remote or not has_remote(repo):
        return None
    with suppress(FileNotFoundError, ObjectFormatError), asked_remote(repo) as there:
        tree = Tree.load(there, info)
        tree.digest()
        return add_update_tree(odb, tree)
    return None


def keep_list(repo: Repo, files: Tree) -> None:
    """Add a list of files, without their bytes, to the cache."""
    if not repo.cache.local.exists(files.oid):
        files.digest()
        add_update_tree(repo.cache.local, files)


def has_remote(repo: Repo) -> bool:
    return bool(repo.config["core"].get("remote"))


@contextmanager
def asked_remote(repo: Repo) -> Iterator[Any]:
    """Yield the remote's store, and translate its errors.

    Raises:
        RemoteRefused: the login is not accepted.
        RemoteUnusable: it cannot be reached, or fails in another way.
        FileNotFoundError: it does not have the requested file.
    """
    try:
        yield repo.cloud.get_remote_odb()
    except (GristmillError, DvcException, ObjectFormatError):
        raise
    except (ImportError, RemoteMissingDepsError) as error:
        raise without_package(error) from error
    except Exception as error:  # each kind of remote has its own errors
        if _is_absence(error):
            raise
        name = repo.config["core"]["remote"]
        first = causes(error, context=True)[-1]
        found = redact(f"{type(first).__name__}: {first}")[:300]
        if not _is_refusal(error):
            raise RemoteUnusable(
                f"DVC's remote '{name}' could not be reached",
                found=found,
                next="try again when it can be reached",
            ) from error
        raise RemoteRefused(
            f"DVC's remote '{name}' refused the login",
            expected="a login with permission to read it",
            found=found,
            next=f"log in as that storage requires, or dvc remote modify --local {name} "
            "… with the options it needs",
        ) from error


def without_package(error: Exception) -> Exception:
    """Return a readable error if the package for a kind of remote is missing, else the same."""
    named = re.search(r"dvc-\w+", str(error))
    package = f"dvc-{error.protocol}" if isinstance(error, RemoteMissingDepsError) else ""
    package = package or (named[0] if named else "")
    if not package:
        return error
    return RemoteUnusable(
        "DVC's remote needs a package that is not installed",
        expected=f"{package}, which `make setup` does not install",
        found=str(error),
        next=f".venv/bin/uv pip install --python .venv {package}",
    )


REFUSAL = re.compile("auth|credential|permission|denied|forbidden", re.IGNORECASE)
"""Parts of the names of errors that libraries of remotes raise for a login."""

AWAY = re.compile("connect|timeout", re.IGNORECASE)


def causes(error: BaseException, *, context: bool = False) -> list[BaseException]:
    """Return an error and its causes; with `context` also the errors being handled meanwhile."""
    found = [error]
    while cause := found[-1].__cause__ or (found[-1].__context__ if context else None):
        found.append(cause)
    return found


def _is_refusal(error: BaseException) -> bool:
    known = (PermissionError, AuthError, ObjectDBPermissionError)
    return any(
        isinstance(one, known) or _status(one) in (401, 403) or REFUSAL.search(type(one).__name__)
        for one in causes(error, context=True)
    )


def _is_absence(error: BaseException) -> bool:
    """Check whether a file is missing; some libraries report every failed read that way."""
    every = causes(error, context=True)
    failed = any(_status(one) >= 500 or AWAY.search(type(one).__name__) for one in every)
    return isinstance(error, FileNotFoundError) and not failed and not _is_refusal(error)


def _status(error: BaseException) -> int:
    """Return the HTTP status in an error, else 0."""
    said = (getattr(error, name, 0) for name in ("status", "status_code", "code"))
    return next((status for status in said if isinstance(status, int) and status), 0)


def lacking(repo: Repo, files: Tree) -> set[str]:
    """Return the hashes of the files that are not in the cache."""
    odb = repo.cache.local
    return {info.value for _, _, info in files if not odb.exists(info.value)}


def fetch_files(repo: Repo, files: Tree) -> int:
    """Fetch bytes from the remote to the cache; return how many files are still missing."""
    wanted = lacking(repo, files)
    if wanted and has_remote(repo):
        with suppress(FileNotFoundError), asked_remote(repo) as there:
            infos = {HashInfo("md5", digest) for digest in wanted}
            transfer(there, repo.cache.local, infos, cache_odb=repo.cache.local)
            wanted = lacking(repo, files)
            _require_login(there, wanted)
    return len(wanted)


def _require_login(there: Any, missing: Collection[str]) -> None:
    """Read a missing file to raise the actual error: DVC reports refused files as missing."""
    for digest in sorted(missing)[:1]:
        with there.fs.open(there.oid_to_path(digest), "rb") as file:
            file.read(1)


def where_kept(repo: Repo, versions: Mapping[str, Tree | None]) -> dict[str, Kept]:
    """Return where the bytes of versions are, by hash.

    The remote receives a list of files after the files, so the list's presence is sufficient.
    """
    files = {
        digest: {digest} if one is None else lacking(repo, one) for digest, one in versions.items()
    }
    wanted: set[str] = set().union(*files.values())
    absent, there = Kept.NOWHERE, set()
    if wanted and has_remote(repo):
        try:
            with suppress(FileNotFoundError), asked_remote(repo) as store:
                there = set(store.oids_exist(list(wanted)))
                _require_login(store, wanted - there)
        except RemoteRefused:
            absent = Kept.REFUSED
        except (RemoteUnusable, DvcException):
            absent = Kept.UNASKED
    return {
        digest: absent if missing - there else Kept.REMOTE if missing else Kept.CACHE
        for digest, missing in files.items()
    }


def list_from(repo: Repo, path: Path, *, add: bool = False) -> Any:
    """Compute the hashes of a file or folder on disk.

    Args:
        repo: DVC's repository.
        path: the file or folder.
        add: whether to add its bytes to the cache.

    Returns:
        A list of files, or DVC's record of one file; both have `oid` and `hash_info`.
    """
    odb = repo.cache.local
    staging, _, made = build(
        odb, str(path), LocalFileSystem(), "md5", ignore=repo.dvcignore, dry_run=not add
    )
    if add:
        transfer(staging, odb, {made.hash_info}, shallow=False)
    return made


def check_out(repo: Repo, place: Path, files: Tree) -> None:
    """Write the files of a list from the cache to a folder; existing files are overwritten.

    Args:
        repo: DVC's repository.
        place: the folder.
        files: a list whose bytes are all in the cache.
    """
    known = {"ignore": repo.dvcignore, "state": repo.state}
    checkout(str(place), LocalFileSystem(), files, repo.cache.local, force=True, **known)


def size_of(repo: Repo, files: Tree) -> int | None:
    """Return the total bytes; None if some files are not in the cache."""
    size: int | None = du(repo.cache.local, files)
    return size


def place_of(repo: Repo, digest: str) -> Path:
    """Return the path of a file in the cache, whether it exists or not."""
    return Path(repo.cache.local.oid_to_path(digest))
