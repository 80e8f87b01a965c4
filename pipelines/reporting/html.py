"""Records as HTML by Jinja2, everything but `Html` escaped; and plain text from templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gristmill.pipelines.reporting.records import Block, Html, Page, Titled


def as_page(page: Page) -> str:
    """Return a page as an HTML document."""
    return _templates().get_template("page.html.j2").render(page=page)


def as_html(block: Block) -> Html:
    """Return a block as an HTML element."""
    if isinstance(block, Html):
        return block
    macros = _templates().get_template("blocks.html.j2").module
    return Html(getattr(macros, type(block).__name__)(block))


def meta(head: str, name: str) -> str:
    """Return the content of a `<meta>` element in the head of a page; empty if there is none."""
    return head.partition(f'<meta name="{name}" content="')[2].partition('"')[0]


def fill_template(
    file: Path, values: Mapping[str, object], filters: Mapping[str, Callable[..., object]]
) -> str:
    """Fill a plain-text template; lines that contain only a block tag are removed.

    Args:
        file: the template.
        values: variables of the template by name; using an undefined one is an error.
        filters: functions by the names under which the template uses them.
    """
    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= filters
    return environment.from_string(file.read_text(encoding="utf-8")).render(values)


@cache
def _templates() -> Environment:
    made = Environment(
        autoescape=True,
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    made.tests["titled"] = lambda block: isinstance(block, Titled)
    made.filters |= {"html": as_html, "anchor": lambda title: title.lower().replace(" ", "-")}
    return made
