"""The report of a run as one page: the decision first, then all that it stands on."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from html import escape

from gristmill.flows.outcome import DONE, decision_lines
from gristmill.flows.page.charts import figures, legend, metric_chart
from gristmill.flows.page.evidence import evidence_of, interval, number, words
from gristmill.flows.page.facts import RunFacts
from gristmill.pipelines.evaluation import Evaluation, Metric, lower_is_better
from gristmill.pipelines.reporting import Html, html_facts, html_list, html_page, html_table
from gristmill.pipelines.tracking import tags as names

MOST_ROWS = 100
"""Lines of a table or a list; MLflow has the rest."""

LONGEST_FILE = 20_000
"""Characters of the experiment file that are shown."""

STYLE = """
.verdict{display:inline-block;border:2px solid;border-radius:6px;padding:.05rem .7rem;
 font-weight:600;margin:0 0 .5rem}.promote{color:var(--good)}
 .hold,.challenger{color:var(--wait)}
.reject{color:var(--bad)}nav{font-size:.87rem;margin:.8rem 0 0}nav a{margin-right:.9rem}
.why{font-size:1.05rem}dl{font-size:.9rem}.warned{border-left:3px solid var(--bad);
 padding-left:.8rem}
pre{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:.7rem .9rem;
 font-size:.82rem;white-space:pre-wrap;overflow-wrap:anywhere}
figure{margin:0 0 1.6rem;break-inside:avoid}figure img{height:auto;background:#fff;
 border-radius:4px;display:block}figcaption{font-size:.87rem;margin-top:.2rem}
.short table{width:auto;min-width:16rem}
@media print{nav{display:none}figure img{max-height:11.5cm;width:auto}}
"""

TIME_WORDS = (
    "The parts follow one another and sum to the wall clock, up to this page. Those of the search "
    "(tracing, training, waiting) are shares of its workers' time."
)

MARKS = {"promote": "✓", "challenger": "?", "hold": "=", "reject": "✗"}


def page(facts: RunFacts) -> str:
    """The page as HTML; all that it shows is inside of it."""
    outcome = facts.outcome
    first, *lines = decision_lines(outcome)
    sections = {
        "Why": _why(facts, lines[len(outcome.reasons) :]),
        "Data": _data(facts),
        "Trials": _trials(facts),
        "Test rows": _metrics(facts),
        "Slices": _slices(facts.evaluation),
        "Package": _package(facts.package),
        "Pictures": figures(facts.pictures),
        "How to get it again": _again(facts),
        "Time": _times(facts.times),
        "Experiment file": _file(facts.file),
    }
    shown = {title: body for title, body in sections.items() if body}
    links = "".join(f'<a href="#{_anchor(title)}">{title}</a>' for title in shown)
    about = filter(None, [facts.description, f"run {facts.run_id[:8]}", facts.began])
    parts = [
        f'<header><p class="verdict {outcome.decision}">{MARKS[outcome.decision]} '
        f"{DONE[outcome.decision]}</p>\n<h1>{escape(first)}</h1>\n"
        f'<p class="note">{escape(" · ".join(about))}</p>\n<nav>{links}</nav></header>\n<main>',
        *(
            f'<section id="{_anchor(title)}"><h2>{title}</h2>\n{body}\n</section>'
            for title, body in shown.items()
        ),
        "</main>",
    ]
    title = f"{outcome.experiment} version {outcome.version}: {DONE[outcome.decision]}"
    return html_page(title, "\n".join(parts), STYLE, {"run": facts.run_id})


def _why(facts: RunFacts, following: Sequence[str]) -> str:
    said = "<br>".join(escape(line.strip()) for line in following)
    return (
        f'<div class="why">{html_list(facts.outcome.reasons, MOST_ROWS)}</div>\n'
        f"{evidence_of(facts.evidence)}\n<p>{said}</p>"
    )


def _data(facts: RunFacts) -> str:
    data = facts.data
    rows = ", ".join(f"{count:,} {role}" for role, count in data.rows.items())
    said = {
        "version": Html(f"<code>{escape(data.digest)}</code> (DVC's hash)"),
        "source": data.source,
        "rows": f"{sum(data.rows.values()):,}: {rows}",
        "changes": data.since,
        "drift": data.drift,
    }
    parts = [html_facts(said)]
    if facts.warnings:
        parts.append(f'<h3>Warnings</h3>\n<div class="warned">{html_list(facts.warnings)}</div>')
    else:
        parts.append("<p>No warnings of validation, leaks or drift.</p>")
    return "\n".join(parts)


def _trials(facts: RunFacts) -> str:
    if not facts.trials.rows:
        return ""
    rows = facts.trials.rows[:MOST_ROWS]
    hidden = len(facts.trials.rows) - len(rows)
    more = [f"{hidden:,} more are in MLflow."] if hidden else []
    settings = html_facts({name: str(value) for name, value in facts.settings.items()})
    return "\n".join(
        [
            html_table(facts.trials.heading, rows, facts.trials.numbers),
            *(f"<p>{escape(line)}</p>" for line in [*more, *facts.about_trials]),
            f"<h3>The winner's settings</h3>\n{settings}" if settings else "",
        ]
    )


def _metrics(facts: RunFacts) -> str:
    evaluation = facts.evaluation
    others: dict[str, Mapping[str, float]] = {
        str(name): {metric.name: metric.value for metric in metrics}
        for name, metrics in evaluation.baselines.items()
    }
    if facts.champion_metrics:
        others.setdefault("champion", facts.champion_metrics)
    order = sorted(others, key=lambda name: (name == "dummy", name != "champion"))
    rows = [
        (
            metric.name,
            _value(metric),
            interval(metric.low, metric.high),
            *(number(others[name].get(metric.name)) for name in order),
            metric_chart(
                metric,
                others.get("linear", {}).get(metric.name),
                others.get("champion", {}).get(metric.name),
            ),
        )
        for metric in evaluation.metrics
    ]
    headings = ("metric", "value", "95 % interval", *order, "")
    lower = [metric.name for metric in evaluation.metrics if lower_is_better(metric.name)]
    reads = evaluation.reads
    said = [
        f"On {evaluation.measured:,} test rows, used for neither training nor choosing.",
        f"{evaluation.left_out}." if evaluation.left_out else "",
        f"Candidates that these test rows have had: {reads:,}." if reads else "",
        f"The champion is version {facts.champion}." if "champion" in others else "",
        f"Lower is better: {', '.join(lower)}." if lower else "",
    ]
    return "\n".join(
        [
            html_table(headings, rows, headings[1:-1]),
            legend(others),
            f"<p>{escape(' '.join(filter(None, said)))}</p>",
            _called(evaluation),
        ]
    )


def _value(metric: Metric) -> str:
    """A metric that is not defined says so."""
    if metric.value is None or not math.isfinite(metric.value):
        return metric.why or "not defined"
    return number(metric.value)


def _called(evaluation: Evaluation) -> str:
    """How far probabilities can be believed, and how a class is called by them."""
    calibration = evaluation.calibration
    threshold = evaluation.threshold
    lines = []
    if calibration is not None:
        of = f" of the class {calibration.of}" if calibration.of else ""
        error = calibration.ece
        ends = interval(error.low, error.high)
        between = f", 95 % interval {ends}" if ends else ""
        lines.append(
            f"The probabilities{of} are off by {number(error.value)} in the mean (expected "
            f"calibration error{between})."
        )
    if threshold is not None:
        short = "" if threshold.reached else ", which was not reached"
        lines.append(
            f"A row is called positive from a probability of {number(threshold.value)} on "
            f"({threshold.rule}{short}), as chosen on the validation rows."
        )
    return "\n".join(f"<p>{escape(line)}</p>" for line in lines)


def _slices(evaluation: Evaluation) -> str:
    """Parts of the test rows, the declared ones first."""
    slices = evaluation.slices
    if not slices:
        return ""
    rows = [
        (
            str(one),
            f"{one.rows:,}",
            words(one.metric.name),
            _value(one.metric),
            interval(one.metric.low, one.metric.high),
            number(one.overall),
            number(one.validation),
            "✗ yes" if one.worse else "no",
        )
        for one in slices
    ]
    heads = (
        *("slice", "rows", "metric", "value", "interval", "all rows"),
        *("on validation rows", "shown to be worse"),
    )
    searched = any(one.validation is not None for one in slices)
    about = "The intervals hold for all slices together."
    more = " Those with a value on validation rows were the worst there." if searched else ""
    shown = html_table(heads, rows[:MOST_ROWS], (heads[1], *heads[3:7]))
    return f'{shown}\n<p class="note">{about}{more}</p>'


def _package(measured: Mapping[str, float]) -> str:
    """What it takes to serve."""
    units = {"start_seconds": "s", "latency_ms": "ms", "megabytes": "MB"}
    called = {"start_seconds": "start", "latency_ms": "one row", "megabytes": "size"}
    return html_facts(
        {
            called.get(name, words(name)): f"{number(value)} {units.get(name, '')}".strip()
            for name, value in measured.items()
        }
    )


def _again(facts: RunFacts) -> str:
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
    said = {
        "commit": commit + (" and changes that no commit has" if dirty else ""),
        "data": facts.data.digest,
        "environment": ", ".join(f"{what} {version}" for what, version in versions.items()),
        "machine": " ".join(tags.get(f"gristmill.{t}", "") for t in ("device", "instructions")),
        "seed": str(kept.get("training.seed", "")),
        "threads": str(kept.get("training.threads", "")),
        "split": f"the cuts of experiments/{name}.split.json",
        "not repeatable": tags.get(names.NOT_REPEATABLE, ""),
    }
    return f"<pre><code>{escape(chr(10).join(lines))}</code></pre>\n{html_facts(said)}"


def _times(times: Mapping[str, float]) -> str:
    if not times:
        return ""
    rows = [(part, f"{seconds:.1f}") for part, seconds in times.items()]
    rows.append(("all", f"{sum(times.values()):.1f}"))
    shown = html_table(("part", "seconds"), rows, ("seconds",))
    return f'<div class="short">{shown}</div>\n<p class="note">{escape(TIME_WORDS)}</p>'


def _file(text: str) -> str:
    if not text:
        return ""
    cut = "\n…" if len(text) > LONGEST_FILE else ""
    return f"<pre><code>{escape(text[:LONGEST_FILE])}{cut}</code></pre>"


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")
