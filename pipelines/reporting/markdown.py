"""Records as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from gristmill.pipelines.base import printable
from gristmill.pipelines.reporting import records
from gristmill.pipelines.reporting.records import Block

SPECIAL = re.compile(r"[\\`|<>\[\]]")
"""Characters of code, tables, HTML, images and links."""


def as_markdown(title: str, blocks: Iterable[Block]) -> str:
    """Return blocks as a Markdown document, or as a part of one if `title` is empty."""
    lines = [f"# {escaped(title)}", ""] if title else []
    for block in blocks:
        lines += [] if records.is_empty(block) else _lines(block, 2)
    return "\n".join(lines).rstrip("\n") + "\n"


def escaped(text: object) -> str:
    r"""Return one line of text that Markdown shows as it is.

    Examples:
        >>> print(escaped("[x](javascript:y)|`<b>`"))
        \[x\](javascript:y)\|\`\<b\>\`
    """
    return SPECIAL.sub(r"\\\g<0>", " ".join(printable(text).splitlines()))


def _lines(block: Block, level: int) -> Iterator[str]:
    """Yield the lines of a block, followed by an empty one."""
    match block:
        case records.Titled():
            if block.title:
                yield from (f"{'#' * level} {escaped(block.title)}", "")
            for inner in block.shown:
                yield from _lines(inner, level + 1)
            return
        case records.Table():
            yield _row(block.heading)
            yield "|" + " --- |" * len(block.heading)
            yield from map(_row, block.rows)
            yield from ["", escaped(block.caption)] * bool(block.caption)
        case records.Lines():
            yield from (f"- {escaped(line)}" for line in block.shown)
        case records.Facts():
            yield from (f"- {escaped(name)}: {escaped(value)}" for name, value in block.shown)
        case records.Text():
            yield printable(block.text) if block.markdown else escaped(block.text)
        case records.Code():
            yield from ("```", printable(block.text).replace("```", "` ` `"), "```")
        case _:
            yield str(block)
    yield ""


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(map(escaped, cells)) + " |"
