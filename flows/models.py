"""`gristmill models`, `promote`, `rollback`: the registry on the screen."""

from __future__ import annotations

import time

from rich import box
from rich.console import Console
from rich.table import Table

from pipelines.config import ConfigError, Project
from pipelines.registry import models as registry
from pipelines.registry.models import Version

SHOWN = 20


def show(name: str | None, number: str | None) -> None:
    """All models, one model's versions, or one version whole."""
    project = Project.find()
    console = Console(highlight=False)
    if name is None:
        if number is not None:
            raise ConfigError("--version needs a model", next="gristmill models NAME --version N")
        _show_all(project, console)
        return
    known = registry.require_versions(project, name)
    if number is not None:
        _show_version(registry.require_version(known, number), console)
        return
    table = _table("version", "aliases", "decision", "made", "scores")
    for version in known[:SHOWN]:
        table.add_row(
            version.number,
            ", ".join(version.aliases),
            version.tags.get(registry.DECISION, ""),
            _when(version.created),
            _scores(version),
        )
    console.print(table)
    if len(known) > SHOWN:
        console.print(f"… and {len(known) - SHOWN} older ones")


def promote(name: str, number: str | None) -> None:
    """Moves `champion` by hand."""
    now, before = registry.promote(Project.find(), name, number, "by hand")
    console = Console(highlight=False)
    if before is not None and before.number == now.number:
        console.print(f"{name} version {now.number} is the champion already")
        return
    was = f", it was version {before.number}" if before else ""
    console.print(f"{name} version {now.number} is the champion now{was}")
    if now.tags.get(registry.DECISION) == "reject":
        console.print(f"  the gate had rejected it: {now.tags.get(registry.REASONS, '')}")
    if before is not None:
        console.print(f"next: gristmill rollback {name} undoes this")


def rollback(name: str) -> None:
    """Moves `champion` back."""
    now, before = registry.rollback(Project.find(), name)
    Console(highlight=False).print(
        f"{name} version {now.number} is the champion again, it was version {before.number}"
    )


def _show_all(project: Project, console: Console) -> None:
    names = registry.model_names(project)
    if not names:
        console.print("no model is registered yet; next: gristmill run NAME")
        return
    table = _table("model", "champion", "versions", "made", "scores")
    for name in names:
        known = registry.versions(project, name)
        champion = next((v for v in known if registry.CHAMPION in v.aliases), None)
        table.add_row(
            name,
            champion.number if champion else "none",
            str(len(known)),
            _when(champion.created) if champion else "",
            _scores(champion) if champion else "",
        )
    console.print(table)


def _show_version(version: Version, console: Console) -> None:
    lines = [
        ("model", f"{version.model} version {version.number}"),
        ("aliases", ", ".join(version.aliases) or "none"),
        ("made", _when(version.created)),
        ("decision", version.tags.get(registry.DECISION, "none")),
        *(("", reason) for reason in version.tags.get(registry.REASONS, "").split("; ") if reason),
        *((f"test {name}", f"{value:.6g}") for name, value in version.metrics.items()),
        ("run", version.run_id),
        ("data", version.tags.get("gristmill.data", "")),
        ("load", f'mlflow.pyfunc.load_model("{version.address}")'),
    ]
    for label, text in lines:
        console.print(f"{label:16s} {text}", soft_wrap=True)


def _table(*headings: str) -> Table:
    table = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.columns[-1].overflow = "fold"
    return table


def _scores(version: Version) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in version.metrics.items())


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
