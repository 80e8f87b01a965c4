"""Records as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gristmill.pipelines.reporting import records
from gristmill.pipelines.reporting.records import Block


def as_markdown(title: str, blocks: Iterable[Block]) -> str:
    """Return blocks as a Markdown document, or as a part of one if `title` is empty."""
    lines = [f"# {title}", ""] if title else []
    for block in blocks:
        lines += [] if records.is_empty(block) else _lines(block, 2)
    return "\n".join(lines).rstrip("\n") + "\n"


def _lines(block: Block, level: int) -> Iterator[str]:
    """Yield the lines of a block, followed by an empty one."""
    match block:
        case records.Titled():
            if block.title:
                yield from (f"{'#' * level} {block.title}", "")
            for inner in block.shown:
                yield from _lines(inner, level + 1)
            return
        case records.Table():
            yield _row(block.heading)
            yield "|" + " --- |" * len(block.heading)
            yield from map(_row, block.rows)
            yield from ["", block.caption] * bool(block.caption)
        case records.Lines():
            yield from (f"- {line}" for line in block.shown)
        case records.Facts():
            yield from (f"- {name}: {value}" for name, value in block.shown)
        case records.Text():
            yield block.text
        case records.Code():
            yield from ("```", block.text, "```")
        case _:
            yield str(block)
    yield ""


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"
