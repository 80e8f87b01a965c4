"""Texts from Jinja2 templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path


def fill_template(
    file: Path, values: Mapping[str, object], filters: Mapping[str, Callable[..., object]]
) -> str:
    """Fill a template of plain text; a line that holds a block tag alone leaves no line.

    Args:
        file: the template.
        values: by name; jinja2 refuses a template that names another.
        filters: functions that the template may apply to values.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters |= filters
    return environment.from_string(file.read_text(encoding="utf-8")).render(values)
