"""Records as HTML, by Jinja2; whatever is not `Html` is escaped. Texts from other templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gristmill.pipelines.reporting.records import Block, Html, Page, Titled


def as_page(page: Page) -> str:
    """A page as a document."""
    return _templates().get_template("page.html.j2").render(page=page)


def as_html(block: Block) -> Html:
    """A block as an element."""
    if isinstance(block, Html):
        return block
    macros = _templates().get_template("blocks.html.j2").module
    return Html(getattr(macros, type(block).__name__)(block))


def meta(head: str, name: str) -> str:
    """What the beginning of a page says in a `<meta>` element; empty where it has none."""
    return head.partition(f'<meta name="{name}" content="')[2].partition('"')[0]


def fill_template(
    file: Path, values: Mapping[str, object], filters: Mapping[str, Callable[..., object]]
) -> str:
    """Fill a template of plain text; a line that holds a block tag alone leaves no line.

    Args:
        file: the template.
        values: by name; jinja2 refuses a template that names another.
        filters: functions that the template may apply to values.
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
