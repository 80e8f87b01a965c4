"""`gristmill models`, `promote`, `rollback`, `reject`, `archive`: the registry on the screen."""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from gristmill.commands.options import Number, Reason, Registered
from gristmill.pipelines import tracking
from gristmill.pipelines.base import ConfigError, EnvironmentFault, read_json
from gristmill.pipelines.config import Project
from gristmill.pipelines.packaging import unchecked
from gristmill.pipelines.registry import (
    CHAMPION,
    DECISION,
    DUMMY,
    Contest,
    Evidence,
    NotWorse,
    Version,
)
from gristmill.pipelines.registry import promotion as moves
from gristmill.pipelines.registry import registered_models as registry
from gristmill.pipelines.reporting import Screen, Table, number, p_value

SHOWN = 20

DONE = {
    "promote": "champion",
    "rollback": "champion again",
    "challenger": "challenger",
    "reject": "rejected",
    "archive": "archived",
}
"""State of a version after an entry of the history, by the entry's kind."""


def models(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A model; default: all.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="Show one version in full.")] = None,
    history: Annotated[
        bool, typer.Option("--history", help="Show who changed the champion, when and why.")
    ] = False,
) -> None:
    """List registered models, versions, aliases and scores."""
    if name is not None and history:
        show_history(name, version)
    else:
        show(name, version)


def show(name: str | None, number: str | None) -> None:
    """Print all models, one model's versions, or one version in full."""
    project = Project.find()
    screen = Screen()
    if name is None:
        if number is not None:
            raise ConfigError("--version needs a model", next="gristmill models NAME --version N")
        _show_all(project, screen)
        return
    known = registry.require_versions(project, name)
    if number is not None:
        _show_version(project, registry.require_version(known, number), screen)
        return
    rows = [
        (
            version.number,
            ", ".join(version.aliases),
            version.standing or version.tags.get(registry.DECISION, ""),
            _when(version.created),
            _scores(version),
        )
        for version in known[:SHOWN]
    ]
    screen.show(Table(("version", "aliases", "decision", "created", "scores"), rows))
    if len(known) > SHOWN:
        screen.say(f"… and {len(known) - SHOWN} older ones")


def show_history(name: str, number: str | None = None) -> None:
    """Print the history of a model, or of one of its versions, newest first."""
    project = Project.find()
    known = registry.require_versions(project, name)
    screen = Screen()
    entries = moves.history(project, name)
    if number is not None:
        number = registry.require_version(known, number).number
        entries = [entry for entry in entries if entry["version"] == number]
        name = f"{name} --version {number}"
    if not entries:
        what = name.replace(" --", " ")
        screen.say(f"{what} has no history yet; next: gristmill promote {name}")
        return
    rows = []
    for entry in reversed(entries):
        who = f"{entry['who']}" if entry["by"] == "person" else f"the gate, run by {entry['who']}"
        words = (_when(entry["when"]), entry["version"], DONE[entry["kind"]], entry["by"], who)
        rows.append((*words, entry["why"]))
    screen.show(Table(("when", "version", "", "by", "who", "why"), rows))


def promote(
    name: Registered,
    version: Annotated[
        str | None, typer.Option(help="Which version; default: the challenger, else the newest.")
    ] = None,
    reason: Reason = "",
) -> None:
    """Make a version the champion, whatever the gate decided."""
    now, before = moves.promote(Project.find(), name, version, reason)
    screen = Screen()
    for note in unchecked(now):
        screen.say(f"! {note}", whole=True)
    if before is not None and before.number == now.number:
        screen.say(f"{name} version {now.number} is the champion already")
        return
    was = f", it was version {before.number}" if before else ""
    screen.say(f"{name} version {now.number} is the champion now{was}")
    _say_rejected(screen, now)
    if now.standing:
        screen.say(f"  it was {now.standing} before")
    if before is not None:
        screen.say(f"next: gristmill rollback {name} undoes this")


def _say_rejected(screen: Screen, version: Version) -> None:
    if version.tags.get(registry.DECISION) == "reject":
        screen.say(f"  the gate had rejected it: {version.tags.get(registry.REASONS, '')}")


def rollback(name: Registered, reason: Reason = "") -> None:
    """Restore the previous champion."""
    now, before = moves.rollback(Project.find(), name, reason)
    was = f", it was version {before.number}" if before else ""
    screen = Screen()
    for note in unchecked(now):
        screen.say(f"! {note}", whole=True)
    screen.say(f"{name} version {now.number} is the champion again{was}")
    _say_rejected(screen, now)


def reject(name: Registered, version: Number, reason: Reason) -> None:
    """Reject a version (promoting it later needs --reason)."""
    set_aside(name, version, "reject", reason)


def archive(name: Registered, version: Number, reason: Reason = "") -> None:
    """Archive a version; it stays in the registry."""
    set_aside(name, version, "archive", reason)


def set_aside(name: str, number: str, kind: Literal["reject", "archive"], why: str) -> None:
    """Reject or archive a version and print the result.

    Args:
        name: registered model.
        number: version.
        kind: "reject" or "archive".
        why: reason for the history; required to reject.
    """
    before = moves.set_aside(Project.find(), name, number, kind, why)
    done, screen = DONE[kind], Screen()
    if before.standing == done:
        screen.say(f"{name} version {number} is {done} already")
        return
    screen.say(f"{name} version {number} is {done}")
    screen.say(f"next: gristmill promote {name} --version {number} --reason … undoes this")


def _show_all(project: Project, screen: Screen) -> None:
    names = registry.model_names(project)
    if not names:
        screen.say("no model is registered yet; next: gristmill run NAME")
        return
    rows = []
    for name in names:
        known = registry.versions(project, name)
        champion = next((v for v in known if CHAMPION in v.aliases), None)
        made = (_when(champion.created), _scores(champion)) if champion else ("", "")
        rows.append((name, champion.number if champion else "none", len(known), *made))
    screen.show(Table(("model", "champion", "versions", "created", "scores"), rows))


def _show_version(project: Project, version: Version, screen: Screen) -> None:
    lines = [
        ("model", f"{version.model} version {version.number}"),
        ("aliases", ", ".join(version.aliases) or "none"),
        *([("status", version.standing)] if version.standing else []),
        ("created", _when(version.created)),
        ("decision", version.tags.get(registry.DECISION, "none")),
        *(("", reason) for reason in version.tags.get(registry.REASONS, "").split("; ") if reason),
        *((f"test {name}", number(value, 6)) for name, value in version.metrics.items()),
        ("run", version.run_id),
        ("data", version.tags.get("gristmill.data", "")),
        ("load", f'mlflow.pyfunc.load_model("{version.address}")'),
    ]
    width = max(len(label) for label, _ in lines)
    for label, text in lines:
        screen.say(f"{label:{width}s}  {text}", whole=True)
    _show_decision(project, version, screen)


def _show_decision(project: Project, version: Version, screen: Screen) -> None:
    """Print the gate's decision from the record of the run that made it."""
    decided = version.tags.get(registry.DECIDED)
    if decided is None:  # decided by an older release, which stored no record
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            kept = read_json(tracking.fetch_artifact(project, decided, DECISION, Path(folder)))
        except EnvironmentFault as error:
            screen.say(f"the record of the gate's checks is missing: {error.found}", whole=True)
            return
    found = Evidence.read(kept)
    screen.say(
        f"\nchecks of the gate at α = {found.alpha:.3g}, "
        f"evaluation {found.reads} on these test rows\n"
    )
    screen.show(Table(("check", "value", "required", "p", "rows", "passed"), check_rows(found)))
    for line in power_lines(found.contest):
        screen.say(line, whole=True)


def check_rows(found: Evidence) -> list[tuple[str, ...]]:
    """Return a row per check of a decision: name, value, required value, p, rows, passed."""
    made: list[tuple[str, ...]] = []
    for rule in found.requirements:
        ends = ((">=", rule.min), ("<=", rule.max))
        wanted = " ".join(f"{sign} {end:g}" for sign, end in ends if end is not None)
        value = [rule.value] if rule.of == "value" else [rule.low, rule.high]
        shown = " – ".join(map(_number, value)) if rule.value is not None else "not measured"
        made.append((rule.name, shown, wanted, "", "", _mark(rule.holds)))
    for each in found.slices:
        bound = _number(each.bound)
        wanted = f">= {bound}" if each.kind == "required" else f"{bound} of the champion"
        numbers = (p_value(each.adjusted_p), f"{each.rows:,}")
        made.append((each.name, _number(each.value), wanted, *numbers, _mark(each.holds)))
    for base in found.baselines:
        mine, theirs = map(_number, base.values)
        what, p, holds = "better", base.p, base.p <= found.alpha
        if base.champion != DUMMY:
            what, p, holds = "not worse", base.worse, base.worse > found.alpha
        other, rows = f"{theirs} of {base.champion}", f"{base.rows:,}"
        made.append((f"{base.metric}: {what}", mine, other, p_value(p), rows, _mark(holds)))
    if (contest := found.contest) is None:
        return made

    def compared(what: str, one: Contest | NotWorse, other: str) -> tuple[str, ...]:
        mine, holds = _number(one.values[0]), _mark(one.p <= found.alpha)
        rows = f"{one.rows:,}"
        return f"{contest.metric}: {what}", mine, other, p_value(one.p), rows, holds

    champion = f"{_number(contest.values[1])} of version {contest.champion}"
    made.append(compared("better", contest, champion))
    against = contest.refresh.against if contest.refresh else ()
    for one in () if isinstance(against, str) else against:
        other = f"{_number(one.values[1])} of version {one.version}, less {_number(one.margin)}"
        made.append(compared("not worse", one, other))
    return made


def power_lines(found: Contest | None) -> list[str]:
    """Describe the rows and the power of a stored comparison with the champion."""
    if found is None:
        return []
    lines = []
    if found.method:
        groups = f", in {found.groups:,} groups" * bool(found.groups)
        lines.append(f"by {found.method} on {found.rows:,} rows{groups}")
    if found.newer or found.left_out:
        newer, out = f"{found.newer:,}", f"{found.left_out:,}"
        lines.append(f"{newer} of them newer than the champion; {out} test rows left out")
    if found.power is not None:
        enough = "" if found.enough is None else f"; {found.enough:,} rows would give 0.8"
        lines.append(f"power for a gain of {found.shown_gain:.2g}: {found.power:.2f}{enough}")
    return lines


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "unknown"
    return f"{value:.3g}" if value < 0.001 else f"{value:.4g}"


def _mark(holds: bool) -> str:
    return "yes" if holds else "no"


def _scores(version: Version) -> str:
    return ", ".join(f"{name} {number(value)}" for name, value in version.metrics.items())


def _when(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
