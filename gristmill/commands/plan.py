"""`gristmill plan`: what a run would do, and why."""

from __future__ import annotations

from gristmill import flows
from gristmill.commands.options import Force, Name, Override, load
from gristmill.pipelines import config, ingestion, search
from gristmill.pipelines.reporting import Screen


def plan(name: Name, parameter: Override = [], force: Force = False) -> None:  # noqa: B006
    """Show what a run would do, step by step and trial by trial, and why."""
    project, experiment = load(name, parameter)
    show(Screen(), experiment, flows.make_plan(project, experiment, force=force), force)


def show(
    screen: Screen,
    experiment: config.Experiment,
    plan: flows.Plan,
    force: bool,
    *,
    brief: bool = False,
) -> None:
    """Print a plan, a line per step and per trial.

    Args:
        screen: where to print.
        experiment: that the plan belongs to.
        plan: as `make_plan` returns it.
        force: whether every step runs again.
        brief: leave out the lines of the trials.
    """
    say = screen.say
    say(f"{experiment.name}: {experiment.document.description}".rstrip(": "))
    if plan.done is not None and not force:
        say(f"  nothing to do; run {plan.done.run_id[:8]} has this result already")
        return
    _line(say, "snapshot", plan.data is ingestion.DataState.PINNED, plan.data.value)
    upstream = plan.data not in (
        ingestion.DataState.PINNED,
        ingestion.DataState.MISSING,
        ingestion.DataState.OTHER,
    )
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
            _asked(experiment) + ", when the data are ready" * (plan.trials is None),
        )
    else:
        new = [trial for trial in plan.trials if trial.known is None]
        words = f"{len(new)} of {len(plan.trials)} trials to train"
        if plan.remaining:
            words += f", then at most {plan.remaining} that depend on their results"
        _line(say, "search", not (new or plan.remaining), words)
        several = len({trial.trial.epochs for trial in plan.trials}) > 1
        for trial in [] if brief else plan.trials:
            budget = f" {trial.trial.epochs} epochs" if several else ""
            say(f"    {trial.trial.name:30s}{budget} {trial.state}: {trial.reason}")
    if experiment.document.split.folds:
        known = plan.refit is not None and plan.refit.known is not None and not force
        why = "known" if known else "the best point on the rows of all folds"
        _line(say, "refit", known, why)
    _line(say, "evaluate", False, "the winner on the test rows, package, gate, registry")


def _asked(experiment: config.Experiment) -> str:
    """Return how many trials a search has whose data are not ready yet."""
    document = experiment.document
    each = document.search.repeats * (document.split.folds or 1)
    points = search.strategy_of(experiment).size
    most = "at most " if document.search.is_adaptive else ""
    return f"{most}{points * each} trials"


def _line(say: object, name: str, skip: bool, why: str) -> None:
    if callable(say):
        say(f"  {'skip' if skip else 'run '} {name:10s} {why}")


def _few(reasons: list[str]) -> str:
    shown = ", ".join(reasons[:2])
    return shown + (f" and {len(reasons) - 2} more" if len(reasons) > 2 else "")
