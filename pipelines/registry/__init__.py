"""Packages, the gate, and the registered versions with their aliases."""

from pipelines.registry.candidate import (
    Registered,
    judge,
    package_candidate,
    register_candidate,
)
from pipelines.registry.contest import Contest, contest
from pipelines.registry.gate import MANY_READS, Candidate, Decision, decide
from pipelines.registry.models import (
    Version,
    champion,
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
    "MANY_READS",
    "Candidate",
    "Contest",
    "Decision",
    "Package",
    "Registered",
    "Rehearsal",
    "Version",
    "champion",
    "contest",
    "decide",
    "history",
    "judge",
    "model_names",
    "package_candidate",
    "plain_types",
    "promote",
    "register_candidate",
    "require_champion",
    "rollback",
    "versions",
]
