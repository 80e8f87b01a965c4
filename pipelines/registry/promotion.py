"""Promotions, rollbacks and other moves of a model's versions, with their history.

A move first writes an entry of the history that contains the pending changes, then sets the aliases
and the version's tags, then removes the pending changes from the entry. An interrupted move counts
once its entry is written: readers see it completed, and the next move completes it. On one machine
a lock serialises the processes; a move overtaken by another machine on a server is repeated or
refused.
"""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gristmill.pipelines.base import ConfigError, EnvironmentFault
from gristmill.pipelines.config import Project
from gristmill.pipelines.packaging import require_unchanged
from gristmill.pipelines.registry import model_records as records
from gristmill.pipelines.registry import registered_models as models
from gristmill.pipelines.registry.model_records import ChampionSeen, RegisteredModel, Version
from gristmill.pipelines.registry.registered_models import read_model, require_version
from gristmill.pipelines.tracking import client, store_errors, tracking_uri, whole

if TYPE_CHECKING:
    from mlflow import MlflowClient

By = Literal["superiority", "non-inferiority", "person", "first"]
"""Ground of a move."""

ANCHORS = ("superiority", "person", "first")

LONGEST_ENTRY = 4500
"""Maximum characters of an entry; MLflow's limit of 5,000 includes the pending changes."""

LONGEST_WHY = 2000

TRIES = 5
"""Attempts to write an entry of the history that other processes overwrite."""

LOCK = "registry.lock"

PATIENCE = 60.0
"""Seconds to wait for the lock on the aliases."""

BY_HAND = "by hand"


class ChampionMoved(EnvironmentFault):
    """The champion is no longer the one a decision was based on.

    Attributes:
        by_person: whether the last move was made by a person.
    """

    by_person = False


@dataclass(frozen=True)
class Basis:
    """Ground and evidence of a move.

    Attributes:
        by: ground of the move.
        evidence: JSON stored in the history with the move.
        seen: the champion the decision was based on; the move is refused if it has changed since.
            None skips this check.
    """

    by: By = "person"
    evidence: Mapping[str, Any] | None = None
    seen: ChampionSeen | None = None


BY_PERSON = Basis()


@dataclass(frozen=True)
class Move:
    """One entry of the history and its changes.

    Attributes:
        entry: the entry of the history.
        aliases: version number for each alias to set; None removes the alias.
        tags: tags of the version to set; None removes a tag.
    """

    entry: Mapping[str, Any]
    aliases: Mapping[str, str | None] = field(default_factory=dict)
    tags: Mapping[str, str | None] = field(default_factory=dict)


Plan = Callable[[RegisteredModel], Move | None]
"""Returns the move for a model in its current state; None if there is nothing to do."""


def promote(
    project: Project, model: str, number: str | None, why: str = "", basis: Basis = BY_PERSON
) -> tuple[Version, Version | None]:
    """Move `champion` to a version.

    A person can promote a champion that was promoted for non-inferiority, which makes it an anchor
    (see `anchor`).

    Args:
        project: the project.
        model: name of the registered model.
        number: number of the version; None for the challenger, or the newest version without one.
        why: the reason; required for a person only if the version was rejected or archived.
        basis: ground and evidence of the move.

    Returns:
        The new champion and the previous one.

    Raises:
        ConfigError: the model or version does not exist, or a required reason is missing.
        ChampionMoved: the champion is no longer `basis.seen`.
        PackageChanged: the version's package was changed after it was registered.
    """

    def plan(found: RegisteredModel) -> Move | None:
        _require_seen(found, basis.seen)
        target = _target(found, number)
        by_person = basis.by == "person"
        vouched = by_person and target.tags.get(records.BY, "person") not in ANCHORS
        if records.CHAMPION in target.aliases and not vouched:
            return None
        if by_person and not why:
            _require_reason(target)
        require_unchanged(project, target)
        entry = _entry("promote", target, why or BY_HAND, basis)
        aliases = {records.CHAMPION: target.number, **_no_challenger(target)}
        return Move(entry, aliases, {records.STANDING: None, records.BY: basis.by})

    found = _carry_out(project, model, plan)
    return _target(found, number), found.alias(records.CHAMPION)


def rollback(project: Project, model: str, why: str = "") -> tuple[Version, Version | None]:
    """Move `champion` back to the previous champion.

    Versions that were deleted, rejected or archived since are skipped.

    Args:
        project: the project.
        model: name of the registered model.
        why: the reason; by default it names the version rolled back from.

    Returns:
        The new champion and the previous one.

    Raises:
        ConfigError: no version was champion before this one.
        PackageChanged: the version's package was changed after it was registered.
    """

    def plan(found: RegisteredModel) -> Move:
        now, target = found.alias(records.CHAMPION), before(found)
        require_unchanged(project, target)
        said = why or (f"rollback from version {now.number}" if now else "rollback")
        entry = _entry("rollback", target, said)
        return Move(entry, {records.CHAMPION: target.number}, {records.BY: "person"})

    found = _carry_out(project, model, plan)
    return before(found), found.alias(records.CHAMPION)


def challenge(project: Project, model: str, number: str, why: str, basis: Basis) -> None:
    """Move `challenger` to a version, which then waits for a person's approval.

    Args:
        project: the project.
        model: name of the registered model.
        number: number of the version.
        why: the reason.
        basis: ground and evidence of the move.
    """

    def plan(found: RegisteredModel) -> Move | None:
        target = _target(found, number)
        if records.CHALLENGER in target.aliases:
            return None
        return Move(_entry("challenger", target, why, basis), {records.CHALLENGER: target.number})

    _carry_out(project, model, plan)


def set_aside(
    project: Project, model: str, number: str, kind: Literal["reject", "archive"], why: str
) -> Version:
    """Reject or archive a version, which stays in the registry.

    Args:
        project: the project.
        model: name of the registered model.
        number: number of the version.
        kind: whether to reject or to archive it.
        why: the reason.

    Raises:
        ConfigError: the version does not exist or is the champion.
    """
    standing = {"reject": "rejected", "archive": "archived"}[kind]

    def plan(found: RegisteredModel) -> Move | None:
        target = _target(found, number)
        if records.CHAMPION in target.aliases:
            raise ConfigError(
                f"{model} version {number} is the champion and cannot be {standing}",
                expected="a version that is not in service",
                found=f"the alias champion on version {number}",
                next=f"gristmill rollback {model}, or gristmill promote {model} --version N; "
                "then try again",
            )
        if target.standing == standing:
            return None
        entry = _entry(kind, target, why or BY_HAND)
        return Move(entry, _no_challenger(target), {records.STANDING: standing})

    return _target(_carry_out(project, model, plan), number)


def history(project: Project, model: str) -> list[dict[str, Any]]:
    """Return the history of a model, oldest entry first.

    Each entry has `kind` (promote, rollback, challenger, reject, archive), `version`, `when`
    (seconds since 1970), `who`, `why`, `by` (superiority, non-inferiority, person, first), `back`
    and, if a run decided, `evidence`.
    """
    found = read_model(project, model)
    return [] if found is None else found.history


def anchor(project: Project, champion: Version) -> Version:
    """Return the last champion promoted by superiority, by a person or as the first one.

    Raises:
        EnvironmentFault: the anchor no longer exists.
    """
    found = read_model(project, champion.model)
    moved = [*found.moves, *_elsewhere(found)] if found else []
    numbers = [move["version"] for move in moved if move["by"] in ANCHORS]
    number = numbers[-1] if numbers else champion.number
    there = [version for version in (found.versions if found else ()) if version.number == number]
    if not there:
        raise EnvironmentFault(
            f"the anchor of version {champion.number} no longer exists",
            expected=f"version {number}, the last one promoted for being better",
            found="no such version",
            next=f"gristmill promote {champion.model} --version {champion.number} --reason …",
        )
    return there[0]


def before(model: RegisteredModel) -> Version:
    """Return the version a rollback goes to.

    Raises:
        ConfigError: no version was champion before this one.
    """
    stack: list[str] = []
    for move in [*model.moves, *_elsewhere(model)]:
        if move["back"] and move["version"] in stack:
            stack = stack[: stack.index(move["version"]) + 1]
        else:
            stack.append(move["version"])
    known = {version.number: version for version in model.versions if not version.standing}
    now = model.alias(records.CHAMPION)
    if now is not None:
        known.pop(now.number, None)
    earlier = [number for number in stack if number in known]
    if not earlier:
        raise ConfigError(
            f"{model.name} cannot be rolled back",
            expected="a version that was champion before this one",
            found=f"version {now.number} is the first champion" if now else "none",
            next=f"gristmill models {model.name}",
        )
    return known[earlier[-1]]


def _require_seen(found: RegisteredModel, seen: ChampionSeen | None) -> None:
    if seen is not None and seen != found.seen:
        gone = {"who": "unknown", "why": "its alias was removed", "by": "person"}
        move = [*found.moves, *_elsewhere(found)][-1] if found.seen.champion else gone
        error = ChampionMoved(
            f"the champion of {found.name} was moved in the meantime",
            expected=_called(seen.champion),
            found=f"{_called(found.seen.champion)}, by {move['who']}: {move['why']}",
            next=f"gristmill models {found.name} --history",
        )
        error.by_person = move["by"] == "person"
        raise error


def _require_reason(target: Version) -> None:
    rejected = target.tags.get(models.DECISION) == "reject"
    if target.standing or rejected:
        raise ConfigError(
            f"{target.model} version {target.number} was {target.standing or 'rejected'}; "
            "promoting it requires a reason",
            expected="--reason TEXT",
            found=target.tags.get(models.REASONS, "")[:300] if rejected else "none",
            next=f"gristmill promote {target.model} --version {target.number} --reason …",
        )


def _target(found: RegisteredModel, number: str | None) -> Version:
    if number is not None:
        return require_version(list(found.versions), number)
    return found.alias(records.CHALLENGER) or found.versions[0]


def _no_challenger(target: Version) -> dict[str, str | None]:
    return {records.CHALLENGER: None} if records.CHALLENGER in target.aliases else {}


def _entry(kind: str, version: Version, why: str, basis: Basis = BY_PERSON) -> dict[str, Any]:
    entry: dict[str, Any] = {"kind": kind, "version": version.number, "when": time.time()}
    entry |= {"who": _who(), "why": why[:LONGEST_WHY], "by": basis.by, "back": kind == "rollback"}
    whole = {**entry, "evidence": dict(basis.evidence)} if basis.evidence else entry
    return whole if len(_text(whole)) <= LONGEST_ENTRY else entry


def _text(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False)


def _elsewhere(found: RegisteredModel) -> list[dict[str, Any]]:
    """Return the missing entry if the alias was moved outside Gristmill."""
    champion, moves = found.alias(records.CHAMPION), found.moves
    if champion is None or (moves and moves[-1]["version"] == champion.number):
        return []
    said = "the alias was moved outside Gristmill"
    return [{**_entry("promote", champion, said), "who": "unknown"}]


def _carry_out(project: Project, name: str, plan: Plan) -> RegisteredModel:
    """Carry out a plan; return the model as it was before.

    Raises:
        EnvironmentFault: other processes keep moving the model's aliases, or the store cannot be
            written.
    """
    registry = client(project)
    with _one_at_a_time(project), whole(), store_errors(f"move the aliases of {name}"):
        for _ in range(TRIES):
            found = read_model(project, name)
            if found is None or not found.versions:
                raise models.no_model(project, name)
            if found.unfinished is not None:
                _finish(registry, found, found.unfinished)
            change = plan(found)
            if change is None or _done(project, registry, found, change):
                return found
    raise EnvironmentFault(
        f"the aliases of {name} are being moved by other processes",
        expected="a server that keeps what was just written",
        found=f"other moves, {TRIES} times in a row",
        next=f"gristmill models {name} --history",
    )


def _done(project: Project, registry: MlflowClient, found: RegisteredModel, change: Move) -> bool:
    """Write a move and carry it out; return False if another process has overtaken it."""
    has = require_version(list(found.versions), change.entry["version"]).tags
    tags = {tag: text for tag, text in change.tags.items() if text is not None or tag in has}
    rest = {records.REST: {"aliases": dict(change.aliases), "tags": tags}}
    entries = [*_elsewhere(found), {**change.entry, **rest}]
    keys = found.next_entries(len(entries))
    for key, entry in zip(keys, entries, strict=True):
        registry.set_registered_model_tag(found.name, key, _text(entry))
    written = read_model(project, found.name)
    kept = [written.entries.get(key, {}) for key in keys] if written else []
    if written is None or [_without_rest(e) for e in kept] != [_without_rest(e) for e in entries]:
        return False
    _finish(registry, written, keys[-1])
    now = read_model(project, found.name)
    held = {alias: now.alias(alias) for alias in change.aliases} if now else {}
    return {alias: v and v.number for alias, v in held.items()} == dict(change.aliases)


def _finish(registry: MlflowClient, model: RegisteredModel, key: str) -> None:
    """Carry out the pending changes of an entry, then remove them from it."""
    entry = model.entries[key]
    rest, number = entry.get(records.REST, {"aliases": {}, "tags": {}}), entry["version"]
    there = {version.number for version in model.versions}
    for alias, target in rest["aliases"].items():
        if target is None:
            registry.delete_registered_model_alias(model.name, alias)
        elif target in there:
            registry.set_registered_model_alias(model.name, alias, target)
    for tag, text in rest["tags"].items() if number in there else ():
        if text is None:
            registry.delete_model_version_tag(model.name, number, tag)
        else:
            registry.set_model_version_tag(model.name, number, tag, text)
    registry.set_registered_model_tag(model.name, key, _text(_without_rest(entry)))


def _without_rest(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != records.REST}


@contextmanager
def _one_at_a_time(project: Project) -> Iterator[None]:
    """Hold the lock that lets one process of this machine at a time move aliases."""
    from filelock import FileLock, Timeout

    uri = tracking_uri(project)
    file = uri.partition(":///")[2] if uri.startswith("sqlite") else ""
    folder = Path(file).parent if file else project.store
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / LOCK, timeout=PATIENCE):
            yield
    except Timeout as error:
        raise EnvironmentFault(
            "another process has held the lock on the aliases of this store for too long",
            expected=f"a free lock within {PATIENCE:.0f} s",
            found=f"{error.lock_file} is held",
            next="try again once that process has ended",
        ) from error


def _called(champion: str | None) -> str:
    return f"version {champion}" if champion else "none"


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"
