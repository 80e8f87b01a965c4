"""Registered versions without packages, with or without a champion."""

from __future__ import annotations

from gristmill.pipelines.config.project import Project
from gristmill.pipelines.registry.registered_models import champion, register, versions
from gristmill.pipelines.tracking import Tracker


def make_versions(project: Project, count: int, model: str = "tiny") -> None:
    with Tracker(project, model) as tracker:
        for _ in range(count):
            register(project, model, "somewhere", tracker.run_id, {"gristmill.metric.mae": "1"})


def aliases(project: Project) -> dict[str, tuple[str, ...]]:
    return {v.number: v.aliases for v in versions(project, "tiny")}


def champion_number(project: Project) -> str:
    found = champion(project, "tiny")
    assert found is not None
    return found.number
