"""Records on a terminal, by rich."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table as Grid
from rich.text import Text as Styled

from gristmill.pipelines.reporting.records import Block, Code, Facts, Lines, Table, Text, Titled


def render(block: Block) -> Iterator[RenderableType]:
    """What rich prints of a block, one after the other."""
    match block:
        case Table():
            yield _grid(block)
            if block.caption:
                yield Styled(block.caption)
        case Facts():
            facts = Grid.grid(padding=(0, 2))
            facts.add_column(ratio=1)
            facts.add_column(ratio=2)
            for name, value in block.shown:
                facts.add_row(Styled(name), Styled(value))
            yield facts
        case Lines():
            yield from map(Styled, block.shown)
        case Text() | Code():
            yield Styled(block.text)
        case Titled():
            if block.title:
                yield Styled(block.title, style="bold")
            for inner in block.shown:
                yield from render(inner)
        case _:
            raise TypeError("HTML is not for a terminal")


def print_blocks(console: Console, *blocks: Block) -> None:
    """Prints blocks, one below the other."""
    for block in blocks:
        for made in render(block):
            console.print(made)


def _grid(table: Table) -> Grid:
    made = Grid(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    whole = table.numbers if table.whole is None else table.whole
    for name in table.heading:
        made.add_column(
            Styled(name),
            justify="right" if name in table.numbers else "left",
            overflow="fold",
            no_wrap=name in whole,
            max_width=(table.widths or {}).get(name),
        )
    for place, row in enumerate(table.rows):
        cells = [Styled(str(cell)) for cell in row]
        made.add_row(*cells, style="bold" if place in table.marked else None)
    return made
