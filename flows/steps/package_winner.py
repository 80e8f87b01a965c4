"""The winner as one package, tried in a fresh process."""

from __future__ import annotations

from gristmill.flows.background import Work
from gristmill.flows.results import Searched
from gristmill.flows.session import current
from gristmill.pipelines.evaluation import FinalEvaluation
from gristmill.pipelines.packaging import Package
from gristmill.pipelines.registry import Version, package_candidate

PACKAGE = "package"


def begin_package(searched: Searched, evaluation: FinalEvaluation) -> None:
    """Begins the package; `make_package` waits for it."""
    run = current()
    run.begun[PACKAGE] = Work(
        lambda: package_candidate(
            run.project, run.experiment, searched.winner, evaluation, run.rehearsal
        )
    )


def make_package(searched: Searched, evaluation: FinalEvaluation) -> Package | Version:
    """The winner as a package that has been tried in a fresh process."""
    run = current()
    if PACKAGE not in run.begun:
        begin_package(searched, evaluation)
    with run.screen.step("package") as words:
        made: Package | Version = run.begun.pop(PACKAGE).result()
        if isinstance(made, Package):
            words.append(f"tried in a fresh process on {evaluation.rows:,} raw rows")
            words.append(f"({made.measured['latency_ms']:.2g} ms for one)")
        else:
            words.append(f"version {made.number} is this very package")
        measured = {f"package_{name}": value for name, value in made.measured.items()}
        run.tracker.log(metrics=measured)
    return made
