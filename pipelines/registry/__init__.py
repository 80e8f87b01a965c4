"""Packages, the gate, and the registered versions with their aliases."""

from pipelines.registry.candidate import (
    Registered,
    judge,
    package_candidate,
    register_candidate,
)
from pipelines.registry.gate import Contest, Decision, contest, decide
from pipelines.registry.loading import load_version
from pipelines.registry.models import (
    Version,
    champion,
    find,
    history,
    model_names,
    promote,
    require_champion,
    rollback,
    versions,
)
from pipelines.registry.package import Package, plain_types
from pipelines.registry.rehearsal import Rehearsal

__all__ = [
    "Contest",
    "Decision",
    "Package",
    "Registered",
    "Rehearsal",
    "Version",
    "champion",
    "contest",
    "decide",
    "find",
    "history",
    "judge",
    "load_version",
    "model_names",
    "package_candidate",
    "plain_types",
    "promote",
    "register_candidate",
    "require_champion",
    "rollback",
    "versions",
]
