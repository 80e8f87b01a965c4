"""The steps of a run that prepare the data for training."""

from __future__ import annotations

from pathlib import Path

from gristmill.flows.background import Work
from gristmill.flows.session import Session, current
from gristmill.flows.steps.champion_drift import check_drift
from gristmill.flows.steps.new_data import described, take_new_version
from gristmill.pipelines.base import read_json
from gristmill.pipelines.ingestion import STAGES, run_stage, stop_stage
from gristmill.pipelines.ingestion import snapshot as take_pinned
from gristmill.pipelines.validation import Finding, check_fresh, read_warnings

SHOWN = 5
"""Notes about the data that are printed."""


def take_snapshot() -> str:
    """Restore the pinned data, register the experiment in `params.yaml`, return the data's hash."""
    run = current()
    with run.screen.step("snapshot") as words:
        found = take_pinned(run.project, run.experiment.name, run.screen.arriving)
        run.project.register(run.experiment.name, run.experiment.data.folder)
        words.append(str(found))
    return found.digest


def take_new_data() -> bool:
    """Fetch the source, pin valid new data, and return whether the version changed."""
    run = current()
    with run.screen.step("refresh") as words:
        done = take_new_version(run.project, run.experiment.name, None, run.screen.arriving)
        words.append("; ".join(line.strip() for line in described(done)))
    return done.changed


def begin_stages() -> None:
    """Start the data stages, one after the other; `carry_out` waits for each."""
    run = current()
    run.project.register(run.experiment.name, run.experiment.data.folder)
    before = None
    for stage in STAGES:
        run.begun[stage] = before = _through_dvc(run, stage, before)


def _through_dvc(run: Session, stage: str, after: Work[bool] | None) -> Work[bool]:
    name, cuts_of = run.experiment.name, run.experiment.document.split.as_

    def work() -> bool:
        stale = stage == "split" and run.project.stale_cuts(name, cuts_of)
        return run_stage(run.project, stage, name, run.force or stale)

    return Work(work, lambda: stop_stage(stage, name), after)


def carry_out(stage: str) -> bool:
    """Run a data stage through DVC; return whether there was anything to do."""
    run = current()
    if not run.begun.keys() & {*STAGES}:
        begin_stages()
    with run.screen.step(stage) as words:
        ran: bool = run.begun[stage].result()
        log = run.build / "logs" / f"{stage}.txt"
        summary = log.read_text(encoding="utf-8").strip() if ran and log.exists() else ""
        notes: list[str] = []
        if stage == "ingest":
            summary, *notes = summary.split("\n")
        words.append(summary if ran else "nothing changed")
    _show(notes, log)
    if stage == "validate":
        run.warn(*warnings_in(run.build / "validation.json"))
        run.warn(*check_fresh(run.project, run.experiment))
    if stage == "split":
        run.warn(*read_warnings(run.build / "leaks.json"))
    return ran


def _show(notes: list[str], log: Path) -> None:
    """Print the first notes about the data, and keep all of them for the report."""
    run = current()
    run.warnings += notes
    for note in notes[:SHOWN]:
        run.screen.say(f"    ! {note}")
    if len(notes) > SHOWN:
        run.screen.say(f"    ! and {len(notes) - SHOWN} more: {run.project.relative(log)}")


def warnings_in(file: Path) -> list[str]:
    """Return the warnings that the stage `validate` stored, in words."""
    found = [Finding(**entry) for entry in read_json(file)["warnings"]]
    return [f"{one.column}: {one.rule}; found {one}" for one in found]


def compare_with_accepted() -> None:
    """Compare the data's distributions with those that the champion was trained on."""
    run = current()
    with run.screen.step("drift") as words:
        run.drift, lines = check_drift(run)
        words.append(run.drift)
    run.warn(*lines)
