"""Pictures of the page of a run: its plots, small enough, and charts of its metrics."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.pipelines.evaluation import Metric
from gristmill.pipelines.reporting import Block, Figure, Html, Text

if TYPE_CHECKING:
    from PIL.Image import Image

ROOM = 1_300_000
"""Bytes that all pictures of a page may take together, as base64; a page stays below 2 MB."""

WIDTHS = (1200, 900, 700, 500, 350)
"""Pixels, tried one after the other for a picture that is too large."""

PLOTTED = 150 / 96
"""Dots of a plot for each CSS pixel, so that its letters are as large as the page's."""

CAPTIONS = {
    "calibration": "How often a class came true, by the probability that it was given.",
    "confusion_matrix": "True classes against predicted ones, on the test rows.",
    "feature_maps": "What the first layers make of a test picture.",
    "gallery": "Some test rows with the answer and the truth; the surest mistakes come first.",
    "importance": "How much each parameter accounts for the differences between the points.",
    "learning_curves": "Loss and objective by epoch, on training rows (dashed) and validation rows "
    "(solid).",
    "parallel_coordinates": "Each point of the search as a line over its parameters, to its score.",
    "residuals": "Predicted against true values, and how the errors are distributed.",
    "roc_pr": "True against false positives (ROC), and precision against recall.",
}


def figures(pictures: Sequence[Path]) -> list[Block]:
    """The pictures, all inside the page; what one does not need of the room is another's."""
    sizes = {file: file.stat().st_size for file in pictures}
    left, made = ROOM * 3 // 4, {}  # base64 writes three bytes as four letters
    for place, file in enumerate(sorted(pictures, key=lambda file: sizes[file])):
        made[file], shown = _figure(file, left // (len(pictures) - place))
        left -= shown
    return [made[file] for file in pictures]


def _figure(file: Path, most: int) -> tuple[Block, int]:
    """A picture, and the bytes that it took; one that has no room is named."""
    import PIL.Image

    words = file.stem.replace("_", " ")
    caption = CAPTIONS.get(file.stem, words.capitalize() + ".")
    with PIL.Image.open(file) as image:
        wide, high = (round(side / PLOTTED) for side in image.size)
        content, kind = _shrunk(file, image, most)
    if not content:
        note = f"{caption} It is too large for this page: {file.name} of the run's artifacts."
        return Text(note, "note"), 0
    data = base64.b64encode(content).decode("ascii")
    drawn = Html('<img src="data:image/{};base64,{}" width="{}" height="{}" alt="{}">').format(
        kind, data, wide, high, f"{words.capitalize()}: {caption}"
    )
    return Figure(drawn, caption, "picture"), len(content)


def _shrunk(file: Path, image: Image, most: int) -> tuple[bytes, str]:
    """The file as it is if it is small enough, else a WebP of fewer dots; else nothing."""
    if file.stat().st_size <= most:
        return file.read_bytes(), "png"
    for width in WIDTHS:
        small = image.convert("RGB")
        small.thumbnail((width, 4 * width))
        buffer = io.BytesIO()
        small.save(buffer, "WEBP", quality=75)
        if buffer.tell() <= most:
            return buffer.getvalue(), "webp"
    return b"", ""


WIDE, HIGH, EDGE = 170, 18, 9
"""Of the chart of a metric, in CSS pixels."""

MODEL, LINEAR, CHAMPION = "#0072B2", "#D55E00", "#009E73"


def legend(others: Collection[str]) -> Text:
    """What the marks of `metric_chart` are, of those that are there."""
    marks = [(MODEL, "●", "the model and its interval")]
    marks += [(LINEAR, "▮", "linear")] * ("linear" in others)
    marks += [(CHAMPION, "◇", "champion")] * ("champion" in others)
    said = Html(" · ").join(
        Html('<span style="color:{}">{}</span> {}').format(*each) for each in marks
    )
    return Text(said + ". Each line has a scale of its own.", "note")


def metric_chart(metric: Metric, linear: float | None, champion: float | None) -> Html:
    """A metric beside what it is compared with, as a small picture without words."""
    known = [metric.low, metric.high, metric.value, linear, champion]
    numbers = [value for value in known if value is not None and math.isfinite(value)]
    if not math.isfinite(metric.value) or len(numbers) < 2:
        return Html("")
    low, apart = min(numbers), (max(numbers) - min(numbers)) or 1.0

    def at(value: float) -> float:
        return EDGE + (WIDE - 2 * EDGE) * (value - low) / apart

    middle, parts = HIGH / 2, []
    if metric.low is not None and metric.high is not None:
        line = f"M{at(metric.low):.1f} {middle}H{at(metric.high):.1f}"
        parts.append(f'<path d="{line}" stroke="{MODEL}" stroke-width="2"/>')
    if linear is not None and math.isfinite(linear):
        left = at(linear) - 2
        parts.append(f'<rect x="{left:.1f}" y="2" width="4" height="14" fill="{LINEAR}"/>')
    if champion is not None and math.isfinite(champion):
        diamond = f"M{at(champion):.1f} {middle - 7}l7 7l-7 7l-7 -7z"
        line = f'stroke="{CHAMPION}" stroke-width="2"'
        parts.append(f'<path d="{diamond}" fill="none" {line}/>')
    dot = f'<circle cx="{at(metric.value):.1f}" cy="{middle}" r="3.5" fill="{MODEL}"/>'
    size = f'viewBox="0 0 {WIDE} {HIGH}" width="{WIDE}" height="{HIGH}"'
    return Html(f'<svg {size} aria-hidden="true">{"".join(parts)}{dot}</svg>')
