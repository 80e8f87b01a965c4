"""Some pictures of each class, as inline PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet

from gristmill.pipelines.profiling.relation import Goal
from gristmill.pipelines.profiling.table_profile import ColumnProfile, Form, as_codes, as_numbers
from gristmill.pipelines.profiling.yaml_text import comment, short
from gristmill.pipelines.reporting import Html

CLASSES, EACH = 12, 10
"""Number of classes shown, the most frequent ones, and of pictures of each."""

QUARTERS = 4
"""Parts of equal count that replace classes if the target is a number."""

SIDE = 96
"""The longest side of a picture on the page, in pixels."""

GAP = 4
"""Pixels between two pictures."""


def contact_sheet(table: Path, column: ColumnProfile, target: Any, goal: Goal) -> Html:
    """Draw a line of pictures for each class, or for each quarter of a numeric target.

    Args:
        table: Parquet file.
        column: profile of the column of pictures.
        target: (n_rows,) Arrow array of the target, all rows.
        goal: whether there are classes.
    """
    with pyarrow.parquet.ParquetFile(table) as file:
        sizes = [file.metadata.row_group(g).num_rows for g in range(file.num_row_groups)]
        starts = np.cumsum([0, *sizes])
        lines = []
        for label, rows in _groups(target, goal):
            group = int(np.searchsorted(starts, rows[len(rows) // 2], side="right")) - 1
            near = rows[(rows >= starts[group]) & (rows < starts[group + 1])]
            some = near[np.unique(np.linspace(0, len(near) - 1, EACH).astype(int))]
            held = file.read_row_group(group, columns=[column.name]).column(0)
            pixels = held.take(some - starts[group]).drop_null().to_pylist()
            lines.append(_line(label, len(rows), pixels, column.form or (1, 1, 1)))
    return Html("<table>{}</table>").format(Html("\n").join(lines))


def _groups(target: Any, goal: Goal) -> Iterator[tuple[str, npt.NDArray[np.int64]]]:
    """Yield each label with the sorted numbers of its rows, from 0."""
    if goal.classes is None:
        values = as_numbers(target)
        for part in np.array_split(np.argsort(values, kind="stable"), QUARTERS):
            if len(part):
                yield f"{short(values[part[0]])} … {short(values[part[-1]])}", np.sort(part)
        return
    codes, names = as_codes(target)
    for code in np.argsort(-np.bincount(codes, minlength=len(names)), kind="stable")[:CLASSES]:
        yield names[code], np.flatnonzero(codes == code)


def _line(label: str, rows: int, pixels: list[bytes], form: Form) -> Html:
    line = Html("<tr><th>{} <small>{:,}</small></th><td>{}</td></tr>")
    return line.format(comment(label), rows, _strip(pixels, form)) if pixels else Html("")


def _strip(pixels: list[bytes], form: Form) -> Html:
    """Draw pictures side by side as one inline PNG."""
    from PIL import Image

    height, width, channels = form
    scale = min(1.0, SIDE / max(height, width))
    high, wide = max(1, round(height * scale)), max(1, round(width * scale))
    strip = Image.new("RGB", (len(pixels) * (wide + GAP) - GAP, high), "white")
    for place, content in enumerate(pixels):
        image = Image.frombytes("L" if channels == 1 else "RGB", (width, height), content)
        shown = image.convert("RGB").resize((wide, high), Image.Resampling.LANCZOS)
        strip.paste(shown, (place * (wide + GAP), 0))
    kept = io.BytesIO()
    strip.save(kept, "PNG", optimize=True)
    data = base64.b64encode(kept.getvalue()).decode("ascii")
    larger = max(1, round(48 / high))  # small ones are shown larger, by whole pixels
    drawn = Html('<img alt="" height="{}" src="data:image/png;base64,{}">')
    return drawn.format(high * larger, data)
