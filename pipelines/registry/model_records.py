"""A registered model as its store has it at one moment: versions, aliases, history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from gristmill.pipelines.tracking import DATA, StoredModel, StoredVersion

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

REST = "rest"
"""In an entry of the history that is not carried out yet: the aliases and tags that it sets."""

MOVES = ("promote", "rollback")
"""Kinds of entries that say who is champion."""


class Version(StoredVersion):
    """One registered version of a model, and what its tags say of it."""

    @property
    def address(self) -> str:
        return f"models:/{self.model}/{self.number}"

    @property
    def data(self) -> str:
        """What it was trained on, by DVC's hash; empty where it does not say."""
        return self.tags.get(DATA, "")

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
class ChampionSeen:
    """What a decision over a model rests on: its champion, and how often that had moved."""

    champion: str | None = None
    moves: int = 0


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model; its versions the newest first; see `read`."""

    name: str
    versions: tuple[Version, ...]
    tags: Mapping[str, str]

    @classmethod
    def read(cls, stored: StoredModel) -> RegisteredModel:
        """A model as the store has it, with the move that its last entry began carried out."""
        versions = tuple(Version(**vars(version)) for version in stored.versions)
        model = cls(stored.name, versions, stored.tags)
        if model.unfinished is None:
            return model
        entry = model.entries[model.unfinished]
        aliases, tags = entry[REST]["aliases"], entry[REST]["tags"]

        def finished(version: Version) -> Version:
            kept = [alias for alias in version.aliases if alias not in aliases]
            new = [alias for alias, number in aliases.items() if number == version.number]
            changed = {**version.tags, **(tags if version.number == entry["version"] else {})}
            there = {key: text for key, text in changed.items() if text is not None}
            return replace(version, aliases=tuple(sorted(kept + new)), tags=there)

        return cls(stored.name, tuple(map(finished, versions)), stored.tags)

    @cached_property
    def entries(self) -> dict[str, dict[str, Any]]:
        """Entries of the history by their tags, the oldest first."""
        numbered = sorted(key for key in self.tags if key.startswith(f"{HISTORY}."))
        return {key: json.loads(self.tags[key]) for key in numbered}

    @property
    def unfinished(self) -> str | None:
        """The tag of the history's last entry, where its move was not carried out to its end."""
        last = max(self.entries, default="")
        return last if REST in self.entries.get(last, ()) else None

    def alias(self, name: str) -> Version | None:
        """The version that has an alias."""
        return next((version for version in self.versions if name in version.aliases), None)

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """Every entry, the oldest first."""
        first = list(json.loads(self.tags.get(HISTORY, "[]")))
        return [*map(told, first), *self.entries.values()]

    def next_entries(self, count: int) -> list[str]:
        """Names of the tags that the next entries of the history go into."""
        last = int(max(self.entries, default=".0").rpartition(".")[2])
        return [f"{HISTORY}.{last + place:06d}" for place in range(1, count + 1)]

    @property
    def moves(self) -> list[dict[str, Any]]:
        """The entries that say who is champion."""
        return [entry for entry in self.history if entry["kind"] in MOVES]

    @property
    def seen(self) -> ChampionSeen:
        champion = self.alias(CHAMPION)
        return ChampionSeen(champion.number if champion else None, len(self.moves))


def told(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of the one tag that held the history of all moves, with the names of today."""
    by = "person" if entry.get("back") or entry.get("why") == "by hand" else "superiority"
    kind = "rollback" if entry.get("back") else "promote"
    return {"back": False, "by": by, "kind": kind, **entry}
