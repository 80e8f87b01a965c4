"""What is shown, whatever it is shown on: tables, lists, facts, sections."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from markupsafe import Markup


class Block:
    """A thing to show."""

    __slots__ = ()


class Html(Markup, Block):
    """A text that is HTML already; `Html("<b>{}</b>").format(text)` escapes the text."""

    __slots__ = ()


@dataclass(frozen=True)
class Table(Block):
    """A table; the first cell of a row names it.

    Attributes:
        heading: names of the columns.
        rows: cells, plain text or `Html`.
        numbers: columns that are aligned right.
        whole: columns whose cells are not broken on a narrow terminal; by default the numbers.
        widths: largest widths of columns on a terminal, in letters.
        marked: places of rows that stand out.
        caption: a line that belongs to the table.
    """

    heading: Sequence[str]
    rows: Sequence[Sequence[object]]
    numbers: Collection[str] = ()
    whole: Collection[str] | None = None
    widths: Mapping[str, int] | None = None
    marked: Collection[int] = ()
    caption: str = ""
    style: str = ""

    def first(self, most: int, rest: str = "… {} more") -> Table:
        """The first rows; how many are left out is the last one."""
        hidden = len(self.rows) - most
        if hidden <= 0:
            return self
        more = [rest.format(f"{hidden:,}"), *[""] * (len(self.heading) - 1)]
        return replace(self, rows=[*self.rows[:most], *[more] * bool(rest)])

    def beside(self, name: str, cells: Sequence[object]) -> Table:
        """The same with one more column."""
        rows = [(*row, cell) for row, cell in zip(self.rows, cells, strict=True)]
        return replace(self, heading=(*self.heading, name), rows=rows)

    def without(self, name: str) -> Table:
        """The same without a column."""
        kept = [place for place, heading in enumerate(self.heading) if heading != name]
        heading, *rows = ([row[place] for place in kept] for row in (self.heading, *self.rows))
        return replace(self, heading=[str(each) for each in heading], rows=rows)

    def records(self) -> list[dict[str, object]]:
        """The rows as mappings."""
        return [dict(zip(self.heading, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Lines(Block):
    """A list of lines; of a long one the beginning, and how many more there are."""

    lines: Sequence[str]
    most: int = 100
    style: str = ""

    @property
    def shown(self) -> list[str]:
        hidden = len(self.lines) - self.most
        return [*self.lines[: self.most], *[f"and {hidden:,} more"] * (hidden > 0)]


@dataclass(frozen=True)
class Facts(Block):
    """Names and what is to be said of them; those of which there is nothing to say are left out."""

    said: Mapping[str, str]

    @property
    def shown(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.said.items() if value]


@dataclass(frozen=True)
class Text(Block):
    """A paragraph."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Code(Block):
    """Lines that are shown as they are."""

    text: str


@dataclass(frozen=True)
class Titled(Block):
    """Blocks below a title; those that are empty are left out."""

    title: str
    blocks: Sequence[Block]

    @property
    def shown(self) -> list[Block]:
        return [block for block in self.blocks if not is_empty(block)]


@dataclass(frozen=True)
class Figure(Block):
    """A picture, as an element of HTML, and what it shows."""

    drawn: Html
    caption: str = ""
    style: str = ""


@dataclass(frozen=True)
class Card(Block):
    """What is known of one thing: its name and kind, blocks, and figures beside them."""

    title: str
    kind: str
    blocks: Sequence[Block]
    figures: Sequence[Figure] = ()
    style: str = ""


@dataclass(frozen=True)
class Page:
    """A page: everything inside it, nothing fetched, no script.

    Attributes:
        title: of the document.
        blocks: those that have a title are its sections.
        badge: a kind and a text that stand above the heading.
        about: contents of `<meta>` elements by name.
        linked: whether links to the sections stand at the top.
    """

    title: str
    heading: str
    blocks: Sequence[Block]
    badge: tuple[str, str] | None = None
    note: str = ""
    about: Mapping[str, str] = field(default_factory=dict)
    linked: bool = False

    @property
    def shown(self) -> list[Block]:
        return [block for block in self.blocks if not is_empty(block)]

    @property
    def parts(self) -> list[Titled]:
        return [block for block in self.shown if isinstance(block, Titled)]


def is_empty(block: Block) -> bool:
    """Whether there is nothing to show."""
    match block:
        case Table():
            return not block.rows
        case Lines() | Facts() | Titled():
            return not block.shown
        case Text() | Code():
            return not block.text
        case _:
            return isinstance(block, Html) and not block
