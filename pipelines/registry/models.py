"""Registered models: versions, and the alias that says which one is in service."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.config import ConfigError, EnvironmentFault, Project, nearest
from pipelines.tracking import TrainedModel, is_local, trained_models
from pipelines.tracking.runs import client, store_errors, whole
from pipelines.tracking.tags import DATA

CHAMPION = "champion"
TRIAL = "gristmill.trial"
PACKAGE = "gristmill.package"
DECISION = "gristmill.decision"
REASONS = "gristmill.reasons"
RUN = "gristmill.run"
"""Key of the run that decided: all that the decision depends on."""
HISTORY = "gristmill.history"
BY = "gristmill.by"
"""Of a version that was promoted: `first`, `superiority`, `non-inferiority` or `person`."""
ANCHOR = "gristmill.anchor"
"""Of a version that was promoted by non-inferiority: the anchor that it was held against."""
DECIDED = "gristmill.decided"
"""The run that decided, which keeps `decision.json`."""
SEEN = "gristmill.seen"
"""Digest of its run's list of rows that the model has seen."""
TARGET = "gristmill.target"
RECIPE = "gristmill.recipe"
"""Digest of what makes the model besides the data."""
MEASURED = "gristmill.measured."
PERSON = "person"
NON_INFERIORITY = "non-inferiority"
METRIC = "gristmill.metric."

LONGEST_WHY = 500
"""Characters of a reason that the history keeps: a tag holds 5,000 for all moves."""


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
        found = {k: v for k, v in self.tags.items() if k.startswith(METRIC)}
        return {name.removeprefix(METRIC): float(value) for name, value in found.items()}


@contextmanager
def _registry(project: Project, doing: str) -> Iterator[Any]:
    connection = client(project)
    with whole(), store_errors(doing):
        yield connection


def model_names(project: Project) -> list[str]:
    """The registered models, in alphabetical order."""
    with _registry(project, "list the registered models") as registry:
        return sorted(model.name for model in registry.search_registered_models())


def versions(project: Project, model: str) -> list[Version]:
    """All versions of a model, the newest first; empty when there is no such model."""
    with _registry(project, f"list the versions of {model}") as registry:
        found = _model(registry, model)
        if found is None:
            return []
        aliases: dict[str, list[str]] = {}
        for alias, number in found.aliases.items():
            aliases.setdefault(str(number), []).append(alias)
        listed = registry.search_model_versions(f"name = '{model}'")
    made = [
        Version(
            model,
            str(version.version),
            str(version.run_id),
            version.creation_timestamp / 1000,
            tuple(sorted(aliases.get(str(version.version), ()))),
            dict(version.tags),
            str(version.source),
        )
        for version in listed
    ]
    return sorted(made, key=lambda version: -int(version.number))


def trained(project: Project) -> list[TrainedModel]:
    """All versions of all models that say which data they were trained on, the oldest first."""
    if is_local(project):
        return trained_models(project)
    return [
        TrainedModel(name, v.number, v.aliases, v.tags[DATA], v.run_id)
        for name in model_names(project)
        for v in reversed(versions(project, name))
        if DATA in v.tags
    ]


def champion(project: Project, model: str) -> Version | None:
    """The version in service; None only when the store says that there is none."""
    return next((v for v in versions(project, model) if CHAMPION in v.aliases), None)


def lost_champion(project: Project, model: str) -> str:
    """The version that the alias or the history names; empty where none was promoted yet.

    For models of which `champion` finds none: whatever the name, it is not there any more.
    """
    with _registry(project, "look for the champion") as registry:
        found = _model(registry, model)
        named = found.aliases.get(CHAMPION) if found else None
    moves = [] if named else history(project, model)
    return str(named or (moves[-1]["version"] if moves else ""))


def anchor(project: Project, champion: Version) -> Version:
    """The last version that was promoted by superiority, by a person or as the first one.

    Raises:
        EnvironmentFault: it is not there any more.
    """
    if champion.tags.get(BY) != NON_INFERIORITY:
        return champion
    number = champion.tags.get(ANCHOR, "")
    found = next((v for v in versions(project, champion.model) if v.number == number), None)
    if found is None:
        raise EnvironmentFault(
            f"the anchor of version {champion.number} is no longer there",
            expected=f"version {number or '?'}, the last that was promoted for being better",
            found="no such version",
            next=f"gristmill promote {champion.model} --version {champion.number}",
        )
    return found


def register(
    project: Project, model: str, address: str, run_id: str, tags: Mapping[str, str]
) -> Version:
    """Makes a package a version of a model, tags included, in one call."""
    with _registry(project, f"register {model}") as registry:
        new = _model(registry, model) is None
        if new:
            registry.create_registered_model(model)
        try:
            made = registry.create_model_version(
                model,
                address,
                run_id=run_id,
                tags={key: value[:5000] for key, value in tags.items()},
                await_creation_for=0,
            )
        except Exception:
            if new:  # a model without versions would stand in every list
                registry.delete_registered_model(model)
            raise
    return Version(model, str(made.version), run_id, time.time(), (), dict(tags))


def remove_empty(project: Project, model: str) -> None:
    """Removes a registered model, unless a version was made of it in the meantime."""
    if not versions(project, model):
        with _registry(project, f"remove {model}") as registry:
            registry.delete_registered_model(model)


def tag_version(project: Project, version: Version, tags: Mapping[str, str]) -> None:
    """Sets tags of a version."""
    with _registry(project, "tag a version") as registry:
        for key, value in tags.items():
            registry.set_model_version_tag(version.model, version.number, key, value[:5000])


def promote(
    project: Project, model: str, number: str | None, why: str, by: str = PERSON
) -> tuple[Version, Version | None]:
    """Moves `champion` to a version (by default the newest) and remembers that it did.

    Args:
        by: what promotes, see `BY`.

    Returns:
        The version that is champion now, and the one that was.

    Raises:
        ConfigError: there is no such model or version.
    """
    known = require_versions(project, model)
    target = known[0]
    if number is not None:
        target = require_version(known, number)
    before = next((version for version in known if CHAMPION in version.aliases), None)
    if by:
        tag_version(project, target, {BY: by})
    if before is not None and before.number == target.number:
        return target, before
    _move(project, model, target.number, why, by)
    return target, before


def rollback(project: Project, model: str) -> tuple[Version, Version]:
    """Moves `champion` back to the version that had it before.

    Returns:
        The version that is champion now, and the one that was.

    Raises:
        ConfigError: no version was champion before this one.
    """
    known = require_versions(project, model)
    now = next((version for version in known if CHAMPION in version.aliases), None)
    stack = _stack(history(project, model), {version.number for version in known})
    earlier = [number for number in stack if now is None or number != now.number]
    if now is None or not earlier:
        raise ConfigError(
            f"{model} cannot be rolled back",
            expected="a version that was champion before this one",
            found="none" if now is None else f"version {now.number} is the first champion",
            next=f"gristmill models {model}",
        )
    target = next(version for version in known if version.number == earlier[-1])
    tag_version(project, target, {BY: PERSON})
    _move(project, model, target.number, f"rollback from version {now.number}", PERSON, back=True)
    return target, now


def history(project: Project, model: str) -> list[dict[str, Any]]:
    """Every move of `champion`: version, when (seconds since 1970), who, why, and by what."""
    with _registry(project, "read the history") as registry:
        found = _model(registry, model)
        return list(json.loads(found.tags.get(HISTORY, "[]"))) if found else []


def _stack(moves: list[dict[str, Any]], known: set[str]) -> list[str]:
    """The champions that a rollback can go back to, the present one last."""
    stack: list[str] = []
    for move in moves:
        if move.get("back") and move["version"] in stack:
            stack = stack[: stack.index(move["version"]) + 1]
        else:
            stack.append(move["version"])
    return [number for number in stack if number in known]


def _move(
    project: Project, model: str, number: str, why: str, by: str, *, back: bool = False
) -> None:
    moves = history(project, model)
    move = {"version": number, "when": time.time(), "who": _who(), "why": why[:LONGEST_WHY]}
    moves.append({**move, "by": by, "back": back})
    with _registry(project, f"move the alias of {model}") as registry:
        registry.set_registered_model_alias(model, CHAMPION, number)
        registry.set_registered_model_tag(model, HISTORY, _fitting(moves))


def _fitting(moves: list[dict[str, Any]]) -> str:
    """The newest moves that a tag has room for."""
    while len(text := json.dumps(moves)) > 5000:
        moves = moves[1:]
    return text


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"


def require_versions(project: Project, model: str) -> list[Version]:
    """All versions of a model, the newest first.

    Raises:
        ConfigError: there is no such model; the nearest name is offered.
    """
    known = versions(project, model)
    if not known:
        names = model_names(project)
        near = nearest(model, names)
        raise ConfigError(
            f"there is no registered model '{model}'",
            expected="one of " + ", ".join(names) if names else "a model; none is registered yet",
            found=model,
            next=f"gristmill models {near}" if near else "gristmill run NAME",
        )
    return known


def require_version(known: list[Version], number: str) -> Version:
    """One of a model's versions.

    Raises:
        ConfigError: it is not among them.
    """
    for version in known:
        if version.number == number:
            return version
    raise ConfigError(
        f"{known[0].model} has no version {number}",
        expected="one of " + ", ".join(version.number for version in known[:20]),
        found=number,
        next=f"gristmill models {known[0].model}",
    )


def find(project: Project, text: str) -> Version:
    """The version that `NAME`, `NAME@ALIAS` or `NAME@VERSION` means; a bare name its champion.

    Raises:
        ConfigError: there is no such model, alias or version.
    """
    model, _, wanted = text.partition("@")
    if not wanted:
        return require_champion(project, model)
    known = require_versions(project, model)
    if wanted.isdecimal():
        return require_version(known, wanted)
    aliases = {alias: version for version in known for alias in version.aliases}
    if wanted not in aliases:
        near = nearest(wanted, aliases)
        raise ConfigError(
            f"{model} has no version with the alias '{wanted}'",
            expected="one of " + ", ".join([*sorted(aliases), *(v.number for v in known[:20])]),
            found=wanted,
            next=f"gristmill reproduce {model}@{near}" if near else f"gristmill models {model}",
        )
    return aliases[wanted]


def fetch_package(project: Project, version: Version, folder: Path) -> Path:
    """Copies a version's own files, the model and what stands beside it, into a folder.

    Raises:
        EnvironmentFault: the store does not have them.
    """
    with _registry(project, f"fetch {version.model} version {version.number}") as registry:
        from mlflow.artifacts import download_artifacts

        address = registry.get_model_version_download_uri(version.model, version.number)
        address = f"{address.rstrip('/')}/artifacts/package"
        try:
            return Path(download_artifacts(artifact_uri=address, dst_path=str(folder)))
        except OSError as error:
            raise EnvironmentFault(
                f"the package of {version.model} version {version.number} is not in the store",
                found=str(error).split("\n")[0][:200],
            ) from error


def require_champion(project: Project, model: str) -> Version:
    """The version in service.

    Raises:
        ConfigError: there is no such model, or it has no champion.
    """
    known = require_versions(project, model)
    found = next((version for version in known if CHAMPION in version.aliases), None)
    if found is None:
        raise ConfigError(
            f"{model} has no champion",
            expected="a version with the alias champion",
            found=f"{len(known)} versions without it",
            next=f"gristmill promote {model}",
        )
    return found


def _model(registry: Any, name: str) -> Any:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

    try:
        return registry.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return None
        raise
