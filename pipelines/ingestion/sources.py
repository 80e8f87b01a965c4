"""Where data come from: each kind of source writes the raw file, the same bytes every time."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.config import ConfigError, EnvironmentFault, Project, nearest, writing

TIMEOUT = 60.0
"""Seconds without an answer after which a download is given up."""

CHUNK = 1 << 20
"""Bytes of a download that are held at a time."""


def fetch(project: Project, source: str, target: Path) -> None:
    """Writes what `source` holds today to the file `target`, whole or not at all.

    Args:
        project: relative paths are relative to its folder.
        source: `sklearn:NAME`, `https://…`, `http://…` or a path on this machine.
        target: the file to write.

    Raises:
        ConfigError: the source has another form or is not there.
        EnvironmentFault: it could not be reached.
    """
    kind, _, rest = source.partition(":")
    with writing(target) as aside:
        if kind == "sklearn":
            _scikit_learn(rest, aside)
        elif kind in ("http", "https"):
            _download(source, aside)
        elif "://" in source:
            raise ConfigError(
                f"no source of the kind '{kind}'",
                expected="sklearn:NAME, https://…, or a path on this machine",
                found=source,
            )
        else:
            _copy(project.root / Path(rest if kind == "file" else source).expanduser(), aside)


def _copy(origin: Path, aside: Path) -> None:
    if not origin.is_file():
        raise ConfigError(
            "the source file is not there",
            expected="a file",
            found=f"nothing at {origin}" if not origin.exists() else f"a folder at {origin}",
            next="mend data.source in the experiment file, or what stands after --data",
        )
    shutil.copyfile(origin, aside)


def _download(address: str, aside: Path) -> None:
    import requests

    try:
        plain = {"Accept-Encoding": "identity"}
        with requests.get(address, stream=True, timeout=TIMEOUT, headers=plain) as answer:
            answer.raise_for_status()
            with aside.open("wb") as file:
                file.writelines(answer.iter_content(CHUNK))
    except requests.RequestException as error:
        raise EnvironmentFault(
            "the source could not be downloaded",
            expected=f"a whole file from {address}",
            found=type(error).__name__ + f": {error}"[:160],
            next="try again, or put the file there by hand and type gristmill run",
        ) from error


def _scikit_learn(name: str, aside: Path) -> None:
    """One of the tables that scikit-learn brings, as CSV with a header.

    Numbers are written by Python's shortest exact form and whole numbers without a point, lines
    end in a line feed: the bytes follow from the values alone, not from a library's version.
    """
    from sklearn import datasets

    tables: dict[str, tuple[Callable[..., Any], dict[str, Any], str]] = {
        "breast_cancer": (datasets.load_breast_cancer, {}, "malignant_or_benign"),
        "diabetes": (datasets.load_diabetes, {"scaled": False}, "progression"),
        "digits": (datasets.load_digits, {}, "digit"),
        "iris": (datasets.load_iris, {}, "species"),
        "wine": (datasets.load_wine, {}, "cultivar"),
    }
    if name not in tables:
        near = nearest(name, tables)
        raise ConfigError(
            f"scikit-learn brings no data set '{name}'",
            expected="sklearn: and one of " + ", ".join(tables),
            found=f"sklearn:{name}",
            next=f"source: sklearn:{near}" if near else "",
        )
    load, arguments, target = tables[name]
    bunch = load(**arguments)
    header = [str(column).replace(" ", "_") for column in bunch.feature_names] + [target]
    with aside.open("w", encoding="utf-8", newline="\n") as file:
        file.write(",".join(header) + "\n")
        for features, label in zip(bunch.data.tolist(), bunch.target.tolist(), strict=True):
            file.write(",".join(map(_number, [*features, label])) + "\n")


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else repr(float(value))
