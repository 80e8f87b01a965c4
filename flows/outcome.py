"""The outcome of a run, in words."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from gristmill.pipelines.config import Project
from gristmill.pipelines.tracking import ARTIFACTS, StoredRun

EXIT_CODES = {"promote": 0, "challenger": 0, "hold": 0, "reject": 3}
DONE = {"promote": "promoted", "challenger": "challenger", "hold": "held", "reject": "rejected"}
PAGE, REPORT = "report.html", "report.md"
"""Files of the latest run in `build/NAME`, and artifacts of every run."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run."""

    experiment: str
    decision: str
    reasons: tuple[str, ...]
    version: str
    champion: str | None

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.decision]


def done_lines(project: Project, done: StoredRun) -> list[str]:
    """Return the message that nothing has changed since an earlier run: its decision, whether a
    person can still decide, and the path of its page."""
    waits = done.decision == "challenger" and _still_waits(project, done)
    return [
        f"{done.model}: nothing to do, nothing changed since run {done.run_id[:8]}",
        f"  version {done.version} was {DONE[done.decision]}:",
        *(f"    {reason}" for reason in done.reasons.split("; ")),
        *(waiting_lines(done.model, done.version) if waits else ()),
        *page_lines(project, done.model, done.run_id),
    ]


def require_unchanged(project: Project, done: StoredRun) -> None:
    """Check the packages of a run's version and of the champion.

    Raises:
        PackageChanged: a package was changed after it was registered.
    """
    from gristmill.pipelines import packaging
    from gristmill.pipelines.registry import CHAMPION, versions

    for version in versions(project, done.model):
        if version.number == done.version or CHAMPION in version.aliases:
            packaging.require_unchanged(project, version)


def _still_waits(project: Project, done: StoredRun) -> bool:
    """Return whether the version is still the challenger."""
    from gristmill.pipelines.registry import CHALLENGER, versions

    known = {version.number: version for version in versions(project, done.model)}
    return done.version in known and CHALLENGER in known[done.version].aliases


def waiting_lines(model: str, version: str) -> list[str]:
    """Return the commands that decide about a challenger."""
    return [
        f"next: gristmill promote {model} --version {version} makes it the champion",
        f"      gristmill reject {model} --version {version} --reason … does not",
    ]


def decision_lines(outcome: Outcome) -> list[str]:
    """Return the decision, its reasons and the next commands."""
    name = outcome.experiment
    if outcome.decision == "promote":
        first = f"{name} version {outcome.version} is the champion now"
    elif outcome.decision == "challenger":
        first = f"{name} version {outcome.version} is the challenger now and waits for a person"
    elif outcome.decision == "hold":
        first = f"{name} version {outcome.version} is held, {outcome.champion} stays the champion"
        if outcome.version == outcome.champion:
            first = f"{name} version {outcome.version} stays the champion"
        elif outcome.champion is None:
            first = f"{name} version {outcome.version} is held, {name} has no champion yet"
    else:
        first = f"{name} version {outcome.version} is rejected"
    lines = [first, *(f"  {reason}" for reason in outcome.reasons)]
    if outcome.decision == "challenger":
        return [*lines, *waiting_lines(name, outcome.version)]
    if outcome.decision == "hold" and outcome.champion is None:
        promote = f"gristmill promote {name} --version {outcome.version}"
        return [*lines, f"next: {promote} makes it the champion all the same"]
    if outcome.decision == "reject":
        return [*lines, f"next: gristmill models {name} --version {outcome.version}"]
    return [*lines, f"next: gristmill models {name} · gristmill score {name} FILE · gristmill up"]


def page_lines(project: Project, experiment: str, run_id: str) -> list[str]:
    """Return a line with the path of a run's page, or no line if it is not on this machine.

    Args:
        project: the project.
        experiment: name of the experiment.
        run_id: MLflow's id; the page of a later run is not accepted.
    """
    latest = project.build(experiment) / PAGE
    kept = project.root / ARTIFACTS / experiment / run_id / "artifacts" / PAGE
    for file in (latest, kept):
        if file.is_file() and run_id in _beginning(file):
            return [f"report: {project.relative(file)}"]
    return []


def _beginning(file: Path) -> str:
    with file.open(encoding="utf-8") as page:
        return page.read(500)
