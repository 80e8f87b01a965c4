"""The profile of a table on the screen."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gristmill.pipelines.profiling import (
    Assumption,
    ColumnProfile,
    TableProfile,
    comment,
    distinct,
    stems,
    summary,
)

MOST_LINES = 60
"""Columns that are listed one by one."""

LEVELS = 2
"""Levels that are shown of a column."""


def show(
    console: Console, profile: TableProfile, assumptions: Sequence[Assumption] | None = None
) -> None:
    """A line a column, or a group of numbered columns; with what is assumed where that is known."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    table.add_column("column", max_width=20, overflow="fold")
    table.add_column("type" if assumptions is None else "taken for", max_width=12)
    table.add_column("gaps", justify="right", no_wrap=True)
    table.add_column("distinct", justify="right", no_wrap=True)
    table.add_column("low … median … high, or shares", overflow="fold")
    if assumptions is not None:
        table.add_column("tells", justify="right", no_wrap=True)
    by_name = {a.name: a for a in assumptions or ()}
    groups = stems(profile.names, profile.names) if len(profile.names) > MOST_LINES else {}
    inside = {name for members in groups.values() for name in members}
    for pattern, members in groups.items():
        columns = [profile.column(name) for name in members]
        table.add_row(*_group(pattern, columns, [by_name[n] for n in members if n in by_name]))
    lone = [column for column in profile.columns if column.name not in inside]
    lone.sort(key=lambda column: by_name[column.name].role != "target" if by_name else 0)
    for column in lone[:MOST_LINES]:
        table.add_row(*_line(column, by_name.get(column.name)))
    console.print(table)
    if len(lone) > MOST_LINES:
        console.print(f"… and {len(lone) - MOST_LINES:,} more columns")
    console.print()


def _line(column: ColumnProfile, assumed: Assumption | None) -> list[str]:
    out = assumed is not None and not assumed.used and assumed.role != "target"
    cells = [
        comment(column.name),
        column.type if assumed is None else _taken_for(assumed),
        _share(column.missing_share),
        distinct(column),
        assumed.why if assumed is not None and out else summary(column, LEVELS),
    ]
    if assumed is not None:
        cells.append("" if column.relation is None else f"{column.relation:.2f}")
    return [escape(cell) for cell in cells]


def _taken_for(assumed: Assumption) -> str:
    if assumed.role == "target":
        return "the target"
    return assumed.kind if assumed.used else "left out"


def _group(
    pattern: str, columns: Sequence[ColumnProfile], assumed: Sequence[Assumption]
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
    return [escape(cell) for cell in cells]


def _share(share: float) -> str:
    return f"{share:.1%}" if share else "none"
