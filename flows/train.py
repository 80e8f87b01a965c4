"""The flow: from pinned data to a decision about a registered model."""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Thread
from typing import Any

import httpx
from prefect import flow, get_client, get_run_logger, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.runtime import flow_run
from prefect.settings import (
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    temporary_settings,
)

from gristmill.flows import steps
from gristmill.flows.outcome import PAGE, REPORT, Outcome
from gristmill.flows.page import trial_table
from gristmill.flows.results import Finished
from gristmill.flows.run_log import keep_log
from gristmill.flows.run_plan import judging_sources
from gristmill.flows.servers import mlflow_ui, under_way
from gristmill.flows.session import Session, current, open_session
from gristmill.pipelines.base import (
    EnvironmentFault,
    GristmillError,
    first_line,
    redact,
    uncollected,
)
from gristmill.pipelines.config import Project, load_experiment
from gristmill.pipelines.ingestion import STAGES
from gristmill.pipelines.reporting import Screen
from gristmill.pipelines.tracking import (
    Tracker,
    import_mlflow,
    know_packages,
    process_tags,
    store_errors,
)

RETRIES = 2
"""Retries of steps that can fail for a temporary reason: a network, a lock, a server."""

DELAYS: list[float] = [1, 5]

AHEAD = ("mlflow.store.tracking.sqlalchemy_store", "scipy.stats", "sklearn.linear_model")

NOT_SHOWN = "Prefect's server does not answer; it does not show the end of this run"

DRAIN = 2.0
"""Seconds to wait for the last log lines and states to reach the server."""


def _passes(_task: Any, _run: Any, state: Any) -> bool:
    """Return whether a retry can help: only faults of the environment are temporary."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, EnvironmentFault) or not isinstance(error, GristmillError)


ONCE: dict[str, Any] = {"cache_policy": NO_CACHE}
RETRIED: dict[str, Any] = {
    **ONCE,
    "retry_condition_fn": _passes,
    "retries": RETRIES,
    "retry_delay_seconds": DELAYS,
}

refresh_data = task(name="refresh", **RETRIED)(steps.take_new_data)
snapshot = task(name="snapshot", **RETRIED)(steps.take_snapshot)
stage = task(name="stage", task_run_name="{stage}", **ONCE)(steps.carry_out)
drift = task(name="drift", **RETRIED)(steps.compare_with_accepted)
search = task(name="search", **ONCE)(steps.search)
evaluate = task(name="evaluate", **ONCE)(steps.final_evaluation)
pictures = task(name="pictures", **ONCE)(steps.take_pictures)
package = task(name="package", **ONCE)(steps.make_package)
gate = task(name="gate", **RETRIED)(steps.judge)
register = task(name="register", **RETRIED)(steps.register)


@flow(name="train", flow_run_name="{experiment}", log_prints=False)
def train(
    experiment: str,
    parameters: dict[str, Any] | None = None,
    refresh: bool = False,
    force: bool = False,
) -> Outcome:
    """Run an experiment from its data to a decision about a registered model.

    Args:
        experiment: name of a file in `experiments/`.
        parameters: values that replace declared parameters.
        refresh: fetch the data's source first, and use a new version if there is one.
        force: repeat every step, even if its result is known.
    """
    with _session(experiment, parameters, force) as run:
        run.screen.spend({"start": time.monotonic() - run.screen.began})
        run.flow_run = _tag_flow_run()
        if refresh:
            refresh_data()
        snapshot()
        for name in STAGES:
            stage(name)
            if name == "ingest":
                Thread(target=_import_ahead, daemon=True).start()
            if name == "validate":
                run.rehearsal.warm_up()
                drift()
        if (done := steps.earlier_run()) is not None:
            return done
        with store_errors("record the run"), _tracker(run) as run.tracker, run.screen.ctrl_c():
            searched = search()
            steps.begin_search_pictures(searched)
            evaluation = evaluate(searched)
            steps.begin_answer_pictures(evaluation)
            steps.begin_package(searched, evaluation)
            drawn = pictures()
            steps.begin_ground(evaluation)
            candidate = package(searched, evaluation)
            decision = gate(searched, candidate)
            registered = register(searched, evaluation, candidate, decision)
            finished = steps.publish_report(
                Finished(searched, evaluation, candidate, registered, drawn)
            )
            run.outcome = finished.outcome
            with _may_fail(run):
                _show_in_prefect(run, finished)
        steps.say_end(finished)
        return finished.outcome


def run_train(made: Session) -> Outcome:
    """Run the flow in this process, in a session that is already open."""
    logging.raiseExceptions = False  # log lines that the server could not receive are in a file
    try:
        with (
            ExitStack() as made.hurry,
            temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
        ):
            return train(made.experiment.name, dict(made.experiment.overrides), False, made.force)
    except httpx.HTTPError as error:
        if made.outcome is not None:
            if NOT_SHOWN not in made.warnings:
                made.warn(NOT_SHOWN)
            return made.outcome
        raise EnvironmentFault(
            "the Prefect server ended in the middle of the run",
            expected=f"an answer of {redact(os.environ.get('PREFECT_API_URL', 'the server'))}",
            found=first_line(error),
            next=f"gristmill run {made.experiment.name}   continues from here",
        ) from error
    finally:  # unsent messages would delay the exit once the server has ended
        EventsWorker.drain_all(timeout=DRAIN)
        APILogWorker.drain_all(timeout=DRAIN)


def _tag_flow_run() -> str:
    """Tag the flow run with this process, so that a dead process is detected; return its id.

    Tags of a context would apply to the tasks too, and each task requests its tags from the
    server.
    """
    labels = [f"{n.removeprefix('gristmill.')}:{value}" for n, value in process_tags().items()]
    with get_client(sync_client=True) as client:
        client.update_flow_run(flow_run.id, tags=labels)
    return str(flow_run.id)


def _import_ahead() -> None:
    """Import what later steps need while the stages' processes run.

    Not before the first stage: by then DVC has imported its packages, so that two threads never
    import the same package at the same time.
    """
    with uncollected():
        import_mlflow()
        for name in AHEAD:
            importlib.import_module(name)
    know_packages()
    judging_sources()


@contextmanager
def _session(experiment: str, parameters: dict[str, Any] | None, force: bool) -> Iterator[Session]:
    """Yield the open session, or a new one for this flow run; keep its log."""
    try:
        run = current()
    except LookupError:
        project = Project.find()
        made = Session(project, load_experiment(project, experiment, parameters), Screen(), force)
        made.pool.warm_up()
        with under_way(project), open_session(made), _session(experiment, parameters, force):
            yield made
        return
    keep_log(run.project, str(flow_run.id))
    run.screen.log = get_run_logger().info
    yield run


def _tracker(run: Session) -> Tracker:
    part = partial(run.screen.part, "tracking")
    with part():
        return Tracker(run.project, run.experiment.name, part, run.overridden)


@contextmanager
def _may_fail(run: Session) -> Iterator[None]:
    """Warn if Prefect's server does not answer, and do not wait for it again."""
    try:
        yield
    except httpx.HTTPError:
        run.warn(NOT_SHOWN)
        run.hurry.enter_context(temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}))


def _show_in_prefect(run: Session, made: Finished) -> None:
    """Publish the report, the trials and a link to the page on the flow run."""
    outcome = made.outcome
    name = "".join(c if c.isalnum() else "-" for c in outcome.experiment.lower())
    text = (run.build / REPORT).read_text(encoding="utf-8")
    create_markdown_artifact(text, key=f"report-{name}", description=f"run of {outcome.experiment}")
    trials = trial_table(run.experiment.document, made.searched).records()
    create_table_artifact(trials, key=f"trials-{name}", description="trials")
    create_link_artifact(
        run.tracker.address(PAGE, mlflow_ui(run.project)),
        link_text=f"report of {outcome.experiment} version {outcome.version}",
        key=f"page-{name}",
        description=f"in MLflow's UI; the same as `{run.project.relative(run.build / PAGE)}`",
    )
