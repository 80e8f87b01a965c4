"""The results of the split: roles, and frozen cuts in a file under git."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gristmill.pipelines.base import ConfigError, read_json, write_json
from gristmill.pipelines.config import Split

TEST, VALIDATION, TRAINING, UNUSED = 0, 1, 2, 3
ROLES = ("test", "validation", "training", "gap")
"""Names of the roles by their codes; rows in a gap before a date of the time split are unused."""

RoleCodes = npt.NDArray[np.int8]


def fold_names(folds: int) -> tuple[str, ...]:
    """Return the names of the parts of a split with folds: test, and each fold."""
    return ("test", *(f"fold {fold}" for fold in range(folds)))


_ALWAYS = ("key", "seed", "stratify", "test", "validation")
"""Settings in every split file; the others are left out if they have their defaults."""


OPTIONAL = ("seed", "dates", "others")
"""Entries that are left out if unused."""


@dataclass(frozen=True)
class Cuts:
    """The content of `experiments/NAME.split.json`: the boundaries of the roles.

    Attributes:
        rule: the settings of the split.
        identity: what identifies a row: the key, the content of `columns`, or the content and the
            number of its occurrence.
        columns: the columns of the identity.
        edges: inner edges of the target's bins, for regression.
        cuts: for each stratum, in [0, 1]: test below the first, validation below the second; or
            with folds test below the first, fold 0 below the second, and so on.
        seed: the chosen seed of a split by groups.
        dates: `validation_from` and `test_from` in ISO 8601, for a split by time.
        others: the other columns of the data at the first split; None in files of earlier versions.
    """

    rule: Mapping[str, Any]
    identity: Literal["key", "content", "occurrence"]
    columns: tuple[str, ...]
    edges: tuple[float, ...]
    cuts: Mapping[str, tuple[float, ...]]
    seed: int | None = None
    dates: Mapping[str, str] | None = None
    others: tuple[str, ...] | None = None

    @property
    def known(self) -> set[str] | None:
        """The columns of the data at the first split; None if they were not recorded."""
        return None if self.others is None else {*self.columns, *self.others}


@dataclass(frozen=True)
class Roles:
    """Numbers of rows by role, and by fold if there are any; and remarks for the user."""

    training: int
    validation: int
    test: int
    gap: int = 0
    notes: tuple[str, ...] = ()
    folds: tuple[int, ...] = ()

    def __str__(self) -> str:
        line = f"{self.training:,} training, {self.validation:,} validation, {self.test:,} test"
        if self.folds:
            sizes = ", ".join(f"{size:,}" for size in self.folds)
            line = f"{self.training:,} in {len(self.folds)} folds ({sizes}), {self.test:,} test"
        if self.gap:
            line += f", {self.gap:,} in gaps"
        return "\n".join([line, *(f"    {note}" for note in self.notes)])


def settings_of(rule: Split, target: str) -> dict[str, Any]:
    """Return the settings that the cuts depend on, as stored in the split file."""
    values = rule.model_dump(by_alias=True, exclude={"as_"})
    plain = Split().model_dump(by_alias=True, exclude={"as_"})
    kept = {k: v for k, v in values.items() if k in _ALWAYS or v != plain[k]}
    if rule.folds:
        del kept["validation"]
    if rule.time is not None:
        kept["time"] = {k: v for k, v in kept["time"].items() if v is not None}
    return {**kept, "target": target}


def read_cuts(file: Path) -> Cuts:
    """Read a split file.

    Raises:
        ConfigError: the file is damaged.
    """
    try:
        content = read_json(file)
        seed, dates, others = (content.get(name) for name in OPTIONAL)
        return Cuts(
            rule=dict(content["rule"]),
            identity=content["identity"],
            columns=tuple(content["columns"]),
            edges=tuple(content["edges"]),
            cuts={str(s): _bounds(cuts, content["rule"]) for s, cuts in content["cuts"].items()},
            seed=None if seed is None else int(seed),
            dates=None if dates is None else _checked(dates),
            others=None if others is None else tuple(map(str, others)),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{file.name} cannot be read",
            expected="rule, identity, columns, edges and cuts",
            found=f"{type(error).__name__}: {error}",
            next="git checkout the file; only the dates of a split by time can be edited",
        ) from error


def _bounds(cuts: Sequence[float], rule: Mapping[str, Any]) -> tuple[float, ...]:
    bounds = tuple(map(float, cuts))
    if len(bounds) != (expected := rule.get("folds") or 2):
        raise ValueError(f"{len(bounds)} cuts of a stratum instead of {expected}")
    return bounds


def write_cuts(file: Path, cuts: Cuts) -> None:
    """Write a split file for `read_cuts`; unused entries are left out."""
    content = asdict(cuts)
    for name in OPTIONAL:
        if content[name] is None:
            del content[name]
    write_json(file, content)


def _checked(dates: Mapping[str, str]) -> dict[str, str]:
    first, second = dates["validation_from"], dates["test_from"]
    if datetime.fromisoformat(first) >= datetime.fromisoformat(second):
        raise ValueError("validation_from must be before test_from")
    return {"validation_from": first, "test_from": second}
