"""`gristmill run` and `gristmill plan`."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from gristmill.flows import EXIT_CODES, Plan, done_lines, make_plan, page_lines
from gristmill.pipelines.base import uncollected
from gristmill.pipelines.config import Experiment, Project
from gristmill.pipelines.ingestion import DataState
from gristmill.pipelines.reporting import Screen
from gristmill.pipelines.search import strategy_of
from gristmill.pipelines.tracking import any_running, check_store
from gristmill.pipelines.validation import check_fresh

if TYPE_CHECKING:
    from gristmill.flows import Session

INGEST = "ingest"


def run(
    project: Project,
    experiment: Experiment,
    force: bool,
    *,
    tensorboard: bool = False,
    on: str = "local",
) -> int:
    """Runs an experiment; returns the exit code.

    Args:
        project: whose experiment it is.
        experiment: what to run.
        force: do every step again.
        tensorboard: write event files of the trials.
        on: where the trials are trained: `local`, `ray`, `ray:ADDRESS` or `ray://HOST:PORT`.
    """
    screen = Screen()
    plan = make_plan(project, experiment)
    if plan.done is not None and not force:
        _mend(project)
        for line in check_fresh(project, experiment):
            screen.say(f"  ! {line}")
        for line in [
            *done_lines(project, plan.done),
            *page_lines(project, experiment.name, plan.done.run_id),
        ]:
            screen.say(line)
        return EXIT_CODES[plan.done.decision]
    if plan.data is DataState.EDITED:
        from gristmill.pipelines.ingestion import edited

        raise edited(experiment.data.folder, experiment.data.path, experiment.name)
    check_store(project)
    show(screen, experiment, plan, force, brief=True)
    _listen(screen)
    made = partial(_session, project, experiment, screen, force, tensorboard, on)
    builds = [stage.name for stage in plan.stages if force or stage.changes]
    known = plan.data is DataState.PINNED
    return _run_flow(project, made, trains=plan.trains or force, builds=builds, known=known)


def _mend(project: Project) -> None:
    """Ends what a killed run left RUNNING, in MLflow and Prefect; loads neither for nothing."""
    from gristmill.flows import Server, mend_dead_flow_runs, says_running

    if any_running(project):
        from gristmill.pipelines.tracking import mend_dead_runs

        mend_dead_runs(project)
    if says_running(project):
        server = Server(project)
        try:
            server.start()
            server.wait()
            mend_dead_flow_runs(server.url, alone=server.alone)
        finally:
            server.leave()


def _session(
    project: Project,
    experiment: Experiment,
    screen: Screen,
    force: bool,
    tensorboard: bool,
    on: str,
) -> Session:
    from gristmill.flows import Session

    boards = project.build(experiment.name) / "tensorboard" if tensorboard else None
    if boards is not None:
        place = shlex.quote(project.relative(boards))
        screen.say(f"  curves     tensorboard --logdir {place}")
    return Session(project, experiment, screen, force, boards, on)


def _run_flow(
    project: Project,
    session_of: Callable[[], Session],
    *,
    trains: bool,
    builds: Sequence[str],
    known: bool,
) -> int:
    """The flow in this process; the server and the workers start while the rest is imported.

    Where there are data to build, the workers start when this process has nothing to do but to
    wait for the server.

    Args:
        project: whose experiment it is.
        session_of: makes the session.
        trains: whether there are trials to train.
        builds: the data stages that have something to do.
        known: whether the data are on disk as they are pinned, so that they need not be waited for.
    """
    from gristmill.flows import Server, mend_dead_flow_runs, wait_until_recorded

    server = Server(project)
    made = None
    try:
        server.start()
        with uncollected():
            from gristmill.flows import open_session

        made = session_of()
        if trains and not builds:
            made.pool.warm_up()
        with open_session(made):
            if known and builds:
                from gristmill.flows import begin_stages

                begin_stages()
            with uncollected():
                from gristmill.flows import run_train

            if trains:
                made.pool.warm_up()
            server.wait()
            mend_dead_flow_runs(server.url, alone=server.alone)
            with made.screen.ctrl_c():
                return run_train(made).exit_code
    finally:
        if made is not None and made.flow_run:
            wait_until_recorded(server.url, made.flow_run)
        server.leave()


def _listen(screen: Screen) -> None:
    """Ctrl-C, and being told to end, stop a run at once, or at its next step at the latest."""

    def interrupt(*_: object) -> None:
        screen.interrupted = True
        raise KeyboardInterrupt

    def unraisable(what: sys.UnraisableHookArgs) -> None:
        if not isinstance(what.exc_value, KeyboardInterrupt):  # it has been noted above
            sys.__unraisablehook__(what)

    sys.unraisablehook = unraisable
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)


def show(
    screen: Screen, experiment: Experiment, plan: Plan, force: bool, *, brief: bool = False
) -> None:
    """The plan, a line a step and a line a trial."""
    say = screen.say
    say(f"{experiment.name}: {experiment.document.description}".rstrip(": "))
    if plan.done is not None and not force:
        say(f"  nothing to do; run {plan.done.run_id[:8]} came to this very end")
        return
    _line(say, "snapshot", plan.data is DataState.PINNED, plan.data.value)
    upstream = plan.data not in (DataState.PINNED, DataState.MISSING, DataState.OTHER)
    for stage in plan.stages:
        reasons = list(stage.changes) or (["its input may change"] if upstream else [])
        if stage.name == "ingest" and plan.parameters:
            reasons += plan.parameters
        if force:
            reasons = ["forced"]
        _line(say, stage.name, not reasons, _few(reasons) or "nothing changed")
        upstream = upstream or bool(reasons)
    if not plan.trials:
        _line(
            say,
            "search",
            False,
            _asked(experiment) + ", once the data are there" * (plan.trials is None),
        )
    else:
        new = [trial for trial in plan.trials if trial.known is None]
        words = f"{len(new)} of {len(plan.trials)} trials to train"
        if plan.remaining:
            words += f", then at most {plan.remaining} that depend on what these come to"
        _line(say, "search", not (new or plan.remaining), words)
        several = len({trial.trial.epochs for trial in plan.trials}) > 1
        for trial in [] if brief else plan.trials:
            budget = f" {trial.trial.epochs} epochs" if several else ""
            say(f"    {trial.trial.name:30s}{budget} {trial.state}: {trial.reason}")
    if experiment.document.split.folds:
        known = plan.refit is not None and plan.refit.known is not None and not force
        why = "known" if known else "the best point, on the rows of all folds"
        _line(say, "refit", known, why)
    _line(say, "evaluate", False, "the winner on the test rows, package, gate, registry")


def _asked(experiment: Experiment) -> str:
    """The trials of a search whose data are not there yet."""
    document = experiment.document
    each = document.search.repeats * (document.split.folds or 1)
    points = strategy_of(experiment).size
    most = "at most " if document.search.is_adaptive else ""
    return f"{most}{points * each} trials"


def _line(say: object, name: str, skip: bool, why: str) -> None:
    if callable(say):
        say(f"  {'skip' if skip else 'run '} {name:10s} {why}")


def _few(reasons: list[str]) -> str:
    shown = ", ".join(reasons[:2])
    return shown + (f" and {len(reasons) - 2} more" if len(reasons) > 2 else "")
