"""The end of a run in words: one table on the screen, the same as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from gristmill.flows.outcome import Outcome, decision_lines
from gristmill.flows.steps import OPTIMISTIC, Searched
from gristmill.pipelines.config import Document
from gristmill.pipelines.evaluation import Evaluation, lower_is_better
from gristmill.pipelines.registry import Registered
from gristmill.pipelines.reporting import Screen, markdown_table
from gristmill.pipelines.search import Point
from gristmill.pipelines.training import more_is_better

MOST_TRIALS = 8
MOST_SLICES = 8

SLICE_WORDS = (
    "The intervals of declared slices hold together (95 %), as do those of searched ones. A slice "
    "with a value on validation rows was found there for being bad: only its test value counts. "
    "*Worse* is said where the interval lies on the bad side of the value of all test rows."
)

TIME_WORDS = (
    "The parts follow one another and sum to the wall clock, up to this report. Those of the",
    "search are shares of its workers' time: in *tracing* they built models and traced them, in",
    "*training* they trained, in *waiting* they had nothing to do: they were starting, or no trial",
    "was left.",
)

SHOWN_SHARE = 0.02
"""Of the whole time; a part that took less is not named on the screen."""


def show(
    screen: Screen,
    searched: Searched,
    evaluation: Evaluation,
    registered: Registered,
    champion: Mapping[str, float],
) -> None:
    """The table that ends a run.

    Args:
        champion: its metrics on the same test rows; none where they are not known.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    rows = trial_rows(searched)
    for heading in rows[0]:
        table.add_column(heading, justify="left" if heading in ("trial", "") else "right")
    for row in rows[:MOST_TRIALS]:
        table.add_row(*(str(value) for value in row.values()))
    hidden = len(searched.points) - MOST_TRIALS
    if hidden > 0:
        table.add_row(f"… {hidden} more")
    screen.say("")
    screen.console.print(table)
    for line in [*fold_lines(searched), OPTIMISTIC]:
        screen.say(line)
    screen.say("")
    metrics = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    metrics.add_column(f"{evaluation.measured:,} test rows")
    for heading in ("value", "95 % interval", *["champion"] * bool(champion), "linear", "dummy"):
        metrics.add_column(heading, justify="right")
    for cells in metric_rows(evaluation, champion):
        metrics.add_row(*map(escape, cells))
    screen.console.print(metrics)
    for line in notes(evaluation):
        screen.say(line)
    screen.say(read_line(evaluation))
    if evaluation.slices:
        screen.say("")
        slices = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for heading in slice_heading(evaluation):
            slices.add_column(heading, justify="left" if heading == "slice" else "right")
        for cells in slice_rows(evaluation, MOST_SLICES):
            slices.add_row(*map(escape, cells))
        screen.console.print(slices)
    screen.say("")
    screen.say(time_line(screen.parts()))


def time_line(parts: Mapping[str, float]) -> str:
    """Where the time went, part after part; short ones are counted as the rest."""
    whole = sum(parts.values())
    shown = [part for part in parts.items() if part[0] != "rest" and part[1] >= whole * SHOWN_SHARE]
    rest = whole - sum(seconds for _, seconds in shown)
    words = ", ".join(f"{name} {seconds:.1f}" for name, seconds in (*shown, ("rest", rest)))
    return f"time  {whole:.1f} s: {words}"


def trial_rows(searched: Searched) -> list[dict[str, Any]]:
    """A row a point, the winner first, then those of the largest budget, the best first."""
    objective = _objective(searched)
    known = {plan.trial.point for plan in searched.plans}
    known -= {plan.trial.point for plan in searched.plans if not plan.known}
    sign = -1 if more_is_better(objective) else 1
    epochs = _document().model.library == "keras"

    def order(point: Point) -> tuple[bool, bool, int, float]:
        finished = point.result.status == "finished"
        score = sign * point.result.scores[objective] if finished else 0.0
        winner = point.trial.point == searched.point.trial.point
        return not winner, not finished, -point.trial.epochs, score

    ranked = sorted(searched.points, key=order)
    return [
        {
            "trial": point.trial.point,
            objective: point.shown(objective),
            **({"epochs": point.result.epochs} if epochs else {}),
            "seconds": f"{point.result.seconds:.1f}",
            "": "winner"
            if point.trial.point == searched.point.trial.point
            else ("known" if point.trial.point in known else ""),
        }
        for point in ranked
    ]


def fold_lines(searched: Searched) -> list[str]:
    """What the scores of several trainings a point are, and what became of the winner."""
    document = _document()
    folds, repeats = document.split.folds, document.search.repeats
    lines = []
    if folds or repeats > 1:
        over = [f"{folds} folds"] * bool(folds) + [f"{repeats} seeds"] * (repeats > 1)
        lines.append(f"Scores are means over {' and '.join(over)} ± their deviation.")
    if folds:
        long = f" for {searched.winner.epochs} epochs, the median of their best"
        long = long if document.model.library == "keras" else ""
        lines.append(f"The winner was then trained on the rows of all folds{long}.")
    elif repeats > 1:
        lines.append("The winner's weights are those of the file's own seed, the first repeat.")
    if searched.cut:
        lines.append(f"max_time {document.search.max_time} ended the search; more would be new.")
    return lines


def metric_rows(
    evaluation: Evaluation, champion: Mapping[str, float] | None = None
) -> list[tuple[str, ...]]:
    """A row a metric: value, interval, the champion's where it is known, the baselines' values."""
    rows = []
    for place, metric in enumerate(evaluation.metrics):
        interval = "" if metric.low is None else f"{metric.low:.4g} – {metric.high:.4g}"
        others = [champion.get(metric.name, math.nan)] if champion else []
        others += [evaluation.baselines[who][place].value for who in ("linear", "dummy")]
        told = ("" if math.isnan(value) else f"{value:.4g}" for value in others)
        value = "undefined" if metric.why else metric.shown
        rows.append((metric.name, value, interval, *told))
    return rows


def notes(evaluation: Evaluation) -> list[str]:
    """What is to be known about the metrics: what is undefined, left out, and called by what."""
    lines = [f"{metric.name} is {metric.shown}" for metric in evaluation.metrics if metric.why]
    if evaluation.left_out:
        lines.append(evaluation.left_out)
    if (threshold := evaluation.threshold) is not None:
        lines.append(
            f"A row is called positive from {threshold.value:.4g} on, chosen on validation rows: "
            f"{threshold.rule}."
        )
    return lines


def slice_heading(evaluation: Evaluation) -> tuple[str, ...]:
    return ("slice", "rows", evaluation.slices[0].metric.name, "interval", "validation", "")


def slice_rows(evaluation: Evaluation, most: int | None = None) -> list[tuple[str, ...]]:
    """A row a slice, as they are; of more than `most` those furthest on the wrong side."""
    slices = list(evaluation.slices)
    if most is not None and len(slices) > most:
        sign = -1 if lower_is_better(slices[0].metric.name) else 1
        slices = sorted(slices, key=lambda one: (not one.worse, sign * one.metric.value))[:most]
    rows: list[tuple[str, ...]] = []
    for one in slices:
        m = one.metric
        interval = "" if m.low is None else f"{m.low:.4g} – {m.high:.4g}"
        found = "" if one.validation is None else f"{one.validation:.4g}"
        verdict = "worse" if one.worse else ""
        rows.append((str(one), f"{one.rows:,}", f"{m.value:.4g}", interval, found, verdict))
    return rows


def read_line(evaluation: Evaluation) -> str:
    """How many candidates the test rows have had."""
    many = f"{evaluation.reads} candidates" if evaluation.reads > 1 else "one candidate"
    return f"these test rows have judged {many}, this one included"


def markdown(
    searched: Searched,
    evaluation: Evaluation,
    outcome: Outcome,
    warnings: Sequence[str] = (),
    times: Mapping[str, float] | None = None,
) -> str:
    """The report of a run."""
    first, *rest = decision_lines(outcome)
    trials = trial_rows(searched)
    lines = [f"# {first}", "", *(f"- {line.strip()}" for line in rest), ""]
    if warnings:
        lines += ["## Warnings", "", *(f"- {line}" for line in warnings), ""]
    lines += ["## Trials", ""]
    lines += markdown_table([*trials[0]], [[*row.values()] for row in trials])
    lines += [
        "",
        OPTIMISTIC,
        *fold_lines(searched),
        "",
        f"## {evaluation.measured:,} test rows",
        "",
        f"{read_line(evaluation)}.",
        "",
    ]
    heading = ["metric", "value", "95 % interval", "linear", "dummy"]
    lines += markdown_table(heading, metric_rows(evaluation))
    lines += ["", *(f"- {line}" for line in notes(evaluation))] if notes(evaluation) else []
    if evaluation.slices:
        lines += ["", "## Slices", "", SLICE_WORDS, ""]
        lines += markdown_table(slice_heading(evaluation), slice_rows(evaluation))
    if times:
        lines += ["", f"## {sum(times.values()):.1f} seconds", "", *TIME_WORDS, ""]
        rows = [[name, f"{seconds:.1f}"] for name, seconds in times.items()]
        lines += markdown_table(["part", "seconds"], rows)
    return "\n".join(lines) + "\n"


def _objective(searched: Searched) -> str:
    return _document().objective


def _document() -> Document:
    from gristmill.flows.session import current

    return current().experiment.document
