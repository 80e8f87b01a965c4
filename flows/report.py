"""The end of a run in words: one table on the screen, the same as Markdown."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from flows.outcome import Outcome, decision_lines
from flows.screen import Screen
from flows.steps import Searched
from pipelines.evaluation import Evaluation
from pipelines.registry import Registered

MOST_TRIALS = 8


def show(
    screen: Screen, searched: Searched, evaluation: Evaluation, registered: Registered
) -> None:
    """The table that ends a run."""
    objective = _objective(searched)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for heading in ("trial", objective, "epochs", "seconds", ""):
        table.add_column(heading, justify="left" if heading in ("trial", "") else "right")
    for row in trial_rows(searched)[:MOST_TRIALS]:
        table.add_row(*(str(value) for value in row.values()))
    hidden = len(searched.points) - MOST_TRIALS
    if hidden > 0:
        table.add_row(f"… {hidden} more", "", "", "", "")
    screen.say("")
    screen.console.print(table)
    for line in fold_lines(searched):
        screen.say(line)
    screen.say("")
    metrics = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    metrics.add_column(f"{evaluation.measured:,} test rows")
    for heading in ("value", "95 % interval", "linear", "dummy"):
        metrics.add_column(heading, justify="right")
    for cells in metric_rows(evaluation):
        metrics.add_row(*cells)
    screen.console.print(metrics)
    if evaluation.left_out:
        screen.say(evaluation.left_out)
    screen.say("")
    screen.say(time_line(screen.times, time.monotonic() - screen.began))


def time_line(times: Mapping[str, float], whole: float) -> str:
    """Where the time went: the longest parts, and what is left of the whole."""
    longest = sorted(times.items(), key=lambda part: -part[1])[:5]
    rest = whole - sum(seconds for _, seconds in longest)
    parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in longest)
    return f"time  {whole:.1f} s: {parts}, rest {rest:.1f}"


def trial_rows(searched: Searched) -> list[dict[str, Any]]:
    """A row a point of the grid, the winner first."""
    objective = _objective(searched)
    known = {plan.trial.point for plan in searched.plans}
    known -= {plan.trial.point for plan in searched.plans if not plan.known}
    ranked = sorted(
        searched.points,
        key=lambda p: (p.result.key != searched.point.result.key, p.result.status != "finished"),
    )
    return [
        {
            "trial": point.trial.point,
            objective: point.shown(objective),
            "epochs": point.result.epochs,
            "seconds": f"{point.result.seconds:.1f}",
            "": "winner"
            if point.result.key == searched.point.result.key
            else ("known" if point.trial.point in known else ""),
        }
        for point in ranked
    ]


def fold_lines(searched: Searched) -> list[str]:
    """What the scores are with folds, and what became of the winner; nothing without."""
    if searched.point.refit is None:
        return []
    folds = len(searched.plans) // len(searched.points)
    return [
        f"Scores are means over {folds} folds ± their deviation; the winner was then trained on "
        f"the rows of all folds for {searched.winner.epochs} epochs, the median of their best."
    ]


def metric_rows(evaluation: Evaluation) -> list[tuple[str, ...]]:
    """A row a metric: value, interval, the baselines' values."""
    rows = []
    for place, metric in enumerate(evaluation.metrics):
        interval = "" if metric.low is None else f"{metric.low:.4g} – {metric.high:.4g}"
        others = (f"{evaluation.baselines[who][place].value:.4g}" for who in ("linear", "dummy"))
        rows.append((metric.name, f"{metric.value:.4g}", interval, *others))
    return rows


def markdown(
    searched: Searched, evaluation: Evaluation, outcome: Outcome, warnings: Sequence[str] = ()
) -> str:
    """The report of a run."""
    first, *rest = decision_lines(outcome)
    trials = trial_rows(searched)
    lines = [f"# {first}", "", *(f"- {line.strip()}" for line in rest), ""]
    if warnings:
        lines += ["## Warnings", "", *(f"- {line}" for line in warnings), ""]
    lines += ["## Trials", ""]
    lines += _markdown_table([*trials[0]], [[*row.values()] for row in trials])
    lines += [
        "",
        "The validation score chose the winner, so it flatters it; report the test metrics.",
        *fold_lines(searched),
        "",
        f"## {evaluation.measured:,} test rows",
        "",
        *([f"{evaluation.left_out}.", ""] if evaluation.left_out else []),
    ]
    heading = ["metric", "value", "95 % interval", "linear", "dummy"]
    return "\n".join(lines + _markdown_table(heading, metric_rows(evaluation))) + "\n"


def _markdown_table(heading: list[str], rows: Any) -> list[str]:
    lines = ["| " + " | ".join(heading) + " |", "|" + " --- |" * len(heading)]
    return lines + ["| " + " | ".join(str(value) for value in row) + " |" for row in rows]


def _objective(searched: Searched) -> str:
    from flows.session import current

    return current().experiment.document.objective
