"""What the split makes: roles, and the frozen cuts that are kept under git."""

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
"""Names of the roles by their codes; rows in a gap before a date of the time split have no use."""

RoleCodes = npt.NDArray[np.int8]


def fold_names(folds: int) -> tuple[str, ...]:
    """Names of the parts that a table is cut into: test, and each fold."""
    return ("test", *(f"fold {fold}" for fold in range(folds)))


_ALWAYS = ("key", "seed", "stratify", "test", "validation")
"""Settings that stand in every split file; the others only where they are not the default."""


@dataclass(frozen=True)
class Cuts:
    """Where the roles begin and end; what stands in `experiments/NAME.split.json`.

    Attributes:
        rule: the settings that the cuts were made with.
        identity: what makes two rows the same row: the key, the content of `columns`, or that
            content and the number of its occurrence.
        columns: the columns that the identity is made of.
        edges: inner edges of the target's bins, for regression.
        cuts: for each stratum, in [0, 1]: test below the first, validation below the second; or
            with folds test below the first, fold 0 below the second, and so on.
        seed: the one that was chosen among many, for a split by groups.
        dates: `validation_from` and `test_from` in ISO 8601, for a split by time.
    """

    rule: Mapping[str, Any]
    identity: Literal["key", "content", "occurrence"]
    columns: tuple[str, ...]
    edges: tuple[float, ...]
    cuts: Mapping[str, tuple[float, ...]]
    seed: int | None = None
    dates: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Roles:
    """How many rows each role got, and what a person should know of it."""

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
    """What the cuts depend on, as it stands in the split file."""
    values = rule.model_dump(by_alias=True, exclude={"as_"})
    plain = Split().model_dump(by_alias=True, exclude={"as_"})
    kept = {k: v for k, v in values.items() if k in _ALWAYS or v != plain[k]}
    if rule.folds:
        del kept["validation"]
    if rule.time is not None:
        kept["time"] = {k: v for k, v in kept["time"].items() if v is not None}
    return {**kept, "target": target}


def read_cuts(file: Path) -> Cuts:
    """The cuts in a split file.

    Raises:
        ConfigError: the file was damaged.
    """
    try:
        content = read_json(file)
        seed, dates = content.get("seed"), content.get("dates")
        return Cuts(
            rule=dict(content["rule"]),
            identity=content["identity"],
            columns=tuple(content["columns"]),
            edges=tuple(content["edges"]),
            cuts={str(s): _bounds(cuts, content["rule"]) for s, cuts in content["cuts"].items()},
            seed=None if seed is None else int(seed),
            dates=None if dates is None else _checked(dates),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{file.name} cannot be read",
            expected="rule, identity, columns, edges and cuts",
            found=f"{type(error).__name__}: {error}",
            next="git checkout the file; only the dates of a split by time may be moved by hand",
        ) from error


def _bounds(cuts: Sequence[float], rule: Mapping[str, Any]) -> tuple[float, ...]:
    bounds = tuple(map(float, cuts))
    if len(bounds) != (expected := rule.get("folds") or 2):
        raise ValueError(f"{len(bounds)} cuts of a stratum where there are {expected}")
    return bounds


def write_cuts(file: Path, cuts: Cuts) -> None:
    """Writes what `read_cuts` reads; what a split has no use for is left out."""
    content = asdict(cuts)
    for name in ("seed", "dates"):
        if content[name] is None:
            del content[name]
    write_json(file, content)


def _checked(dates: Mapping[str, str]) -> dict[str, str]:
    first, second = dates["validation_from"], dates["test_from"]
    if datetime.fromisoformat(first) >= datetime.fromisoformat(second):
        raise ValueError("validation_from must be before test_from")
    return {"validation_from": first, "test_from": second}
