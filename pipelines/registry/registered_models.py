"""Registered models and their versions: listed, found, made."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.pipelines.base import ConfigError, EnvironmentFault, first_line, nearest
from gristmill.pipelines.config import Project
from gristmill.pipelines.registry.model_records import CHAMPION, RegisteredModel, Version
from gristmill.pipelines.tracking import (
    StoredModel,
    StoredVersion,
    check_store,
    client,
    is_local,
    local_models,
    pages,
    store_errors,
    whole,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.entities.model_registry import RegisteredModel as _Model

TRIAL = "gristmill.trial"
PACKAGE = "gristmill.package"
DECISION = "gristmill.decision"
REASONS = "gristmill.reasons"
RUN = "gristmill.run"
"""Key of the run that decided: all that the decision depends on."""
DECIDED = "gristmill.decided"
"""The run that decided, which keeps `decision.json`."""
SEEN = "gristmill.seen"
"""Digest of its run's list of rows that the model has seen."""
TARGET = "gristmill.target"
RECIPE = "gristmill.recipe"
"""Digest of what makes the model besides the data."""

LONGEST_PAGE = 5000
"""Characters that every store of MLflow keeps of a description."""


@dataclass(frozen=True)
class Signature:
    """Names and types of the columns that a package takes and gives."""

    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]


@contextmanager
def registry_client(project: Project, doing: str) -> Iterator[MlflowClient]:
    """MLflow's client, whose faults are readable and which Ctrl-C leaves whole."""
    connection = client(project)
    with whole(), store_errors(doing):
        yield connection


def model_names(project: Project) -> list[str]:
    """The registered models, in alphabetical order."""
    return [model.name for model in read_models(project)]


def read_model(project: Project, name: str) -> RegisteredModel | None:
    """A model with its versions, aliases and history; None when there is no such model."""
    return next(iter(read_models(project, name)), None)


def read_models(project: Project, name: str = "") -> list[RegisteredModel]:
    """All models, in alphabetical order, or one of them."""
    check_store(project)
    found = local_models(project, name) if is_local(project) else asked_models(project, name)
    return [RegisteredModel.read(model) for model in found]


def asked_models(project: Project, name: str = "") -> list[StoredModel]:
    """The same through MLflow's client, from any store."""
    doing = f"list the versions of {name}" if name else "list the registered models"
    with registry_client(project, doing) as registry:
        if name:
            models = list(filter(None, [_model(registry, name)]))
        else:
            models = list(pages(registry.search_registered_models))
        return [
            StoredModel(model.name, dict(model.tags), _versions(registry, model))
            for model in sorted(models, key=lambda model: str(model.name))
        ]


def _versions(registry: MlflowClient, model: _Model) -> tuple[StoredVersion, ...]:
    aliases: dict[str, list[str]] = {}
    for alias, number in model.aliases.items():
        aliases.setdefault(str(number), []).append(alias)
    of_model = partial(registry.search_model_versions, f"name = '{model.name}'")
    listed: Iterator[ModelVersion] = pages(of_model)
    return tuple(
        StoredVersion(
            model.name,
            str(version.version),
            str(version.run_id or ""),
            version.creation_timestamp / 1000,
            tuple(sorted(aliases.get(str(version.version), ()))),
            dict(version.tags),
            str(version.source or ""),
        )
        for version in sorted(listed, key=lambda version: -int(version.version))
    )


def versions(project: Project, model: str) -> list[Version]:
    """All versions of a model, the newest first; empty when there is no such model."""
    found = read_model(project, model)
    return [] if found is None else list(found.versions)


def trained(project: Project) -> list[Version]:
    """All versions of all models that say which data they were trained on, the oldest first."""
    every = (version for model in read_models(project) for version in reversed(model.versions))
    return [version for version in every if version.data]


def champion(project: Project, model: str) -> Version | None:
    """The version in service; None only when the store says that there is none."""
    return next((v for v in versions(project, model) if CHAMPION in v.aliases), None)


def register(
    project: Project, model: str, address: str, run_id: str, tags: Mapping[str, str]
) -> Version:
    """Makes a package a version of a model, tags included, in one call."""
    with registry_client(project, f"register {model}") as registry:
        new = _model(registry, model) is None
        if new:
            registry.create_registered_model(model)
        try:
            made = registry.create_model_version(
                model,
                address,
                run_id=run_id,
                model_id=address.removeprefix("models:/"),  # without it a server refuses the source
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
        with registry_client(project, f"remove {model}") as registry:
            registry.delete_registered_model(model)


def describe(project: Project, model: str, number: str, page: str, about: str) -> None:
    """Writes a version's page and what is said of the model into the registry.

    Args:
        page: of the version; the registry keeps its first 5,000 characters.
        about: of the model, whatever the version.
    """
    with registry_client(project, f"write the page of {model} version {number}") as registry:
        registry.update_registered_model(model, about[:LONGEST_PAGE])
        registry.update_model_version(model, number, page[:LONGEST_PAGE])


def signature(project: Project, model: str, number: str) -> Signature:
    """The columns that a version's package takes and gives."""
    with registry_client(project, f"read the signature of {model} version {number}"):
        from mlflow.models import get_model_info

        found = get_model_info(f"models:/{model}/{number}").signature
    return Signature(_columns(found and found.inputs), _columns(found and found.outputs))


def _columns(schema: Any) -> tuple[tuple[str, str], ...]:
    """Name and type of each column of MLflow's schema; a tensor has no name."""
    listed = schema.to_dict() if schema else []
    return tuple((str(one.get("name", "")), str(one["type"])) for one in listed)


def tag_version(project: Project, version: Version, tags: Mapping[str, str]) -> None:
    """Sets tags of a version."""
    with registry_client(project, "tag a version") as registry:
        for key, value in tags.items():
            registry.set_model_version_tag(version.model, version.number, key, value[:5000])


def require_versions(project: Project, model: str) -> list[Version]:
    """All versions of a model, the newest first.

    Raises:
        ConfigError: there is no such model; the nearest name is offered.
    """
    known = versions(project, model)
    if not known:
        raise no_model(project, model)
    return known


def no_model(project: Project, model: str) -> ConfigError:
    """The error that a model has no versions; the nearest name is offered."""
    names = model_names(project)
    near = nearest(model, names)
    return ConfigError(
        f"there is no registered model '{model}'",
        expected="one of " + ", ".join(names) if names else "a model; none is registered yet",
        found=model,
        next=f"gristmill models {near}" if near else "gristmill run NAME",
    )


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
    with registry_client(project, f"fetch {version.model} version {version.number}") as registry:
        from mlflow.artifacts import download_artifacts

        address = registry.get_model_version_download_uri(version.model, version.number)
        address = f"{address.rstrip('/')}/artifacts/package"
        try:
            return Path(download_artifacts(artifact_uri=address, dst_path=str(folder)))
        except OSError as error:
            raise EnvironmentFault(
                f"the package of {version.model} version {version.number} is not in the store",
                found=first_line(error),
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


def _model(registry: MlflowClient, name: str) -> _Model | None:
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

    try:
        return registry.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            return None
        raise
