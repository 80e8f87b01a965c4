"""The end of a run in words: on the screen, the same as Markdown."""

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
    "The intervals of declared slices hold together (95 %), as do those of searched ones. A slice "
    "with a value on validation rows was found there for being bad: only its test value counts. "
    "*Worse* is said where the interval lies on the bad side of the value of all test rows."
)

TIME_WORDS = (
    "The parts follow one another and sum to the wall clock, up to this report. Those of the "
    "search are shares of its workers' time: in *tracing* they built models and traced them, in "
    "*training* they trained, in *waiting* they had nothing to do: they were starting, or no trial "
    "was left."
)

SHOWN_SHARE = 0.02
"""Of the whole time; a part that took less is not named on the screen."""


def show(run: Session, made: Finished) -> None:
    """The tables that end a run, on its screen."""
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
    """Where the time went, part after part; short ones are counted as the rest."""
    whole = sum(parts.values())
    shown = [part for part in parts.items() if part[0] != "rest" and part[1] >= whole * SHOWN_SHARE]
    rest = whole - sum(seconds for _, seconds in shown)
    words = ", ".join(f"{name} {seconds:.1f}" for name, seconds in (*shown, ("rest", rest)))
    return f"time  {whole:.1f} s: {words}"


def fold_lines(document: Document, searched: Searched) -> list[str]:
    """What the scores of several trainings a point are, and what became of the winner."""
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
    """What is to be known about the metrics: what is undefined, left out, and called by what."""
    lines = [f"{metric.name} is {metric.shown}" for metric in evaluation.metrics if metric.why]
    if evaluation.left_out:
        lines.append(evaluation.left_out)
    if (threshold := evaluation.threshold) is not None:
        lines.append(
            f"A row is called positive from {number(threshold.value)} on, "
            f"chosen on validation rows: {threshold.rule}."
        )
    return lines


def read_line(evaluation: FinalEvaluation) -> str:
    """How many candidates the test rows have had."""
    many = f"{evaluation.reads} candidates" if evaluation.reads > 1 else "one candidate"
    return f"these test rows have judged {many}, this one included"


def markdown(run: Session, made: Finished) -> str:
    """The report of a run."""
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
        blocks.append(Titled("Slices", [Text(SLICE_WORDS), slice_table(evaluation)]))
    title = f"{sum(times.values()):.1f} seconds"
    blocks.append(Titled(title, [Text(TIME_WORDS), time_table(times)]))
    return as_markdown(first, blocks)
