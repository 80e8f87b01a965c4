"""`gristmill run`: train, search, evaluate, register."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from gristmill.commands import plan as plans
from gristmill.commands.options import Force, Name, Override, load
from gristmill.flows import EXIT_CODES, done_lines, make_plan
from gristmill.pipelines.base import uncollected
from gristmill.pipelines.config import Experiment, Project
from gristmill.pipelines.ingestion import DataState
from gristmill.pipelines.reporting import Screen
from gristmill.pipelines.tracking import any_running, check_store
from gristmill.pipelines.validation import check_fresh

if TYPE_CHECKING:
    from gristmill.flows import Session

INGEST = "ingest"


def run(
    name: Name,
    parameter: Override = [],  # noqa: B006
    force: Force = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers",
            metavar="N",
            min=1,
            help="Trials side by side; default: search.workers, else one a core.",
        ),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="PLACE",
            help="Where trials are trained: local, ray, ray:ADDRESS or ray://HOST:10001.",
        ),
    ] = "local",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write the trials' curves for TensorBoard, too.")
    ] = False,
) -> int:
    """Train, search, evaluate, register. Does nothing when nothing has changed."""
    project, experiment = load(name, parameter)
    if on != "local":
        from gristmill.pipelines.workers import address_of

        address_of(on)
    if workers is not None:
        experiment = experiment.with_workers(workers)
    return carry_out(project, experiment, force, tensorboard=tensorboard, on=on)


def carry_out(
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
        for line in done_lines(project, plan.done):
            screen.say(line)
        return EXIT_CODES[plan.done.decision]
    if plan.data is DataState.EDITED:
        from gristmill.pipelines.ingestion import edited

        raise edited(experiment.data.folder, experiment.data.path, experiment.name)
    check_store(project)
    plans.show(screen, experiment, plan, force, brief=True)
    _listen(screen)
    boards = project.build(experiment.name) / "tensorboard" if tensorboard else None
    if boards is not None:
        screen.say(f"  curves     tensorboard --logdir {shlex.quote(project.relative(boards))}")

    def made() -> Session:
        from gristmill.flows import Session

        return Session(project, experiment, screen, force, boards, on)

    builds = [stage.name for stage in plan.stages if force or stage.changes]
    known = plan.data is DataState.PINNED
    return _run_flow(project, made, trains=plan.trains or force, builds=builds, known=known)


def _mend(project: Project) -> None:
    """Ends what a killed run left RUNNING, in MLflow and Prefect; loads neither for nothing."""
    from gristmill.flows import mend_killed

    if any_running(project):
        from gristmill.pipelines.tracking import mend_dead_runs

        mend_dead_runs(project)
    mend_killed(project)


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
    from gristmill.flows import Server, wait_until_recorded

    server = Server(project)
    made, ended = None, True
    try:
        server.start()
        from gristmill.flows import open_session

        made = session_of()
        if trains and not builds:
            made.pool.warm_up()
        with open_session(made):
            if known and builds:
                from gristmill.flows import begin_stages

                begin_stages()
            with uncollected():  # 0.3 s of 1.9 s of processor time
                from gristmill.flows import run_train

            if trains:
                made.pool.warm_up()
            server.wait()
            server.mend()
            ended = False
            with made.screen.ctrl_c():
                return run_train(made).exit_code
    finally:
        if made is not None and made.flow_run:
            ended = wait_until_recorded(server.url, made.flow_run)
        server.leave(ended=ended)


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
