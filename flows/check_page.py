"""The result of a check of new rows: record, screen, page and table rows."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gristmill.pipelines.base import writing
from gristmill.pipelines.evaluation import Metric, MetricChange
from gristmill.pipelines.profiling import column_plots as plots
from gristmill.pipelines.profiling import comment
from gristmill.pipelines.reporting import (
    Block,
    Card,
    Facts,
    Figure,
    Html,
    Lines,
    Page,
    Screen,
    Table,
    Text,
    Titled,
    as_markdown,
    as_page,
    escaped,
    number,
    p_value,
)
from gristmill.pipelines.validation import Shift


@dataclass(frozen=True)
class Checked:
    """Comparison of new rows with those that a version was trained and tested on.

    Attributes:
        model: registered model.
        version: number of the version.
        file: name of the checked file, as given.
        digest: SHA-256 of its content.
        rows: number of rows in the file.
        before: number of rows of the data that the version was trained on.
        inputs: shift of each column, worst first.
        predictions: shifts of the predictions, compared with those for the test rows.
        labelled: number of rows with a target of a class known to the version.
        performance: each metric on the labelled rows and on the test rows; empty without labels.
        breaks: violations of the schema; listed, but not counted as drift.
        notes: remarks on the comparison.
    """

    model: str
    version: str
    file: str
    digest: str
    rows: int
    before: int
    inputs: tuple[Shift, ...]
    predictions: tuple[Shift, ...]
    labelled: int
    performance: tuple[MetricChange, ...]
    breaks: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def found(self) -> dict[str, list[str]]:
        """What has drifted: input columns, prediction columns, and metrics."""
        return {
            "inputs": [one.column for one in self.inputs if one.drifted],
            "predictions": [one.column for one in self.predictions if one.drifted],
            "performance": [one.now.name for one in self.performance if one.declined],
        }

    @property
    def drifted(self) -> bool:
        return any(self.found.values())

    @property
    def verdict(self) -> str:
        """The result in one line."""
        parts = []
        if names := self.found["inputs"]:
            parts.append(f"{len(names)} of {len(self.inputs)} columns")
        if self.found["predictions"]:
            parts.append("the predictions")
        if names := self.found["performance"]:
            parts.append("performance (" + ", ".join(names) + ")")
        return "drifted: " + ", ".join(parts) if parts else "no drift found"

    @property
    def heading(self) -> str:
        """A line that names the file and the version."""
        return (
            f"{self.file}, {self.rows:,} rows, against {self.model} version {self.version}, "
            f"trained on data of {self.before:,} rows"
        )

    def record(self) -> dict[str, Any]:
        """Return everything as JSON-compatible values; undefined numbers are None."""
        known: dict[str, Any] = _finite(asdict(self) | {"drifted": self.drifted})
        return known | {"found": self.found}


def _finite(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {key: _finite(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_finite(value) for value in tree]
    return None if isinstance(tree, float) and not math.isfinite(tree) else tree


SHOWN = 10
"""Maximum lines of a section on the screen; the page has more."""

CARDS = 60
"""Maximum number of columns drawn on the page, worst first; its table has all."""

COLUMNS = ("column", "PSI", "limit", "largest change")
METRICS = ("metric", "test rows", "new rows", "worse by", "p")

HOW = Html(
    "A column has drifted if its population stability index (PSI) is above 0.1, the smallest "
    "relevant difference, <i>and</i> above what chance explains at a level of 1 % over all "
    "columns. A metric is worse if it lost a point, or an error grew by a tenth, <i>and</i> chance "
    "does not explain it at a level of 1 % over all metrics; intervals are 95 %. Violations of the "
    "schema are not drift."
)


def show(made: Checked, page: str, *, as_json: bool = False) -> None:
    """Print the tables, or the record as JSON.

    Args:
        made: result of the check.
        page: path of its page.
        as_json: print the record alone.
    """
    screen = Screen()
    if as_json:
        record = json.dumps(made.record(), indent=1, sort_keys=True, ensure_ascii=False)
        screen.say(record, whole=True)
        return
    screen.show(Text(made.heading))
    _show(screen, "inputs", made.inputs)
    _show(screen, "predictions", made.predictions)
    if made.performance:
        screen.say(f"\nperformance on {made.labelled:,} rows", "bold")
        screen.show(metric_table(made))
    for title, lines in (("schema violations (not drift)", made.breaks), ("", made.notes)):
        if lines:
            screen.say(f"\n{title}".rstrip(), "bold")
        for line in lines[:SHOWN]:
            screen.show(Text(f"  ! {line}"))
        if len(lines) > SHOWN:
            screen.say(f"  … and {len(lines) - SHOWN} more")
    screen.say("")
    screen.say(made.verdict, "bold")
    screen.say(f"full report: {page}", whole=True)


def _show(screen: Screen, title: str, found: Sequence[Shift]) -> None:
    """Print the drifted columns, worst first; the worst one alone if none has drifted."""
    if not found:
        return
    bad = [one for one in found if one.drifted]
    screen.say(f"\n{title}: {len(bad)} of {len(found)} columns drifted", "bold")
    screen.show(replace(shift_table(bad or found[:1]), marked=()).first(SHOWN, ""))
    if len(bad) > SHOWN:
        screen.say(f"  … and {len(bad) - SHOWN} more")


def shift_table(found: Sequence[Shift]) -> Table:
    """Return a table with a row per column; drifted ones are marked."""
    marked = [place for place, one in enumerate(found) if one.drifted]
    return Table(COLUMNS, [*map(cells, found)], ("PSI", "limit"), marked=marked)


def metric_table(made: Checked) -> Table:
    """Return a table with a row per metric; declined ones are marked."""
    marked = [place for place, one in enumerate(made.performance) if one.declined]
    return Table(METRICS, [*map(_cells, made.performance)], ("worse by", "p"), marked=marked)


def cells(one: Shift) -> tuple[str, str, str, str]:
    """Return the cells of a column, in the order of `COLUMNS`."""
    return comment(one.column), f"{one.psi:.2g}", f"{one.bound:.2g}", one.change


def _cells(one: MetricChange) -> tuple[str, str, str, str, str]:
    return one.now.name, _value(one.test), _value(one.now), number(one.worse, 2), p_value(one.p)


def _value(metric: Metric) -> str:
    """Return a metric with its interval, or "not defined"."""
    return "not defined" if metric.value != metric.value else str(metric)


def table_rows(made: Checked) -> list[dict[str, str]]:
    """Return everything as rows of one table, drifted ones first."""
    rows = [
        {"of": of, "name": one.column, "drifted": _yes(one.drifted), "now": f"PSI {one.psi:.3g}",
         "then": f"limit {one.bound:.3g}", "about": one.change}
        for of, found in (("inputs", made.inputs), ("predictions", made.predictions))
        for one in found
    ]  # fmt: skip
    rows += [
        {"of": "performance", "name": one.now.name, "drifted": _yes(one.declined),
         "now": _value(one.now), "then": _value(one.test),
         "about": f"worse by {number(one.worse, 2)}"}
        for one in made.performance
    ]  # fmt: skip
    return sorted(rows, key=lambda row: row["drifted"] != "yes")


def _yes(holds: bool) -> str:
    return "yes" if holds else ""


def markdown(made: Checked) -> str:
    """Return the result as Markdown, for Prefect."""
    verdict = Text(f"**{escaped(made.verdict)}**", markdown=True)
    lines = (*made.breaks[:SHOWN], *made.notes)
    return as_markdown("", [verdict, Text(made.heading), Lines(lines, len(lines))])


def write_page(file: Path, made: Checked) -> None:
    """Write the check as an HTML page."""
    drawn = [one for one in made.inputs if one.drifted] or made.inputs[:3]
    blocks: list[Block] = [
        Text(made.heading),
        Text(made.verdict, "verdict" + " bad" * made.drifted),
        Titled("Schema violations (not drift)", [Lines([*map(comment, made.breaks)])]),
        Titled("Notes", [Lines([*map(comment, made.notes)])]),
        Titled(f"Performance on {made.labelled:,} rows", [named(metric_table(made))]),
        Titled("Predictions", [_legend("test rows", "new rows"), *map(_card, made.predictions)]),
    ]
    if made.inputs:
        shown = [_legend("training data", "new rows"), *map(_card, drawn[:CARDS])]
        blocks.append(Titled("Columns, worst first", shown))
        blocks.append(Titled("All columns", [named(shift_table(made.inputs))]))
    heading = f"{made.model} version {made.version}: check"
    page = Page(f"{made.model}: check", heading, [*blocks, Text(HOW, "note")])
    with writing(file) as aside:
        aside.write_text(as_page(page), encoding="utf-8")


def named(table: Table) -> Table:
    """Return the table with a style that does not wrap names."""
    return replace(table, style="names", numbers=())


def _legend(before: str, now: str) -> Text:
    return Text(plots.legend((before, now)))


def _card(one: Shift) -> Card:
    bars = plots.pairs([(_short(label), before, now) for label, before, now in one.bins])
    facts = {"PSI": f"{one.psi:.3g}", "limit": f"{one.bound:.3g}", "change": one.change}
    kind, style = ("drifted", "pair bad") if one.drifted else ("no drift", "pair out")
    return Card(comment(one.column), kind, [Facts(facts)], [Figure(bars)], style)


def _short(label: str) -> str:
    """Shorten the label of a bin; ordered bins of numbers need only their upper end."""
    label = re.sub(r"^(above \S+ )?up to (\S+)$", r"≤ \2", comment(label))
    return re.sub(r"^above (\S+)$", r"> \1", label)
