"""Snapshot of a registered model: versions, aliases, history."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from gristmill.pipelines.evaluation import logged, own_name
from gristmill.pipelines.tracking import DATA, StoredModel, StoredVersion

CHAMPION, CHALLENGER = "champion", "challenger"
"""Aliases of the version in service and of the one that waits for approval."""

METRIC = "gristmill.metric."
MEASURED = "gristmill.measured."
"""Prefix of a version's tags with figures of its package."""
STANDING = "gristmill.standing"
"""Tag of a version that a person has rejected or archived: `rejected` or `archived`."""
BY = "gristmill.by"
"""Tag of a promoted version: `first`, `superiority`, `non-inferiority` or `person`."""
HISTORY = "gristmill.history"
"""Prefix of a model's tags, followed by a number: one entry of its history, as JSON."""

REST = "rest"
"""Key in a history entry that is not completed yet: the aliases and tags still to be set."""

MOVES = ("promote", "rollback")
"""Kinds of entries that change the champion."""


def metric_tags(values: Mapping[str, float]) -> dict[str, str]:
    """Return the tags of metrics: the value, followed by the name if the tag has a shortened one.

    Examples:
        >>> metric_tags({"recall:<30": 0.5})
        {'gristmill.metric.recall:_x003C_30': '0.5'}
    """
    return {
        METRIC + logged(name): repr(value) + f" {name}" * (own_name(logged(name)) != name)
        for name, value in values.items()
    }


class Version(StoredVersion):
    """One registered version of a model, with the values of its tags."""

    @property
    def address(self) -> str:
        return f"models:/{self.model}/{self.number}"

    @property
    def data(self) -> str:
        """DVC's hash of its training data; empty if unknown."""
        return self.tags.get(DATA, "")

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics on the test rows, by their names in the experiment file."""
        found = {k: v.partition(" ") for k, v in self.tags.items() if k.startswith(METRIC)}
        return {
            name or own_name(tag.removeprefix(METRIC)): float(value)
            for tag, (value, _, name) in found.items()
        }

    @property
    def measured(self) -> dict[str, float]:
        """`start_seconds`, `latency_ms` and `megabytes` of its package, as measured in its test."""
        found = {k: v for k, v in self.tags.items() if k.startswith(MEASURED)}
        return {name.removeprefix(MEASURED): float(value) for name, value in found.items()}

    @property
    def standing(self) -> str:
        """`rejected` or `archived` if a person has set it, else empty."""
        return self.tags.get(STANDING, "")


@dataclass(frozen=True)
class ChampionSeen:
    """The champion a decision was based on, and the number of its moves until then."""

    champion: str | None = None
    moves: int = 0


@dataclass(frozen=True)
class RegisteredModel:
    """A registered model, its versions newest first; see `read`."""

    name: str
    versions: tuple[Version, ...]
    tags: Mapping[str, str]

    @classmethod
    def read(cls, stored: StoredModel) -> RegisteredModel:
        """Read a stored model; an unfinished move counts as completed."""
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
        """Entries of the history by tag, oldest first."""
        numbered = sorted(key for key in self.tags if key.startswith(f"{HISTORY}."))
        return {key: json.loads(self.tags[key]) for key in numbered}

    @property
    def unfinished(self) -> str | None:
        """Tag of the last entry if its move was not completed, else None."""
        last = max(self.entries, default="")
        return last if REST in self.entries.get(last, ()) else None

    def alias(self, name: str) -> Version | None:
        """Return the version with an alias, or None."""
        return next((version for version in self.versions if name in version.aliases), None)

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """All entries, oldest first."""
        first = list(json.loads(self.tags.get(HISTORY, "[]")))
        return [*map(told, first), *self.entries.values()]

    def next_entries(self, count: int) -> list[str]:
        """Return the tags for the next entries of the history."""
        last = int(max(self.entries, default=".0").rpartition(".")[2])
        return [f"{HISTORY}.{last + place:06d}" for place in range(1, count + 1)]

    @property
    def moves(self) -> list[dict[str, Any]]:
        """The entries that change the champion."""
        return [entry for entry in self.history if entry["kind"] in MOVES]

    @property
    def seen(self) -> ChampionSeen:
        champion = self.alias(CHAMPION)
        return ChampionSeen(champion.number if champion else None, len(self.moves))


def told(entry: dict[str, Any]) -> dict[str, Any]:
    """Convert an entry of the old single-tag history to today's keys."""
    by = "person" if entry.get("back") or entry.get("why") == "by hand" else "superiority"
    kind = "rollback" if entry.get("back") else "promote"
    return {"back": False, "by": by, "kind": kind, **entry}
