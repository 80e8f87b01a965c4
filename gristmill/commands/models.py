"""`gristmill models`, `promote`, `rollback`, `reject`, `archive`: the registry on the screen."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gristmill.pipelines.base import ConfigError, EnvironmentFault, read_json
from gristmill.pipelines.config import Project
from gristmill.pipelines.registry import CHAMPION, DECISION, Version
from gristmill.pipelines.registry import models as registry
from gristmill.pipelines.registry import promotion as moves
from gristmill.pipelines.tracking import fetch_artifact

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
        _show_version(project, registry.require_version(known, number), console)
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
        champion = next((v for v in known if CHAMPION in v.aliases), None)
        table.add_row(
            name,
            champion.number if champion else "none",
            str(len(known)),
            _when(champion.created) if champion else "",
            _scores(champion) if champion else "",
        )
    console.print(table)


def _show_version(project: Project, version: Version, console: Console) -> None:
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
    width = max(len(label) for label, _ in lines)
    for label, text in lines:
        console.print(f"{label:{width}s}  {text}", soft_wrap=True)
    _show_decision(project, version, console)


def _show_decision(project: Project, version: Version, console: Console) -> None:
    """The gate's decision again, from what the run that decided kept of it."""
    decided = version.tags.get(registry.DECIDED)
    if decided is None:  # by a release that did not keep it
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            kept = read_json(fetch_artifact(project, decided, DECISION, Path(folder)))
        except EnvironmentFault as error:
            console.print(f"the gate's checks are gone: {error.found}", soft_wrap=True)
            return
    alpha, reads = kept["alpha"], kept["reads"]
    console.print(f"\nthe gate's checks, at α = {alpha:.3g}, read {reads} of these test rows\n")
    table = _table("check", "found", "wanted", "p", "rows", "")
    for row in check_rows(kept):
        table.add_row(*row)
    console.print(table)
    for line in power_lines(kept):
        console.print(line, soft_wrap=True)


def check_rows(kept: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """A row a check of a stored decision: what, found, wanted, p, rows, whether it holds."""
    made: list[tuple[str, ...]] = []
    for each in kept["requirements"]:
        ends = ((">=", each["min"]), ("<=", each["max"]))
        wanted = " ".join(f"{sign} {end:g}" for sign, end in ends if end is not None)
        value = [each["value"]] if each["of"] == "value" else [each.get("low"), each.get("high")]
        shown = " – ".join(map(_number, value)) if each["value"] is not None else "not measured"
        made.append((each["name"], shown, wanted, "", "", _mark(each["holds"])))
    for each in kept["slices"]:
        wanted = f"{_number(each['bound'])} of the champion"
        if each["kind"] == "required":
            wanted = f">= {_number(each['bound'])}"
        p, rows = _number(each["adjusted_p"]), f"{each['rows']:,}"
        made.append((each["name"], _number(each["value"]), wanted, p, rows, _mark(each["holds"])))
    if (found := kept.get("contest")) is None:
        return made
    mine, theirs = map(_number, found["values"])
    rows, champion = f"{found['rows']:,}", f"{theirs} of version {found['champion']}"
    holds = _mark(found["p"] is not None and found["p"] <= kept["alpha"])
    made.append((f"{found['metric']}: better", mine, champion, _number(found["p"]), rows, holds))
    against = (found["refresh"] or {}).get("against") or ()
    for each in () if isinstance(against, str) else against:
        mine, theirs = map(_number, each["values"])
        other = f"{theirs} of version {each['version']}, less {_number(each['margin'])}"
        p, holds = _number(each["p"]), _mark(each["p"] is not None and each["p"] <= kept["alpha"])
        rows = f"{each['rows']:,}"
        made.append((f"{found['metric']}: not worse", mine, other, p, rows, holds))
    return made


def power_lines(kept: Mapping[str, Any]) -> list[str]:
    """What the rows of a stored contest could have shown, in words."""
    found = kept.get("contest")
    if found is None:
        return []
    lines = []
    if found["method"]:
        groups = f", in {found['groups']:,} groups" * bool(found["groups"])
        lines.append(f"by {found['method']} on {found['rows']:,} rows{groups}")
    if found["newer"] or found["left_out"]:
        newer, out = f"{found['newer']:,}", f"{found['left_out']:,}"
        lines.append(f"{newer} of them newer than the champion; {out} test rows left out")
    if found["power"] is not None:
        enough = "" if found["enough"] is None else f"; {found['enough']:,} rows would have 0.8"
        lines.append(f"power for a gain of {found['shown_gain']:.2g}: {found['power']:.2f}{enough}")
    return lines


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}" if value < 0.001 else f"{value:.4g}"


def _mark(holds: bool) -> str:
    return "yes" if holds else "no"


def _table(*headings: str) -> Table:
    table = Table(*headings, box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.columns[-1].overflow = "fold"
    return table


def _scores(version: Version) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in version.metrics.items())


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
