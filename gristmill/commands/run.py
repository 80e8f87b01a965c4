"""`gristmill run`: train, search, evaluate, register."""

from __future__ import annotations

import shlex
import signal
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from gristmill import flows
from gristmill.commands import plan as plans
from gristmill.commands.options import Force, Name, Override, load
from gristmill.pipelines import ingestion, tracking, validation
from gristmill.pipelines.base import uncollected
from gristmill.pipelines.config import Project
from gristmill.pipelines.reporting import Screen


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
            help="Trials to run in parallel; default: search.workers, else one per core.",
        ),
    ] = None,
    on: Annotated[
        str,
        typer.Option(
            "--on",
            metavar="PLACE",
            help="Where to train: local, ray, ray:ADDRESS or ray://HOST:10001.",
        ),
    ] = "local",
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write the trials' curves for TensorBoard.")
    ] = False,
) -> int:
    """Train, search, evaluate and register; do nothing if nothing has changed."""
    project, experiment = load(name, parameter)
    if on != "local":
        from gristmill.pipelines.workers import address_of

        address_of(on)
    if workers is not None:
        experiment = experiment.with_workers(workers)
    screen = Screen()
    plan = flows.make_plan(project, experiment, force=force)
    if plan.done is not None and not force:
        _mend(project)
        flows.require_unchanged(project, plan.done)
        for line in validation.check_fresh(project, experiment):
            screen.say(f"  ! {line}")
        for line in flows.done_lines(project, plan.done):
            screen.say(line)
        return flows.EXIT_CODES[plan.done.decision]
    if plan.data is ingestion.DataState.EDITED:
        raise ingestion.edited(experiment.data.folder, experiment.data.path, experiment.name)
    tracking.check_store(project)
    plans.show(screen, experiment, plan, force, brief=True)
    _listen(screen)
    boards = project.build(experiment.name) / "tensorboard" if tensorboard else None
    if boards is not None:
        screen.say(f"  curves     tensorboard --logdir {shlex.quote(project.relative(boards))}")

    def session_of() -> flows.Session:
        return flows.Session(project, experiment, screen, force, boards, on)

    return _run_flow(project, plan, force, session_of)


def _mend(project: Project) -> None:
    """End what a killed run left RUNNING in MLflow and Prefect; import them only if needed."""
    if tracking.any_running(project):
        tracking.mend_dead_runs(project)
    flows.mend_killed(project)


def _run_flow(
    project: Project, plan: flows.Plan, force: bool, session_of: Callable[[], flows.Session]
) -> int:
    """Run the flow in this process; server and workers start while the rest is imported.

    If there are data to build, the workers start when this process only waits for the server.
    """
    trains, builds = plan.trains or force, force or any(stage.changes for stage in plan.stages)
    server = flows.Server(project)
    made, ended = None, True
    try:
        server.start()
        made = session_of()
        if trains and not builds:
            made.pool.warm_up()
        with flows.open_session(made):
            if builds and plan.data is ingestion.DataState.PINNED:  # else the snapshot comes first
                flows.begin_stages()
            with uncollected():  # 0.3 s of 1.9 s of processor time
                run_train = flows.run_train

            if trains:
                made.pool.warm_up()
            server.wait()
            server.mend()
            ended = False
            with made.screen.ctrl_c():
                return run_train(made).exit_code
    finally:
        if made is not None and made.flow_run:
            ended = flows.wait_until_recorded(server.url, made.flow_run)
        server.leave(ended=ended)


def _listen(screen: Screen) -> None:
    """Make SIGINT and SIGTERM stop the run at once, or at the latest at its next step."""

    def interrupt(*_: object) -> None:
        screen.interrupted = True
        raise KeyboardInterrupt

    def unraisable(what: sys.UnraisableHookArgs) -> None:
        if not isinstance(what.exc_value, KeyboardInterrupt):  # noted by `interrupt`
            sys.__unraisablehook__(what)

    sys.unraisablehook = unraisable
    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
