"""`gristmill models`, `promote`, `rollback`, `reject`, `archive`: the registry on the screen."""

from __future__ import annotations

import time
from typing import Literal

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.config import ConfigError, Project
from pipelines.registry import models as registry
from pipelines.registry import moves
from pipelines.registry.models import Version

SHOWN = 20

DONE = {
    "promote": "champion",
    "rollback": "champion again",
    "challenger": "challenger",
    "reject": "rejected",
    "archive": "archived",
}
"""What a version is after an entry of the history, by the entry's kind."""


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
            version.standing or version.tags.get(registry.DECISION, ""),
            _when(version.created),
            _scores(version),
        )
    console.print(table)
    if len(known) > SHOWN:
        console.print(f"… and {len(known) - SHOWN} older ones")


def show_history(name: str) -> None:
    """Every move of a model, the newest first."""
    project = Project.find()
    registry.require_versions(project, name)
    console = Console(highlight=False)
    entries = moves.history(project, name)
    if not entries:
        console.print(f"no version of {name} was moved yet; next: gristmill promote {name}")
        return
    table = _table("when", "version", "", "by", "who", "why")
    for entry in reversed(entries):
        who = f"{entry['who']}" if entry["by"] == "person" else f"the gate, run by {entry['who']}"
        words = (_when(entry["when"]), entry["version"], DONE[entry["kind"]], entry["by"], who)
        table.add_row(*words, escape(entry["why"]))
    console.print(table)


def promote(name: str, number: str | None, why: str) -> None:
    """Moves `champion` by hand."""
    now, before = moves.promote(Project.find(), name, number, why)
    console = Console(highlight=False)
    if before is not None and before.number == now.number:
        console.print(f"{name} version {now.number} is the champion already")
        return
    was = f", it was version {before.number}" if before else ""
    console.print(f"{name} version {now.number} is the champion now{was}")
    if now.tags.get(registry.DECISION) == "reject":
        console.print(f"  the gate had rejected it: {now.tags.get(registry.REASONS, '')}")
    if now.standing:
        console.print(f"  it had been {now.standing}")
    if before is not None:
        console.print(f"next: gristmill rollback {name} undoes this")


def rollback(name: str, why: str) -> None:
    """Moves `champion` back."""
    now, before = moves.rollback(Project.find(), name, why)
    was = f", it was version {before.number}" if before else ""
    Console(highlight=False).print(f"{name} version {now.number} is the champion again{was}")


def set_aside(name: str, number: str, kind: Literal["reject", "archive"], why: str) -> None:
    """Rejects or archives a version."""
    before = moves.set_aside(Project.find(), name, number, kind, why)
    done, console = DONE[kind], Console(highlight=False)
    if before.standing == done:
        console.print(f"{name} version {number} is {done} already")
        return
    console.print(f"{name} version {number} is {done}")
    console.print(f"next: gristmill promote {name} --version {number} --reason … undoes this")


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
        *([("standing", version.standing)] if version.standing else []),
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
