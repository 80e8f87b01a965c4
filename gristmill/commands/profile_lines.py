"""The profile of a table, for the screen."""

from __future__ import annotations

from collections.abc import Sequence

from gristmill.pipelines import profiling
from gristmill.pipelines.reporting import Block, Table, Text

MOST_LINES = 60
"""Maximum number of columns listed one by one."""

LEVELS = 2
"""Levels shown of a column."""


def profile_lines(
    profile: profiling.TableProfile, assumptions: Sequence[profiling.Assumption] | None = None
) -> list[Block]:
    """Return a table with a row per column, or per group of numbered columns.

    With `assumptions` it also shows how each column is used and how well it predicts the target.
    """
    kind, tells = ("type", []) if assumptions is None else ("used as", ["predicts"])
    heading = ("column", kind, "missing", "distinct", "low … median … high, or shares", *tells)
    rows = []
    by_name = {a.name: a for a in assumptions or ()}
    groups = (
        profiling.stems(profile.names, profile.names) if len(profile.names) > MOST_LINES else {}
    )
    inside = {name for members in groups.values() for name in members}
    for pattern, members in groups.items():
        columns = [profile.column(name) for name in members]
        rows.append(_group(pattern, columns, [by_name[n] for n in members if n in by_name]))
    lone = [column for column in profile.columns if column.name not in inside]
    lone.sort(key=lambda column: by_name[column.name].role != "target" if by_name else 0)
    rows += [_line(column, by_name.get(column.name)) for column in lone[:MOST_LINES]]
    numbers = ("missing", "distinct", "predicts")
    more = f"… and {len(lone) - MOST_LINES:,} more columns" * (len(lone) > MOST_LINES)
    widths = {"column": 20, kind: 12}
    return [Table(heading, rows, numbers, widths=widths, caption=more), Text("")]


def _line(column: profiling.ColumnProfile, assumed: profiling.Assumption | None) -> list[str]:
    out = assumed is not None and not assumed.used and assumed.role != "target"
    cells = [
        profiling.comment(column.name),
        column.type if assumed is None else _taken_for(assumed),
        _share(column.missing_share),
        profiling.distinct(column),
        assumed.why if assumed is not None and out else profiling.summary(column, LEVELS),
    ]
    if assumed is not None:
        cells.append("" if column.relation is None else f"{column.relation:.2f}")
    return cells


def _taken_for(assumed: profiling.Assumption) -> str:
    if assumed.role == "target":
        return "target"
    return assumed.kind if assumed.used else "left out"


def _group(
    pattern: str,
    columns: Sequence[profiling.ColumnProfile],
    assumed: Sequence[profiling.Assumption],
) -> list[str]:
    kinds = sorted({a.kind for a in assumed if a.used} or {column.type for column in columns})
    most = max(column.distinct for column in columns)
    ends = [column.quantiles for column in columns if column.quantiles]
    span = ""
    if ends:
        span = f"{min(e[0] for e in ends):,.4g} … {max(e[-1] for e in ends):,.4g}"
    cells = [
        f"{pattern} ({len(columns):,})",
        ", ".join(kinds),
        _share(max(column.missing_share for column in columns)),
        f"≤ {most:,}",
        span,
    ]
    if assumed:
        out = [a.why for a in assumed if not a.used]
        cells[-1] += f"; {len(out):,} left out: {out[0]}, …" if out else ""
        cells.append(f"≤ {max((column.relation or 0.0 for column in columns), default=0.0):.2f}")
    return cells


def _share(share: float) -> str:
    return f"{share:.1%}" if share else "none"
