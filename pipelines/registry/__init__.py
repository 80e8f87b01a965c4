"""Packages, the gate, and the registered versions with their aliases."""

from pipelines.registry.against import ground_of
from pipelines.registry.candidate import (
    Registered,
    judge,
    package_candidate,
    register_candidate,
)
from pipelines.registry.contest import Contest, contest
from pipelines.registry.gate import MANY_READS, Candidate, Decision, decide
from pipelines.registry.loading import load_version
from pipelines.registry.models import (
    Signature,
    Version,
    champion,
    describe,
    find,
    model_names,
    require_champion,
    signature,
    versions,
)
from pipelines.registry.moves import ChampionMoved, anchor, history, promote, rollback
from pipelines.registry.package import Package, plain_types
from pipelines.registry.rehearsal import Rehearsal

__all__ = [
    "MANY_READS",
    "Candidate",
    "ChampionMoved",
    "Contest",
    "Decision",
    "Package",
    "Registered",
    "Rehearsal",
    "Signature",
    "Version",
    "anchor",
    "champion",
    "contest",
    "decide",
    "describe",
    "find",
    "ground_of",
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
    "signature",
    "versions",
]
