"""The report of a run as an HTML page: first the decision, then its evidence."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace

from gristmill.flows.outcome import DONE, decision_lines
from gristmill.flows.page.charts import figures, legend, metric_chart
from gristmill.flows.page.evidence import evidence_of
from gristmill.flows.page.facts import RunFacts
from gristmill.flows.page.report import read_line
from gristmill.flows.page.tables import (
    cell,
    interval,
    metric_table,
    slice_table,
    time_table,
    words,
)
from gristmill.pipelines.evaluation import FinalEvaluation, lower_is_better
from gristmill.pipelines.reporting import (
    Block,
    Code,
    Facts,
    Html,
    Lines,
    Page,
    Text,
    Titled,
    as_page,
)
from gristmill.pipelines.tracking import tags as names

MOST_ROWS = 100
"""Maximum rows of a table or list; MLflow has the rest."""

LONGEST_FILE = 20_000
"""Maximum characters shown of the experiment file."""

TIME_WORDS = (
    "The parts are consecutive and sum to the wall time up to this page. Those of the search "
    "(tracing, training, waiting) are shares of its workers' time."
)

MARKS = {"promote": "✓", "challenger": "?", "hold": "=", "reject": "✗"}


def page(facts: RunFacts) -> str:
    """Return the page as HTML without external resources."""
    outcome = facts.outcome
    first, *lines = decision_lines(outcome)
    sections: dict[str, list[Block]] = {
        "Why": _why(facts, lines[len(outcome.reasons) :]),
        "Data": _data(facts),
        "Trials": _trials(facts),
        "Test rows": _metrics(facts),
        "Slices": _slices(facts.evaluation),
        "Package": [_package(facts.package)],
        "Pictures": figures(facts.pictures),
        "How to reproduce it": _again(facts),
        "Time": _times(facts.times),
        "Experiment file": [_file(facts.file)],
    }
    about = filter(None, [facts.description, f"run {facts.run_id[:8]}", facts.began])
    return as_page(
        Page(
            f"{outcome.experiment} version {outcome.version}: {DONE[outcome.decision]}",
            first,
            [Titled(title, blocks) for title, blocks in sections.items()],
            (outcome.decision, f"{MARKS[outcome.decision]} {DONE[outcome.decision]}"),
            " · ".join(about),
            {"run": facts.run_id},
            linked=True,
        )
    )


def _why(facts: RunFacts, following: Sequence[str]) -> list[Block]:
    commands = Html("<br>").join(line.strip() for line in following)
    reasons = Lines(facts.outcome.reasons, MOST_ROWS, "why")
    return [reasons, *evidence_of(facts.evidence), Text(commands)]


def _data(facts: RunFacts) -> list[Block]:
    data = facts.data
    rows = ", ".join(f"{count:,} {role}" for role, count in data.rows.items())
    shown = {
        "version": Html("<code>{}</code> (DVC's hash)").format(data.digest),
        "source": data.source,
        "rows": f"{sum(data.rows.values()):,}: {rows}",
        "changes": data.since,
        "drift": data.drift,
    }
    none = Text("No warnings about validation, leaks or drift." * (not facts.warnings))
    return [Facts(shown), Titled("Warnings", [Lines(facts.warnings, style="warned")]), none]


def _trials(facts: RunFacts) -> list[Block]:
    if not facts.trials.rows:
        return []
    hidden = len(facts.trials.rows) - MOST_ROWS
    more = [f"{hidden:,} more are in MLflow."] * (hidden > 0)
    settings = {name: str(value) for name, value in facts.settings.items()}
    return [
        facts.trials.first(MOST_ROWS, ""),
        *(Text(line) for line in [*more, *facts.about_trials]),
        Titled("The winner's settings", [Facts(settings)]),
    ]


def _metrics(facts: RunFacts) -> list[Block]:
    evaluation = facts.evaluation
    table = metric_table(evaluation, facts.champion_metrics)
    linear = {metric.name: metric.value for metric in evaluation.baselines.get("linear", ())}
    charts = [
        metric_chart(metric, linear.get(metric.name), facts.champion_metrics.get(metric.name))
        for metric in evaluation.metrics
    ]
    lower = [metric.name for metric in evaluation.metrics if lower_is_better(metric.name)]
    notes = [
        f"On {evaluation.measured:,} test rows, used for neither training nor model selection.",
        f"{evaluation.left_out}." if evaluation.left_out else "",
        f"{read_line(evaluation).capitalize()}." if evaluation.reads else "",
        f"The champion is version {facts.champion}." if facts.champion_metrics else "",
        f"Lower is better: {', '.join(lower)}." if lower else "",
        *(f"{metric.name} is {metric.shown}." for metric in evaluation.metrics if metric.why),
    ]
    return [
        table.beside("", charts),
        legend(table.heading),
        Text(" ".join(filter(None, notes))),
        *_called(evaluation),
    ]


def _called(evaluation: FinalEvaluation) -> list[Block]:
    """Describe the calibration of the probabilities, and the threshold of the positive class."""
    calibration, threshold = evaluation.calibration, evaluation.threshold
    lines = []
    if calibration is not None:
        of = f" of the class {calibration.of}" if calibration.of else ""
        error = calibration.ece
        ends = interval(error.low, error.high)
        between = f", 95 % interval {ends}" if ends else ""
        lines.append(
            f"The probabilities{of} are off by {cell(error.value)} on average (expected "
            f"calibration error{between})."
        )
    if threshold is not None:
        short = "" if threshold.reached else ", not reached"
        lines.append(
            f"A row is classified as positive if its probability is at least "
            f"{cell(threshold.value)} ({threshold.rule}{short}; chosen on the validation rows)."
        )
    return [Text(line) for line in lines]


def _slices(evaluation: FinalEvaluation) -> list[Block]:
    """Return the slices of the test rows, declared ones first."""
    if not evaluation.slices:
        return []
    searched = any(one.validation is not None for one in evaluation.slices)
    about = "The intervals hold simultaneously for all slices."
    more = " Slices with a value on validation rows were the worst ones there." if searched else ""
    return [slice_table(evaluation).first(MOST_ROWS, ""), Text(about + more, "note")]


def _package(measured: Mapping[str, float]) -> Facts:
    """Return the measured costs of serving."""
    units = {"start_seconds": "s", "latency_ms": "ms", "megabytes": "MB"}
    called = {"start_seconds": "start", "latency_ms": "one row", "megabytes": "size"}
    return Facts(
        {
            called.get(name, words(name)): f"{cell(value)} {units.get(name, '')}".strip()
            for name, value in measured.items()
        }
    )


def _again(facts: RunFacts) -> list[Block]:
    outcome, tags = facts.outcome, facts.tags
    name, commit = outcome.experiment, tags.get("mlflow.source.git.commit", "")
    overrides = "".join(
        f" -P {shlex.quote(f'{key}={value}')}" for key, value in facts.overrides.items()
    )
    dirty = tags.get("gristmill.git.dirty") == "true"
    commands = [
        "# bit for bit, in a temporary working tree",
        f"gristmill reproduce {name}@{outcome.version}",
        "",
        "# or by hand",
        f"git checkout {commit}" if commit else "",
        "git apply changes.diff    # from lineage/ of the run's artifacts" if dirty else "",
        f"gristmill data use {name} {facts.data.digest.removesuffix('.dir')}",
        f"gristmill run {name}{overrides} --force",
    ]
    lines = [line for place, line in enumerate(commands) if line or place == 2]
    versions = {
        tag.removeprefix("version."): value
        for tag, value in tags.items()
        if tag.startswith("version.")
    }
    kept = facts.settings
    origin = {
        "commit": commit + (" and uncommitted changes" if dirty else ""),
        "data": facts.data.digest,
        "environment": ", ".join(f"{what} {version}" for what, version in versions.items()),
        "machine": " ".join(tags.get(f"gristmill.{t}", "") for t in ("device", "instructions")),
        "seed": str(kept.get("training.seed", "")),
        "threads": str(kept.get("training.threads", "")),
        "split": f"the cuts of experiments/{name}.split.json",
        "not repeatable": tags.get(names.NOT_REPEATABLE, ""),
    }
    return [Code("\n".join(lines)), Facts(origin)]


def _times(times: Mapping[str, float]) -> list[Block]:
    if not times:
        return []
    return [replace(time_table(times), style="short"), Text(TIME_WORDS, "note")]


def _file(text: str) -> Code:
    return Code(text[:LONGEST_FILE] + "\n…" * (len(text) > LONGEST_FILE))
