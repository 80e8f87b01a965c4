"""The steps package, gate and register."""

from __future__ import annotations

from gristmill.flows.background import Work
from gristmill.flows.results import Searched
from gristmill.flows.session import current
from gristmill.flows.steps.publish import keep_card
from gristmill.pipelines.evaluation import FinalEvaluation
from gristmill.pipelines.ingestion import stage_digests
from gristmill.pipelines.packaging import Package
from gristmill.pipelines.registry import (
    CandidateRun,
    Decision,
    Registered,
    Version,
    ground_of,
    package_candidate,
    register_candidate,
)
from gristmill.pipelines.registry import judge as ask_gate
from gristmill.pipelines.reporting import number
from gristmill.pipelines.tracking import known_run
from gristmill.pipelines.tracking import tags as names

PACKAGE, GROUND = "package", "ground"
"""Names of work that starts before its step."""


def begin_package(searched: Searched, evaluation: FinalEvaluation) -> None:
    """Start building the package; `make_package` waits for it."""
    run = current()
    run.begun[PACKAGE] = Work(
        lambda: package_candidate(
            run.project, run.experiment, searched.winner, evaluation, run.rehearsal
        )
    )


def make_package(searched: Searched, evaluation: FinalEvaluation) -> Package | Version:
    """Return the winner as a package tested in a fresh process, or the equal version."""
    run = current()
    if PACKAGE not in run.begun:
        begin_package(searched, evaluation)
    with run.screen.step("package") as words:
        made: Package | Version = run.begun.pop(PACKAGE).result()
        if isinstance(made, Package):
            words.append(f"tested in a fresh process on {evaluation.rows:,} raw rows")
            words.append(f"({number(made.measured['latency_ms'], 2)} ms for one)")
        else:
            words.append(f"same package as version {made.number}")
        measured = {f"package_{name}": value for name, value in made.measured.items()}
        run.tracker.log(metrics=measured)
    return made


def begin_ground(evaluation: FinalEvaluation) -> None:
    """Start determining which test rows were seen in training; the gate waits for it."""
    run = current()
    judged = (run.project, run.experiment, evaluation, run.rehearsal)
    run.begun[GROUND] = Work(lambda: ground_of(*judged))


def judge(searched: Searched, candidate: Package | Version) -> Decision:
    """Return the gate's decision on the candidate."""
    run = current()
    with run.screen.step("gate") as words:
        key = searched.run_key
        cut = key if key and known_run(run.project, key) is None else ""
        ground = run.begun[GROUND].result()
        decision = ask_gate(ground, candidate, cut)
        words.append(decision.outcome)
    run.warn(*run.rehearsal.warnings)
    return decision


def register(
    searched: Searched,
    evaluation: FinalEvaluation,
    candidate: Package | Version,
    decision: Decision,
) -> Registered:
    """Register the version with tags and, if earned, the alias; record it on the run.

    Args:
        searched: outcome of the search.
        evaluation: the winner on the test rows.
        candidate: its package, or the version with the same package.
        decision: the gate's decision; repeated if another run registered a champion meanwhile.
    """
    run = current()
    name = run.experiment.name
    with run.screen.step("register") as words:
        digests = stage_digests(run.project, name)
        ground = run.begun[GROUND].result()
        made = register_candidate(
            ground,
            candidate,
            decision,
            CandidateRun(
                run.tracker.run_id,
                searched.winner,
                digests.get(f"data/{run.experiment.data.folder}", ""),
                searched.run_key,
            ),
            lambda: ask_gate(ground, candidate),
        )
        key = "" if made.overtaken else searched.run_key
        run.tracker.log(
            tags={
                **({names.RUN_KEY: key} if key else {}),
                names.DECISION: made.decision.outcome,
                names.REASONS: "; ".join(made.decision.reasons),
                names.MODEL: made.model,
                names.VERSION: made.version,
            }
        )
        keep_card(run, evaluation, made, digests)
        words.append(f"{made.model} version {made.version}")
    return made
