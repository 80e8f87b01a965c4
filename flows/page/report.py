"""The report of a run, on the screen and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping

from gristmill.flows.outcome import decision_lines
from gristmill.flows.page.tables import metric_table, slice_table, time_table, trial_table
from gristmill.flows.results import OPTIMISTIC, Finished, Searched
from gristmill.flows.session import Session
from gristmill.pipelines.config import Document
from gristmill.pipelines.evaluation import FinalEvaluation
from gristmill.pipelines.reporting import Block, Lines, Text, Titled, as_markdown, number

MOST_TRIALS = 8
MOST_SLICES = 8

SLICE_WORDS = (
    "The intervals hold simultaneously (95 %), separately for declared and searched slices. A "
    "slice with a value on validation rows was selected there as bad: only its test value counts. "
    "*Worse* means that the interval is entirely on the bad side of the value of all test rows."
)

TIME_WORDS = (
    "The parts are consecutive and sum to the wall time up to this report. Those of the search are "
    "shares of its workers' time: *tracing* is building and tracing models, *training* is the fit, "
    "and *waiting* is idle time: workers were starting, or no trial was left."
)

SHOWN_SHARE = 0.02
"""Minimum share of the whole time for a part to be named on the screen."""


def show(run: Session, made: Finished) -> None:
    """Print the tables at the end of a run."""
    searched, evaluation = made.searched, made.evaluation
    document, screen = run.experiment.document, run.screen
    slices = slice_table(evaluation, MOST_SLICES).without("all rows")
    shown: list[str | Block] = [
        "",
        trial_table(document, searched).first(MOST_TRIALS),
        *fold_lines(document, searched),
        *(OPTIMISTIC, "", f"{evaluation.measured:,} test rows"),
        metric_table(evaluation, made.champion),
        *notes(evaluation),
        read_line(evaluation),
    ]
    if slices.rows:
        shown += ["", slices]
    shown += ["", time_line(screen.parts())]
    for part in shown:
        if isinstance(part, str):
            screen.say(part)
        else:
            screen.show(part)


def time_line(parts: Mapping[str, float]) -> str:
    """Return the time by part; short parts are summed as the rest."""
    whole = sum(parts.values())
    shown = [part for part in parts.items() if part[0] != "rest" and part[1] >= whole * SHOWN_SHARE]
    rest = whole - sum(seconds for _, seconds in shown)
    words = ", ".join(f"{name} {seconds:.1f}" for name, seconds in (*shown, ("rest", rest)))
    return f"time  {whole:.1f} s: {words}"


def fold_lines(document: Document, searched: Searched) -> list[str]:
    """Explain scores over folds and repeats, and the final training of the winner."""
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
    if searched.asked.cut:
        lines.append(f"max_time {document.search.max_time} ended the search; more would be new.")
    return lines


def notes(evaluation: FinalEvaluation) -> list[str]:
    """Return remarks on the metrics: undefined values, rows left out, the threshold."""
    lines = [f"{metric.name} is {metric.shown}" for metric in evaluation.metrics if metric.why]
    if evaluation.left_out:
        lines.append(evaluation.left_out)
    if (threshold := evaluation.threshold) is not None:
        lines.append(
            f"A row is classified as positive from {number(threshold.value)} on, "
            f"chosen on validation rows: {threshold.rule}."
        )
    return lines


def read_line(evaluation: FinalEvaluation) -> str:
    """Return how many candidates the test rows have judged."""
    many = f"{evaluation.reads} candidates" if evaluation.reads > 1 else "one candidate"
    return f"these test rows have been used to judge {many}, including this one"


def markdown(run: Session, made: Finished) -> str:
    """Return the report of a run as Markdown."""
    searched, evaluation, times = made.searched, made.evaluation, made.times
    document = run.experiment.document
    first, *rest = decision_lines(made.outcome)
    about = [Text(line) for line in (OPTIMISTIC, *fold_lines(document, searched))]
    blocks: list[Block] = [
        Lines([line.strip() for line in rest]),
        Titled("Warnings", [Lines(run.warnings, len(run.warnings))]),
        Titled("Trials", [trial_table(document, searched), *about]),
        Titled(
            f"{evaluation.measured:,} test rows",
            [Text(f"{read_line(evaluation)}."), metric_table(evaluation), Lines(notes(evaluation))],
        ),
    ]
    if evaluation.slices:
        blocks.append(Titled("Slices", [Text(SLICE_WORDS, markdown=True), slice_table(evaluation)]))
    title = f"{sum(times.values()):.1f} seconds"
    blocks.append(Titled(title, [Text(TIME_WORDS, markdown=True), time_table(times)]))
    return as_markdown(first, blocks)
