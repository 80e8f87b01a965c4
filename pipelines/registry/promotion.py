"""What becomes of a model's versions, and the history of it: each move whole, or not at all.

In a store that is a database (SQLite, PostgreSQL) the aliases, the history and the version's
standing change in one transaction that begins with what the store has then, so of moves that come
at once each sees what the one before it did. A server of MLflow has no transactions: there the
entry is written first, then the alias, and both are read again; a move that was overtaken is an
error, but one that ends half-way leaves an entry for a move that did not come about.
"""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from gristmill.pipelines.base import ConfigError, EnvironmentFault
from gristmill.pipelines.config import Project
from gristmill.pipelines.registry import database
from gristmill.pipelines.registry.models import (
    DECISION,
    REASONS,
    no_model,
    read_model,
    registry_client,
    require_version,
)
from gristmill.pipelines.registry.version import (
    BY,
    CHALLENGER,
    CHAMPION,
    STANDING,
    Model,
    Seen,
    Version,
)

By = Literal["superiority", "non-inferiority", "person", "first"]
"""What a move rests on."""

ANCHORS = ("superiority", "person", "first")

LONGEST_ENTRY = 5000
"""Characters that a tag of MLflow holds."""

LONGEST_WHY = 2000

TRIES = 5
"""How often a server is asked to take an entry of the history that others overwrite."""

BY_HAND = "by hand"


class ChampionMoved(EnvironmentFault):
    """The champion is not the one that a decision rests on.

    Attributes:
        move: the last entry of the history that moved it.
    """

    move: Mapping[str, Any] = MappingProxyType({})

    @property
    def by_person(self) -> bool:
        return bool(self.move.get("by") == "person")


@dataclass(frozen=True)
class Change:
    """One entry of the history and what goes with it.

    Attributes:
        entry: for the history.
        aliases: the version's number for each alias that is set; None takes it away.
        tags: of the version; None takes one away.
    """

    entry: Mapping[str, Any]
    aliases: Mapping[str, str | None] = field(default_factory=dict)
    tags: Mapping[str, str | None] = field(default_factory=dict)


Plan = Callable[[Model], Change | None]
"""What to do with a model as it is found; None where there is nothing to do."""


def promote(
    project: Project,
    model: str,
    number: str | None,
    why: str = "",
    *,
    by: By = "person",
    seen: Seen | None = None,
    evidence: Mapping[str, Any] | None = None,
) -> tuple[Version, Version | None]:
    """Moves `champion` to a version: by default the challenger, else the newest.

    A person may promote a champion that was only not worse than the one before: it is an `anchor`
    from then on.

    Args:
        why: a person may leave it out, unless the version was rejected.
        by: what the move rests on.
        seen: the move comes about only if the champion is still the one that was seen.
        evidence: what speaks for the move; kept with it.

    Returns:
        The version that is champion now, and the one that was.

    Raises:
        ConfigError: there is no such model or version, or it was rejected and there is no reason.
        ChampionMoved: the champion is not the one that was seen.
    """

    def plan(found: Model) -> Change | None:
        _require_seen(found, seen)
        target = _target(found, number)
        vouched = by == "person" and target.tags.get(BY, by) not in ANCHORS
        if CHAMPION in target.aliases and not vouched:
            return None
        if by == "person" and not why:
            _require_reason(target)
        entry = _entry("promote", target, why or BY_HAND, by, evidence)
        aliases = {CHAMPION: target.number, **_no_challenger(target)}
        return Change(entry, aliases, {STANDING: None, BY: by})

    found = _carry_out(project, model, plan)
    return _target(found, number), found.alias(CHAMPION)


def rollback(project: Project, model: str, why: str = "") -> tuple[Version, Version | None]:
    """Moves `champion` back to the version that had it before.

    Versions that were deleted, rejected or archived since are passed over.

    Returns:
        The version that is champion now, and the one that was.

    Raises:
        ConfigError: no version was champion before this one.
    """
    went: list[Version] = []

    def plan(found: Model) -> Change:
        now, target = found.alias(CHAMPION), before(found)
        if target is None:
            raise ConfigError(
                f"{model} cannot be rolled back",
                expected="a version that was champion before this one",
                found=f"version {now.number} is the first champion" if now else "none",
                next=f"gristmill models {model}",
            )
        went[:] = [target]
        said = why or (f"rollback from version {now.number}" if now else "rollback")
        entry = _entry("rollback", target, said, "person")
        return Change(entry, {CHAMPION: target.number}, {BY: "person"})

    found = _carry_out(project, model, plan)
    return went[0], found.alias(CHAMPION)


def challenge(
    project: Project,
    model: str,
    number: str,
    why: str,
    *,
    by: By,
    evidence: Mapping[str, Any] | None = None,
) -> None:
    """Moves `challenger` to a version, which waits for a person from now on."""

    def plan(found: Model) -> Change | None:
        target = _target(found, number)
        if CHALLENGER in target.aliases:
            return None
        entry = _entry("challenger", target, why, by, evidence)
        return Change(entry, {CHALLENGER: target.number})

    _carry_out(project, model, plan)


def set_aside(
    project: Project, model: str, number: str, kind: Literal["reject", "archive"], why: str
) -> Version:
    """Rejects or archives a version, which stays in the registry.

    Raises:
        ConfigError: there is no such version, or it is the champion.
    """
    standing = {"reject": "rejected", "archive": "archived"}[kind]

    def plan(found: Model) -> Change | None:
        target = _target(found, number)
        if CHAMPION in target.aliases:
            raise ConfigError(
                f"{model} version {number} is the champion and cannot be {standing}",
                expected="a version that is not in service",
                found=f"the alias champion on version {number}",
                next=f"gristmill rollback {model}, or gristmill promote {model} --version N; "
                "then again",
            )
        if target.standing == standing:
            return None
        entry = _entry(kind, target, why or BY_HAND, "person")
        return Change(entry, _no_challenger(target), {STANDING: standing})

    return _target(_carry_out(project, model, plan), number)


def history(project: Project, model: str) -> list[dict[str, Any]]:
    """Every entry, the oldest first.

    Each has `kind` (promote, rollback, challenger, reject, archive), `version`, `when` (seconds
    since 1970), `who`, `why`, `by` (superiority, non-inferiority, person, first), `back` and,
    where a run decided, `evidence`.
    """
    found = read_model(project, model)
    return [] if found is None else found.history


def anchor(project: Project, champion: Version) -> Version:
    """The last champion by superiority, by a person or as the first one.

    Raises:
        EnvironmentFault: it is not there any more.
    """
    found = read_model(project, champion.model)
    moved = [*found.moves, *_elsewhere(found)] if found else []
    numbers = [move["version"] for move in moved if move["by"] in ANCHORS]
    number = numbers[-1] if numbers else champion.number
    there = [version for version in (found.versions if found else ()) if version.number == number]
    if not there:
        raise EnvironmentFault(
            f"the anchor of version {champion.number} is no longer there",
            expected=f"version {number}, the last that was promoted for being better",
            found="no such version",
            next=f"gristmill promote {champion.model} --version {champion.number} --reason …",
        )
    return there[0]


def before(model: Model) -> Version | None:
    """The version that a rollback goes to."""
    stack: list[str] = []
    for move in [*model.moves, *_elsewhere(model)]:
        if move["back"] and move["version"] in stack:
            stack = stack[: stack.index(move["version"]) + 1]
        else:
            stack.append(move["version"])
    known = {version.number: version for version in model.versions if not version.standing}
    now = model.alias(CHAMPION)
    earlier = [
        number for number in stack if number in known and (now is None or number != now.number)
    ]
    return known[earlier[-1]] if earlier else None


def _require_seen(found: Model, seen: Seen | None) -> None:
    if seen is None:
        return
    if seen != found.seen:
        gone = {"who": "unknown", "why": "its alias was taken away", "by": "person"}
        moves = [*found.moves, *_elsewhere(found)] if found.seen.champion else [gone]
        move = moves[-1]
        error = ChampionMoved(
            f"the champion of {found.name} was moved in the meantime",
            expected=_called(seen.champion),
            found=f"{_called(found.seen.champion)}, by {move['who']}: {move['why']}",
            next=f"gristmill models {found.name} --history",
        )
        error.move = move
        raise error


def _require_reason(target: Version) -> None:
    rejected = target.tags.get(DECISION) == "reject"
    if target.standing or rejected:
        raise ConfigError(
            f"{target.model} version {target.number} was {target.standing or 'rejected'}; "
            "to promote it takes a reason",
            expected="--reason TEXT",
            found=target.tags.get(REASONS, "")[:300] if rejected else "none",
            next=f"gristmill promote {target.model} --version {target.number} --reason …",
        )


def _target(found: Model, number: str | None) -> Version:
    if number is not None:
        return require_version(list(found.versions), number)
    return found.alias(CHALLENGER) or found.versions[0]


def _no_challenger(target: Version) -> dict[str, str | None]:
    return {CHALLENGER: None} if CHALLENGER in target.aliases else {}


def _entry(
    kind: str, version: Version, why: str, by: By, evidence: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "kind": kind,
        "version": version.number,
        "when": time.time(),
        "who": _who(),
        "why": why[:LONGEST_WHY],
        "by": by,
        "back": kind == "rollback",
    }
    whole = {**entry, "evidence": dict(evidence)} if evidence else entry
    return whole if len(_text(whole)) <= LONGEST_ENTRY else entry


def _text(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False)


def _elsewhere(found: Model) -> list[dict[str, Any]]:
    """The entry that is missing where the alias was moved by other means than these."""
    champion, moves = found.alias(CHAMPION), found.moves
    if champion is None or (moves and moves[-1]["version"] == champion.number):
        return []
    said = "found there: the alias was moved outside of Gristmill"
    return [{**_entry("promote", champion, said, "person"), "who": "unknown"}]


def _carry_out(project: Project, name: str, plan: Plan) -> Model:
    """Does what a plan says, with nothing in between; returns the model as it was before."""
    doing = f"move the aliases of {name}"
    if not database.is_database(project):
        return _on_server(project, name, doing, plan)
    with database.transaction(project, doing, write=True) as connection:
        found = database.read(connection, name, hold=True) if connection is not None else None
        if connection is not None and found is not None and found.versions:
            change = plan(found)
            if change is not None:
                entries, number = _numbered(found, change), change.entry["version"]
                database.write(connection, found, change.aliases, entries, number, change.tags)
            return found
    raise no_model(project, name)


def _numbered(found: Model, change: Change) -> dict[str, str]:
    """The tags that the entries of a change go into."""
    name, _, first = found.next_entry.rpartition(".")
    entries = [*_elsewhere(found), change.entry]
    return {f"{name}.{int(first) + i:06d}": _text(entry) for i, entry in enumerate(entries)}


def _on_server(project: Project, name: str, doing: str, plan: Plan) -> Model:
    """The same as far as a server of MLflow lets it: entries first, aliases next, read again."""
    for _ in range(TRIES):
        found = read_model(project, name)
        if found is None or not found.versions:
            raise no_model(project, name)
        change = plan(found)
        if change is None:
            return found
        entries, number = _numbered(found, change), change.entry["version"]
        with registry_client(project, doing) as registry:
            for key, text in entries.items():
                registry.set_registered_model_tag(name, key, text)
        written = read_model(project, name)
        if written is None or any(written.tags.get(key) != text for key, text in entries.items()):
            continue  # another one has written at the same place: after it, then
        with registry_client(project, doing) as registry:
            for alias, target in change.aliases.items():
                if target is None:
                    registry.delete_registered_model_alias(name, alias)
                else:
                    registry.set_registered_model_alias(name, alias, target)
            there = require_version(list(found.versions), number).tags
            for key, value in change.tags.items():
                if value is not None:
                    registry.set_model_version_tag(name, number, key, value)
                elif key in there:
                    registry.delete_model_version_tag(name, number, key)
        now = read_model(project, name)
        for alias, target in change.aliases.items():
            has = now.alias(alias) if now else None
            if (has.number if has else None) != target:
                break
        else:
            return found
    raise EnvironmentFault(
        f"the aliases of {name} are being moved by others",
        expected="a server that keeps what was just written",
        found=f"other moves, {TRIES} times in a row",
        next=f"gristmill models {name} --history",
    )


def _called(champion: str | None) -> str:
    return f"version {champion}" if champion else "none"


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"
