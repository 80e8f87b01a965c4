"""The profile as one self-contained page without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from gristmill.pipelines.base import writing
from gristmill.pipelines.profiling import column_plots as plots
from gristmill.pipelines.profiling.assumptions import NEARLY, Assumption
from gristmill.pipelines.profiling.contact_sheet import contact_sheet
from gristmill.pipelines.profiling.relation import Goal
from gristmill.pipelines.profiling.table_profile import (
    ColumnProfile,
    Sample,
    TableProfile,
    Task,
    in_words,
    read_goal,
)
from gristmill.pipelines.profiling.target_relation import against
from gristmill.pipelines.profiling.yaml_text import comment, short, writer
from gristmill.pipelines.reporting import (
    Block,
    Card,
    Facts,
    Figure,
    Html,
    Lines,
    Page,
    Table,
    Text,
    Titled,
    as_page,
    meta,
)

CARDS = 60
"""Columns that are drawn, those most related to the target; the table contains all."""

BARS = 8
"""Largest number of levels that are drawn."""

HOW = Html(
    "<b>predicts</b>: how well the column alone predicts the target, from 0 (not at all) to 1 "
    "(perfectly). For classes it is 2·AUC − 1 of the class that is predicted best, for a number "
    "|Spearman’s ρ|; the levels of a text are ranked on one half of the rows and evaluated on the "
    "other. Counts, missing values and ranges are of all rows; relations and plots of at most "
    "20,000."
)


@dataclass(frozen=True)
class Profiled:
    """The content of a profile page.

    Attributes:
        name: name of the experiment.
        table: the profiled Parquet file, which is read again for the plots.
        profile: profile of the table.
        target: name of the target column.
        task: task of the experiment.
        assumptions: use of each column.
        digest: hash of the data, returned by `page_digest`.
    """

    name: str
    table: Path
    profile: TableProfile
    target: str
    task: Task
    assumptions: Sequence[Assumption]
    digest: str = ""

    @cached_property
    def sample(self) -> Sample:
        return Sample(self.table)

    @cached_property
    def goal(self) -> Goal:
        return read_goal(self.sample, self.target, self.task)

    @cached_property
    def assumed(self) -> dict[str, Assumption]:
        return {one.name: one for one in self.assumptions}


def write_page(file: Path, of: Profiled) -> None:
    """Write the page as HTML."""
    profile, target = of.profile, comment(of.target)
    drawn = [c for c in _ranked(profile) if c.name != of.target][:CARDS]
    about = Html("{:,} rows × {} columns; {} of <b>{}</b>.")
    blocks: list[Block] = [
        Text(about.format(profile.rows, len(profile.columns), of.task, target)),
        _target(profile.column(of.target), of.goal),
        _left_out(of.assumptions),
        Titled(
            "Columns, ordered by their relation to the target",
            [_sheet(c, of) if c.type == "picture" else _card(c, of) for c in drawn],
        ),
        Titled("All columns", [_table(of)]),
        Text(HOW, "note"),
    ]
    page = Page(f"{of.name}: profile", of.name, blocks, about={"data": of.digest})
    with writing(file) as aside:
        aside.write_text(as_page(page), encoding="utf-8")


def page_digest(file: Path) -> str:
    """Return the digest of the data in a page; empty if there is no page."""
    if not file.is_file():
        return ""
    with file.open(encoding="utf-8") as page:
        return meta(page.read(1000), "data")


def _ranked(profile: TableProfile) -> list[ColumnProfile]:
    """Return the columns, pictures first, then by their relation to the target."""
    return sorted(profile.columns, key=lambda c: (c.type != "picture", -(c.relation or 0.0)))


def _target(column: ColumnProfile, goal: Goal) -> Card:
    about = plots.legend(goal.classes) if goal.classes else summary(column)
    return Card(comment(column.name), "target", [Text(about, "note")], [_distribution(column)])


def _left_out(assumptions: Sequence[Assumption]) -> Titled:
    out = [a for a in assumptions if not a.used and a.role != "target"]
    lines = [Html("<b>{}</b>: {}").format(comment(a.name), comment(a.why)) for a in out]
    return Titled("Left out of the features", [Lines(lines, 20)])


def _card(column: ColumnProfile, of: Profiled) -> Card:
    assumed = of.assumed[column.name]
    facts = {
        "type": column.type,
        "missing": f"{column.missing_share:.1%} ({column.missing:,} rows)",
        "distinct": f"{column.distinct:,}",
        "values": summary(column),
        "predicts": f"{column.relation or 0:.2f}",
        "used as": _assumed(assumed),
    }
    return Card(
        comment(column.name),
        assumed.kind if assumed.used else "left out",
        [Facts(facts)],
        [_distribution(column), _against_target(column, of)],
        "" if assumed.used else "out",
    )


def _sheet(column: ColumnProfile, of: Profiled) -> Card:
    shown = contact_sheet(of.table, column, of.sample.whole(of.target), of.goal)
    by = "class" if of.goal.classes is not None else "quarter"
    blocks: list[Block] = [
        Text(f"{summary(column)}; {column.missing_share:.1%} missing"),
        shown,
        Text(f"Examples of each {by} of {comment(of.target)}, with its number of rows.", "note"),
    ]
    return Card(comment(column.name), "picture", blocks, style="sheet")


def _against_target(column: ColumnProfile, of: Profiled) -> Figure:
    if not column.present or (column.type == "text" and column.distinct_share > NEARLY):
        return Figure(Html(""))
    bins = against(of.sample, column, of.goal)
    drawn = plots.ranges(bins) if of.goal.classes is None else plots.shares(bins)
    what = "median and quartiles" if of.goal.classes is None else "shares"
    return Figure(drawn, f"{comment(of.target)}: {what}, by {comment(column.name)}")


def _distribution(column: ColumnProfile) -> Figure:
    if column.heights and not _few(column):
        write = writer(column.type, *column.ends)
        ends = [write(end) for end in column.ends]
        cut = column.quantiles and tuple(column.ends) != (column.quantiles[0], column.quantiles[-1])
        drawn = plots.histogram(column.heights, *ends)
        about = "distribution" + (", without the extreme values" if cut else "")
    elif column.distinct_share > NEARLY and column.distinct > BARS:
        return Figure(Html(""), "almost all values differ")
    else:
        levels = [(_value(value), count) for value, count in column.levels[:BARS]]
        drawn = plots.level_bars(levels, column.rows)
        more = column.distinct - len(levels)
        about = "most frequent values" + (f"; {more:,} more" if more > 0 else "")
    return Figure(drawn, about)


def _few(column: ColumnProfile) -> bool:
    return 0 < column.distinct <= BARS and bool(column.levels)


def summary(column: ColumnProfile, levels: int = 3) -> str:
    """Return minimum, median and maximum, or the most frequent levels."""
    if not column.present:
        return "no value"
    if column.form is not None:
        return in_words(column.form)
    if column.quantiles and not (column.levels and column.distinct <= 2):
        low, _, middle, _, high = column.quantiles
        write = writer(column.type, low, high)
        return f"{write(low)} … {write(middle)} … {write(high)}"
    if not column.levels or (column.words >= 2 and column.distinct_share > 0.5):
        return f"{column.words:.0f} words on average" if column.words >= 2 else "all different"
    shown = [f"{_value(v)} {n / column.rows:.0%}" for v, n in column.levels[:levels]]
    return ", ".join(shown) + (", …" if column.distinct > levels else "")


def distinct(column: ColumnProfile) -> str:
    """Return the number of different values; empty for pictures, which are not counted."""
    return "" if column.type == "picture" else f"{column.distinct:,}"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return short(value) if isinstance(value, float) else comment(str(value))[:60]


def _assumed(assumed: Assumption) -> str:
    if assumed.role == "target":
        return "the target"
    how = assumed.kind if assumed.used else "left out"
    return f"{how}: {assumed.why}" if assumed.why else how


def _table(of: Profiled) -> Table:
    heads = ("column", "type", "missing", "distinct", "values", "predicts", "used as")
    rows = [
        (
            *(comment(c.name), c.type, f"{c.missing_share:.1%}", distinct(c), summary(c)),
            *("" if c.relation is None else f"{c.relation:.2f}", _assumed(of.assumed[c.name])),
        )
        for c in of.profile.columns
    ]
    return Table(heads, rows, ("missing", "distinct", "predicts"))
