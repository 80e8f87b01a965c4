"""Records on a terminal, by rich."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.table import Table as Grid
from rich.text import Text as Styled

from gristmill.pipelines.base import printable
from gristmill.pipelines.reporting.records import Block, Code, Facts, Lines, Table, Text, Titled

GAP = 3
"""Characters between two cells: the padding of both and the border between them."""


def styled(text: object, style: str = "") -> Styled:
    """Return text for the terminal, with control characters escaped."""
    return Styled(printable(text), style)


def render(block: Block, console: Console) -> Iterator[RenderableType]:
    """Yield the renderables of rich for a block."""
    match block:
        case Table():
            yield _grid(block, console)
            if block.caption:
                yield styled(block.caption)
        case Facts():
            facts = Grid.grid(padding=(0, 2))
            facts.add_column(ratio=1)
            facts.add_column(ratio=2)
            for name, value in block.shown:
                facts.add_row(styled(name), styled(value))
            yield facts
        case Lines():
            yield from map(styled, block.shown)
        case Text() | Code():
            yield styled(block.text)
        case Titled():
            if block.title:
                yield styled(block.title, style="bold")
            for inner in block.shown:
                yield from render(inner, console)
        case _:
            raise TypeError("HTML cannot be shown on a terminal")


def print_blocks(console: Console, *blocks: Block) -> None:
    """Print blocks below one another."""
    for block in blocks:
        for made in render(block, console):
            console.print(made)


def _grid(table: Table, console: Console) -> RenderableType:
    """Lay out a table without cutting words, or list its rows if it does not fit."""
    whole = table.numbers if table.whole is None else table.whole
    made = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    lowest, highest = [], []
    for place, name in enumerate(table.heading):
        cells = [name, *(row[place] for row in table.rows)]
        measured = [Measurement.get(console, console.options, styled(cell)) for cell in cells]
        most = (table.widths or {}).get(name)
        high = min(max(each.maximum for each in measured), most or console.width)
        lowest.append(high if name in whole else max(each.minimum for each in measured))
        highest.append(max(high, lowest[-1]))
        side = "right" if name in table.numbers else "left"
        made.add_column(styled(name), justify=side, overflow="fold")  # type: ignore[arg-type]
    room = console.width - GAP * (len(table.heading) - 1)
    if sum(lowest) > room and console.is_terminal:
        return _listed(table)
    for column, width in zip(made.columns, _widths(lowest, highest, room), strict=True):
        column.width = width
    for place, row in enumerate(table.rows):
        made.add_row(*map(styled, row), style="bold" if place in table.marked else None)
    return made


def _widths(lowest: Sequence[int], highest: Sequence[int], room: int) -> list[int]:
    """Distribute the width among columns, first to those that need least beyond `lowest`."""
    widths, spare = list(lowest), max(room - sum(lowest), 0)
    needs = sorted(range(len(widths)), key=lambda place: highest[place] - lowest[place])
    for done, place in enumerate(needs):
        more = min(highest[place] - lowest[place], spare // (len(needs) - done))
        widths[place] += more
        spare -= more
    return widths


def _listed(table: Table) -> Styled:
    """Return the rows of a table that is wider than the terminal, each as a list of cells."""
    wide = max(map(len, table.heading))
    lines = Styled()
    for row in table.rows:
        lines.append(styled(f"{row[0]}\n", "bold"))
        for name, cell in zip(table.heading[1:], row[1:], strict=True):
            if str(cell):
                lines.append(styled(f"  {name:{wide}s}  {cell}\n"))
    lines.rstrip()
    return lines
