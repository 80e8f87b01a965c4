"""List, find and create registered models and their versions."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from gristmill.pipelines.base import ConfigError, nearest
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
"""Tag: key of the run that decided, a hash of everything the decision depends on."""
DECIDED = "gristmill.decided"
"""Tag: id of the run that decided and stores `decision.json`."""
SEEN = "gristmill.seen"
"""Tag: digest of its run's list of rows the model has seen."""
TARGET = "gristmill.target"
RECIPE = "gristmill.recipe"
"""Tag: digest of what determines the model besides the data."""

LONGEST_PAGE = 5000
"""Characters of a description that every MLflow store keeps."""


@dataclass(frozen=True)
class Signature:
    """Names and types of a package's input and output columns."""

    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[tuple[str, str], ...]


@contextmanager
def registry_client(project: Project, doing: str) -> Iterator[MlflowClient]:
    """Yield MLflow's client; its errors are readable, and Ctrl-C does not interrupt a change.

    Args:
        project: the project.
        doing: the action, for the message of an error.
    """
    connection = client(project)
    with whole(), store_errors(doing):
        yield connection


def model_names(project: Project) -> list[str]:
    """Return the names of the registered models in alphabetical order."""
    return [model.name for model in read_models(project)]


def read_model(project: Project, name: str) -> RegisteredModel | None:
    """Return a model with its versions, aliases and history; None if it does not exist."""
    return next(iter(read_models(project, name)), None)


def read_models(project: Project, name: str = "") -> list[RegisteredModel]:
    """Return all models in alphabetical order, or only the named one."""
    check_store(project)
    found = local_models(project, name) if is_local(project) else asked_models(project, name)
    return [RegisteredModel.read(model) for model in found]


def asked_models(project: Project, name: str = "") -> list[StoredModel]:
    """Read models as `read_models` does, through MLflow's client and from any store."""
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
    """Return all versions of a model, newest first; empty if the model does not exist."""
    found = read_model(project, model)
    return [] if found is None else list(found.versions)


def trained(project: Project) -> list[Version]:
    """Return the versions of all models with known training data, oldest first in each model."""
    every = (version for model in read_models(project) for version in reversed(model.versions))
    return [version for version in every if version.data]


def champion(project: Project, model: str) -> Version | None:
    """Return the version in service; None if there is none. A store's failure is an error."""
    return next((v for v in versions(project, model) if CHAMPION in v.aliases), None)


def register(
    project: Project, model: str, address: str, run_id: str, tags: Mapping[str, str]
) -> Version:
    """Register a package as a version of a model, with its tags, in one call.

    Args:
        project: the project.
        model: name of the registered model, which is created if necessary.
        address: address of the package in MLflow, `models:/ID`.
        run_id: MLflow's id of the run that logged the package.
        tags: tags of the version; values are cut to 5,000 characters.
    """
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
            if new:  # do not leave a model without versions
                registry.delete_registered_model(model)
            raise
    return Version(model, str(made.version), run_id, time.time(), (), dict(tags))


def remove_model(project: Project, model: str) -> None:
    """Delete a registered model with all its versions; their runs stay."""
    with registry_client(project, f"delete {model}") as registry:
        registry.delete_registered_model(model)


def remove_empty(project: Project, model: str) -> None:
    """Remove a registered model, unless a version was registered in the meantime."""
    if not versions(project, model):
        with registry_client(project, f"remove {model}") as registry:
            registry.delete_registered_model(model)


def describe(project: Project, model: str, number: str, page: str, about: str) -> None:
    """Write the descriptions of a version and of its model into the registry.

    Args:
        project: the project.
        model: name of the registered model.
        number: number of the version.
        page: description of the version, cut to 5,000 characters.
        about: description of the model, cut to 5,000 characters.
    """
    with registry_client(project, f"write the page of {model} version {number}") as registry:
        registry.update_registered_model(model, about[:LONGEST_PAGE])
        registry.update_model_version(model, number, page[:LONGEST_PAGE])


def signature(project: Project, model: str, number: str) -> Signature:
    """Return the input and output columns of a version's package.

    Args:
        project: the project.
        model: name of the registered model.
        number: number of the version.
    """
    with registry_client(project, f"read the signature of {model} version {number}"):
        from mlflow.models import get_model_info

        found = get_model_info(f"models:/{model}/{number}").signature
    return Signature(_columns(found and found.inputs), _columns(found and found.outputs))


def _columns(schema: Any) -> tuple[tuple[str, str], ...]:
    """Return name and type of each column of MLflow's schema; a tensor's name is empty."""
    listed = schema.to_dict() if schema else []
    return tuple((str(one.get("name", "")), str(one["type"])) for one in listed)


def tag_version(project: Project, version: Version, tags: Mapping[str, str]) -> None:
    """Set tags of a version.

    Args:
        project: the project.
        version: the version.
        tags: tags to set; values are cut to 5,000 characters.
    """
    with registry_client(project, "tag a version") as registry:
        for key, value in tags.items():
            registry.set_model_version_tag(version.model, version.number, key, value[:5000])


def require_versions(project: Project, model: str) -> list[Version]:
    """Return all versions of a model, newest first.

    Raises:
        ConfigError: the model does not exist; the error suggests the closest name.
    """
    known = versions(project, model)
    if not known:
        raise no_model(project, model)
    return known


def no_model(project: Project, model: str) -> ConfigError:
    """Return the error for a missing model, with the closest name."""
    names = model_names(project)
    near = nearest(model, names)
    return ConfigError(
        f"there is no registered model '{model}'",
        expected="one of " + ", ".join(names) if names else "a model; none is registered yet",
        found=model,
        next=f"gristmill models {near}" if near else "gristmill run NAME",
    )


def require_version(known: list[Version], number: str) -> Version:
    """Return the version with a number.

    Raises:
        ConfigError: no version has this number.
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
    """Return the version named by `NAME@ALIAS` or `NAME@VERSION`; the champion for `NAME`.

    Raises:
        ConfigError: the model, alias or version does not exist.
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


def require_champion(project: Project, model: str) -> Version:
    """Return the version in service.

    Raises:
        ConfigError: the model does not exist or has no champion.
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
