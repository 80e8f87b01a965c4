"""Blocks of a report, independent of the output format: tables, lists, facts, sections."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from markupsafe import Markup


class Block:
    """Base class of everything that can be shown."""

    __slots__ = ()


class Html(Markup, Block):
    """Text that is already HTML; `Html("<b>{}</b>").format(text)` escapes the text."""

    __slots__ = ()


@dataclass(frozen=True)
class Table(Block):
    """A table; the first cell of a row names it.

    Attributes:
        heading: names of the columns.
        rows: cells, plain text or `Html`.
        numbers: names of right-aligned columns.
        whole: names of columns whose cells are never wrapped on a terminal; default: `numbers`.
        widths: maximum widths of columns on a terminal, in characters.
        marked: indices of highlighted rows.
        caption: a line shown with the table.
        style: class of the element in HTML.
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
        """Return the first rows and a last one with the number of omitted rows.

        Args:
            most: largest number of rows to keep.
            rest: format of the last row's first cell; empty for no such row.
        """
        hidden = len(self.rows) - most
        if hidden <= 0:
            return self
        more = [rest.format(f"{hidden:,}"), *[""] * (len(self.heading) - 1)]
        return replace(self, rows=[*self.rows[:most], *[more] * bool(rest)])

    def beside(self, name: str, cells: Sequence[object]) -> Table:
        """Return the table with one more column at the right."""
        rows = [(*row, cell) for row, cell in zip(self.rows, cells, strict=True)]
        return replace(self, heading=(*self.heading, name), rows=rows)

    def without(self, name: str) -> Table:
        """Return the table without one column."""
        kept = [place for place, heading in enumerate(self.heading) if heading != name]
        heading, *rows = ([row[place] for place in kept] for row in (self.heading, *self.rows))
        return replace(self, heading=[str(each) for each in heading], rows=rows)

    def records(self) -> list[dict[str, object]]:
        """Return the rows as dictionaries by column."""
        return [dict(zip(self.heading, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Lines(Block):
    """A list; beyond `most` lines, only the number of further ones is shown."""

    lines: Sequence[str]
    most: int = 100
    style: str = ""

    @property
    def shown(self) -> list[str]:
        hidden = len(self.lines) - self.most
        return [*self.lines[: self.most], *[f"and {hidden:,} more"] * (hidden > 0)]


@dataclass(frozen=True)
class Facts(Block):
    """Pairs of name and value; those with an empty value are not shown."""

    said: Mapping[str, str]

    @property
    def shown(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.said.items() if value]


@dataclass(frozen=True)
class Text(Block):
    """A paragraph; `markdown` says that the text is Markdown, which is not to be escaped."""

    text: str
    style: str = ""
    markdown: bool = False


@dataclass(frozen=True)
class Code(Block):
    """Text shown unchanged in a fixed-width font."""

    text: str


@dataclass(frozen=True)
class Titled(Block):
    """Blocks below a title; empty ones are not shown."""

    title: str
    blocks: Sequence[Block]

    @property
    def shown(self) -> list[Block]:
        return [block for block in self.blocks if not is_empty(block)]


@dataclass(frozen=True)
class Figure(Block):
    """An image as an HTML element, with a caption."""

    drawn: Html
    caption: str = ""
    style: str = ""


@dataclass(frozen=True)
class Card(Block):
    """A summary of one item, such as a column: name, kind, blocks, and figures at the side."""

    title: str
    kind: str
    blocks: Sequence[Block]
    figures: Sequence[Figure] = ()
    style: str = ""


@dataclass(frozen=True)
class Page:
    """A self-contained HTML page without scripts or external resources.

    Attributes:
        title: title of the document.
        heading: text of the main heading.
        blocks: content; blocks of type `Titled` become sections.
        badge: CSS class and text of the badge above the heading.
        note: a line below the heading.
        about: contents of `<meta>` elements by name.
        linked: whether the page starts with links to its sections.
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
    """Return whether a block has no content."""
    match block:
        case Table():
            return not block.rows
        case Lines() | Facts() | Titled():
            return not block.shown
        case Text() | Code():
            return not block.text
        case _:
            return isinstance(block, Html) and not block
