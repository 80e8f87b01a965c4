"""Object stores and other file systems, through fsspec."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from gristmill.pipelines.base import EnvironmentFault, InputError, nearest, redact
from gristmill.pipelines.config import DATABASES, FORMS, SOURCES
from gristmill.pipelines.ingestion.sources.meter import DownloadMeter, Wanted, is_full, no_source

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

CHUNK = 1 << 20


def copy_from_store(wanted: Wanted, aside: Path) -> None:
    """Copy a file, or a folder without hidden files; logins are the store's own variables.

    Raises:
        ConfigError: fsspec does not know the store, or a package or the source is missing.
        EnvironmentFault: the store cannot be reached.
    """
    try:
        system, path = _opened(wanted.source)
        if system.isdir(path):
            _copy_folder(system, path, aside, wanted.meter)
        elif system.exists(path):
            wanted.meter.begin(0, system.size(path))
            _copy_file(system, path, aside, wanted.meter)
        else:
            raise FileNotFoundError
    except FileNotFoundError as error:
        found = f"nothing at {redact(wanted.source)}"
        raise no_source("the source is missing", "a file or a folder", found) from error
    except OSError as error:
        if is_full(error):
            raise
        raise EnvironmentFault(
            "the store could not be read",
            expected=f"a response for {redact(wanted.source)}",
            found=f"{type(error).__name__}: {redact(str(error))[:200]}",
            next="try again; a login comes from the store's own environment variables",
        ) from None


def _opened(source: str) -> tuple[AbstractFileSystem, str]:
    import fsspec
    from fsspec.core import url_to_fs

    scheme = source.partition("://")[0]
    known = fsspec.available_protocols()
    if scheme not in known or "::" in source:
        names = [*known, "https", *DATABASES, *(kind.name for kind in SOURCES)]
        near = nearest(scheme, names)
        mark = ":" if near in ("openml", "keras", "sklearn") else "://"
        next = f"did you mean {near}{mark}…?" if near and near != scheme else ""
        raise no_source(
            f"no source of the kind '{scheme}'", f"one of {FORMS}", redact(source), next
        )
    try:
        return url_to_fs(source, use_listings_cache=False, skip_instance_cache=True)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        missing = getattr(error.__cause__ or error, "name", None)
        raise no_source(
            f"{scheme}:// cannot be read here",
            "the package that fsspec needs for it" if missing else "a complete address",
            f"no {missing}" if missing else redact(str(error))[:200],
            f"pip install {missing}" if missing else "fix data.source",
        ) from error


def _copy_folder(system: AbstractFileSystem, path: str, aside: Path, meter: DownloadMeter) -> None:
    root = PurePosixPath(system._strip_protocol(path))
    found = system.find(str(root), detail=True)
    places = sorted((PurePosixPath(name).relative_to(root), name) for name in found)
    wanted = [
        (place, name)
        for place, name in places
        if not any(part.startswith(".") and part != ".." for part in place.parts) and place.parts
    ]
    if not wanted:
        raise InputError("the source folder is empty", expected="files", found=f"none in {root}")
    sizes = [found[name].get("size") for _, name in wanted]
    meter.begin(0, sum(sizes) if None not in sizes else None)
    for place, name in wanted:
        if ".." in place.parts:
            raise InputError("source folder refused", expected="paths inside it", found=repr(name))
        target = aside / place
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy_file(system, name, target, meter)


def _copy_file(system: AbstractFileSystem, name: str, target: Path, meter: DownloadMeter) -> None:
    with system.open(name, "rb") as source, target.open("wb") as file:
        while chunk := source.read(CHUNK):
            file.write(chunk)
            meter.add(len(chunk))
