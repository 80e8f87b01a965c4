"""A registered model as its store has it at one moment: versions, aliases, history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

CHAMPION, CHALLENGER = "champion", "challenger"
"""Aliases: the version in service, and the one that waits for a person."""

METRIC = "gristmill.metric."
MEASURED = "gristmill.measured."
"""Of a version: figures of its package."""
STANDING = "gristmill.standing"
"""Of a version: `rejected` or `archived`, where a person said so."""
BY = "gristmill.by"
"""Of a version that was promoted: by `first`, `superiority`, `non-inferiority` or `person`."""
HISTORY = "gristmill.history"
"""Of a model, followed by a number: one entry of its history, as JSON."""

MOVES = ("promote", "rollback")
"""Kinds of entries that say who is champion."""


@dataclass(frozen=True)
class Version:
    """One registered version of a model; `source` is the address of the logged one."""

    model: str
    number: str
    run_id: str
    created: float
    aliases: tuple[str, ...]
    tags: Mapping[str, str]
    source: str = ""

    @property
    def address(self) -> str:
        return f"models:/{self.model}/{self.number}"

    @property
    def metrics(self) -> dict[str, float]:
        return self._numbers(METRIC)

    @property
    def measured(self) -> dict[str, float]:
        """`start_seconds`, `latency_ms` and `megabytes` of its package, as its trial found them."""
        return self._numbers(MEASURED)

    def _numbers(self, prefix: str) -> dict[str, float]:
        found = {k: v for k, v in self.tags.items() if k.startswith(prefix)}
        return {name.removeprefix(prefix): float(value) for name, value in found.items()}

    @property
    def standing(self) -> str:
        """`rejected` or `archived` where a person said so, else empty."""
        return self.tags.get(STANDING, "")


@dataclass(frozen=True)
class Seen:
    """What a decision over a model rests on: its champion, and how often that had moved."""

    champion: str | None = None
    moves: int = 0


@dataclass(frozen=True)
class Model:
    """A registered model; its versions the newest first."""

    name: str
    versions: tuple[Version, ...]
    tags: Mapping[str, str]

    def alias(self, name: str) -> Version | None:
        """The version that has an alias."""
        return next((version for version in self.versions if name in version.aliases), None)

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """Every entry, the oldest first."""
        numbered = sorted(key for key in self.tags if key.startswith(f"{HISTORY}."))
        first = list(json.loads(self.tags.get(HISTORY, "[]")))
        return [*map(told, first), *(json.loads(self.tags[key]) for key in numbered)]

    @property
    def next_entry(self) -> str:
        """Name of the tag that the next entry of the history goes into."""
        numbers = [int(k.rpartition(".")[2]) for k in self.tags if k.startswith(f"{HISTORY}.")]
        return f"{HISTORY}.{max(numbers, default=0) + 1:06d}"

    @property
    def moves(self) -> list[dict[str, Any]]:
        """The entries that say who is champion."""
        return [entry for entry in self.history if entry["kind"] in MOVES]

    @property
    def seen(self) -> Seen:
        champion = self.alias(CHAMPION)
        return Seen(champion.number if champion else None, len(self.moves))


def told(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of the one tag that held the history of all moves, with the names of today."""
    by = "person" if entry.get("back") or entry.get("why") == "by hand" else "superiority"
    kind = "rollback" if entry.get("back") else "promote"
    return {"back": False, "by": by, "kind": kind, **entry}
