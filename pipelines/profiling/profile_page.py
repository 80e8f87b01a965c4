"""The profile as one page: everything inside it, nothing fetched, no script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from gristmill.pipelines.base import writing
from gristmill.pipelines.profiling import column_plots as plots
from gristmill.pipelines.profiling.assumptions import NEARLY, Assumption
from gristmill.pipelines.profiling.contact_sheet import contact_sheet
from gristmill.pipelines.profiling.picture_profile import in_words
from gristmill.pipelines.profiling.relation import Goal
from gristmill.pipelines.profiling.table_profile import (
    ColumnProfile,
    Sample,
    TableProfile,
    Task,
    read_goal,
)
from gristmill.pipelines.profiling.target_relation import against
from gristmill.pipelines.profiling.yaml_text import comment, short, writer
from gristmill.pipelines.reporting import html_page, html_table, meta

CARDS = 60
"""Columns that are drawn, those that tell most about the target first; the table has all."""

BARS = 8
"""Levels that are drawn."""

STYLE = """
.card{border:1px solid var(--line);border-radius:8px;padding:.8rem 1.1rem;margin:.7rem 0;
 display:grid;grid-template-columns:1fr 310px 310px;gap:1.2rem;break-inside:avoid}
.card h3{font-size:1.02rem;margin:0 0 .3rem;overflow-wrap:anywhere}
.card dl{font-size:.87rem}.out{background:var(--panel)}
.kind{font-size:.78rem;border-radius:4px;padding:.05rem .4rem;background:var(--mark);
 margin-left:.4rem;font-weight:400;white-space:nowrap}
.out .kind{background:var(--line);color:var(--soft)}
svg text{font-size:11px;fill:var(--ink);font-family:inherit}svg{max-width:100%;overflow:visible}
.class{margin-right:.9rem;white-space:nowrap}.class i{display:inline-block;width:.75rem;
 height:.75rem;margin-right:.3rem;border-radius:2px}
.sheet{grid-template-columns:1fr}.sheet table{width:auto}.sheet th{font-weight:400}
.sheet small{color:var(--soft)}.sheet img{image-rendering:pixelated;display:block}
@media(max-width:900px){.card{grid-template-columns:1fr}}
"""

HOW = (
    "<b>tells</b>: how much the column alone says about the target, 0 nothing, 1 everything. For "
    "classes 2·AUC − 1 of the class told best, for a number |Spearman’s ρ|; the levels of a text "
    "are ranked on one half of the rows and judged on the other. Counts, gaps and ends are of all "
    "rows; relations and plots of at most 20,000."
)


def write_page(
    file: Path,
    name: str,
    table: Path,
    profile: TableProfile,
    target: str,
    task: Task,
    assumptions: Sequence[Assumption],
    digest: str = "",
) -> None:
    """Writes the page.

    Args:
        file: HTML to write.
        name: of the experiment.
        table: what was profiled; the plots read it once more.
        digest: of the data, by which `page_digest` tells whether the page is of them.
    """
    sample = Sample(table)
    goal = read_goal(sample, target, task)
    by_name = {a.name: a for a in assumptions}
    drawn = [c for c in _ranked(profile) if c.name != target][:CARDS]
    parts = [
        f"<h1>{escape(name)}</h1>",
        f"<p>{profile.rows:,} rows × {len(profile.columns)} columns; {escape(task)} of "
        f"<b>{_name(target)}</b>.</p>",
        _target(profile.column(target), goal),
        _left_out(assumptions),
        "<h2>Columns, those that tell most about the target first</h2>",
        *(
            _sheet(c, table, sample, goal, target)
            if c.type == "picture"
            else _card(c, by_name[c.name], sample, goal, target)
            for c in drawn
        ),
        "<h2>All columns</h2>",
        _table(profile, by_name),
        f'<p class="note">{HOW}</p>',
    ]
    with writing(file) as aside:
        made = html_page(f"{name}: profile", "\n".join(parts), STYLE, {"data": digest})
        aside.write_text(made, encoding="utf-8")


def page_digest(file: Path) -> str:
    """The digest of the data that a page is of; an empty text where there is no page."""
    if not file.is_file():
        return ""
    with file.open(encoding="utf-8") as page:
        return meta(page.read(1000), "data")


def _ranked(profile: TableProfile) -> list[ColumnProfile]:
    """Pictures first."""
    return sorted(profile.columns, key=lambda c: (c.type != "picture", -(c.relation or 0.0)))


def _target(column: ColumnProfile, goal: Goal) -> str:
    told = plots.legend(goal.classes) if goal.classes else _summary(column)
    return (
        f'<div class="card"><div><h3>{_name(column.name)}<span class="kind">target</span></h3>'
        f'<p class="note">{told}</p></div>{_distribution(column)}</div>'
    )


def _left_out(assumptions: Sequence[Assumption]) -> str:
    out = [a for a in assumptions if not a.used and a.role != "target"]
    if not out:
        return ""
    shown = "".join(f"<li><b>{_name(a.name)}</b>: {escape(comment(a.why))}</li>" for a in out[:20])
    more = f"<li>… and {len(out) - 20} more</li>" if len(out) > 20 else ""
    return f"<h2>Left out of the features</h2><ul>{shown}{more}</ul>"


def _card(
    column: ColumnProfile, assumed: Assumption, sample: Sample, goal: Goal, target: str
) -> str:
    facts = {
        "type": column.type,
        "missing": f"{column.missing_share:.1%} ({column.missing:,} rows)",
        "distinct": f"{column.distinct:,}",
        "values": _summary(column),
        "tells": f"{column.relation or 0:.2f}",
        "assumed": _assumed(assumed),
    }
    listed = "".join(f"<dt>{key}</dt><dd>{escape(value)}</dd>" for key, value in facts.items())
    return (
        f'<div class="card{"" if assumed.used else " out"}"><div><h3>{_name(column.name)}'
        f'<span class="kind">{assumed.kind if assumed.used else "left out"}</span></h3>'
        f"<dl>{listed}</dl></div>{_distribution(column)}"
        f"{_against_target(column, sample, goal, target)}</div>"
    )


def _sheet(column: ColumnProfile, table: Path, sample: Sample, goal: Goal, target: str) -> str:
    shown = contact_sheet(table, column, sample.whole(target), goal)
    by = "class" if goal.classes is not None else "quarter"
    return (
        f'<div class="card sheet"><div><h3>{_name(column.name)}<span class="kind">picture</span>'
        f"</h3><p>{_summary(column)}; {column.missing_share:.1%} missing</p>"
        f"<table>{shown}</table>"
        f'<p class="note">Some of each {by} of {_name(target)}, with its number of rows.</p>'
        "</div></div>"
    )


def _against_target(column: ColumnProfile, sample: Sample, goal: Goal, target: str) -> str:
    if not column.present or (column.type == "text" and column.distinct_share > NEARLY):
        return "<figure></figure>"
    bins = against(sample, column, goal)
    drawn = plots.ranges(bins) if goal.classes is None else plots.shares(bins)
    what = "median and quartiles" if goal.classes is None else "shares"
    about = f"{_name(target)}: {what}, by {_name(column.name)}"
    return f"<figure>{drawn}<figcaption>{about}</figcaption></figure>"


def _distribution(column: ColumnProfile) -> str:
    if column.heights and not _few(column):
        write = writer(column.type, *column.ends)
        ends = [write(end) for end in column.ends]
        cut = column.quantiles and tuple(column.ends) != (column.quantiles[0], column.quantiles[-1])
        drawn = plots.histogram(column.heights, *ends)
        about = "distribution" + (", without the outermost values" if cut else "")
    elif column.distinct_share > NEARLY and column.distinct > BARS:
        return "<figure><figcaption>nearly each value once</figcaption></figure>"
    else:
        levels = [(_value(value), count) for value, count in column.levels[:BARS]]
        drawn = plots.level_bars(levels, column.rows)
        more = column.distinct - len(levels)
        about = "commonest values" + (f"; {more:,} more" if more > 0 else "")
    return f"<figure>{drawn}<figcaption>{about}</figcaption></figure>"


def _few(column: ColumnProfile) -> bool:
    return 0 < column.distinct <= BARS and bool(column.levels)


def _summary(column: ColumnProfile) -> str:
    return summary(column, 3)


def summary(column: ColumnProfile, levels: int) -> str:
    """Least, median and greatest value, or the commonest levels."""
    if not column.present:
        return "no value"
    if column.form is not None:
        return in_words(column.form)
    if column.quantiles and not (column.levels and column.distinct <= 2):
        low, _, middle, _, high = column.quantiles
        write = writer(column.type, low, high)
        return f"{write(low)} … {write(middle)} … {write(high)}"
    if not column.levels or (column.words >= 2 and column.distinct_share > 0.5):
        return f"{column.words:.0f} words in the mean" if column.words >= 2 else "all different"
    shown = [f"{_value(v)} {n / column.rows:.0%}" for v, n in column.levels[:levels]]
    return ", ".join(shown) + (", …" if column.distinct > levels else "")


def distinct(column: ColumnProfile) -> str:
    """The number of different values, as far as it was counted."""
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


def _table(profile: TableProfile, by_name: Mapping[str, Assumption]) -> str:
    heads = ("column", "type", "missing", "distinct", "values", "tells", "assumed")
    rows = (
        (
            *(comment(c.name), c.type, f"{c.missing_share:.1%}", distinct(c), _summary(c)),
            *("" if c.relation is None else f"{c.relation:.2f}", _assumed(by_name[c.name])),
        )
        for c in profile.columns
    )
    return html_table(heads, rows, ("missing", "distinct", "tells"))


def _name(name: str) -> str:
    return escape(comment(name))
