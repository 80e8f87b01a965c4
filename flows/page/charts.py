"""Pictures of a run's page: its plots, reduced to fit, and charts of its metrics."""

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
"""Maximum bytes of all pictures of a page, as base64; a page stays below 2 MB."""

WIDTHS = (1200, 900, 700, 500, 350)
"""Widths in pixels, tried in order for a picture that is too large."""

PLOTTED = 150 / 96
"""Dots of a plot per CSS pixel, so that its text is as large as the page's."""

CAPTIONS = {
    "calibration": "Observed frequency of a class by its predicted probability.",
    "confusion_matrix": "True classes against predicted ones, on the test rows.",
    "feature_maps": "Output of the first layers for a test picture.",
    "gallery": "Some test rows with prediction and truth; most confident errors first.",
    "importance": "Share of the differences between points that each parameter explains.",
    "learning_curves": "Loss and objective by epoch, on training rows (dashed) and validation rows "
    "(solid).",
    "parallel_coordinates": "Each point of the search as a line over its parameters to its score.",
    "residuals": "Predicted against true values, and the distribution of the errors.",
    "roc_pr": "True against false positives (ROC), and precision against recall.",
}


def figures(pictures: Sequence[Path]) -> list[Block]:
    """Return the pictures, embedded; bytes that one does not need are left for the others."""
    sizes = {file: file.stat().st_size for file in pictures}
    left, made = ROOM * 3 // 4, {}  # base64 writes three bytes as four letters
    for place, file in enumerate(sorted(pictures, key=lambda file: sizes[file])):
        made[file], shown = _figure(file, left // (len(pictures) - place))
        left -= shown
    return [made[file] for file in pictures]


def _figure(file: Path, most: int) -> tuple[Block, int]:
    """Return a picture and its bytes; one that does not fit is only named."""
    import PIL.Image

    words = file.stem.replace("_", " ")
    caption = CAPTIONS.get(file.stem, words.capitalize() + ".")
    with PIL.Image.open(file) as image:
        wide, high = (round(side / PLOTTED) for side in image.size)
        content, kind = _shrunk(file, image, most)
    if not content:
        note = (
            f"{caption} It is too large for this page; see {file.name} among the run's artifacts."
        )
        return Text(note, "note"), 0
    data = base64.b64encode(content).decode("ascii")
    drawn = Html('<img src="data:image/{};base64,{}" width="{}" height="{}" alt="{}">').format(
        kind, data, wide, high, f"{words.capitalize()}: {caption}"
    )
    return Figure(drawn, caption, "picture"), len(content)


def _shrunk(file: Path, image: Image, most: int) -> tuple[bytes, str]:
    """Return the file if it is small enough, else a smaller WebP, else no bytes."""
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
"""Size of a metric's chart, in CSS pixels."""

MODEL, LINEAR, CHAMPION = "#0072B2", "#D55E00", "#009E73"


def legend(others: Collection[str]) -> Text:
    """Return the legend of `metric_chart` for the models that are present."""
    marks = [(MODEL, "●", "the model and its interval")]
    marks += [(LINEAR, "▮", "linear")] * ("linear" in others)
    marks += [(CHAMPION, "◇", "champion")] * ("champion" in others)
    text = Html(" · ").join(
        Html('<span style="color:{}">{}</span> {}').format(*each) for each in marks
    )
    return Text(text + ". Each row has its own scale.", "note")


def metric_chart(metric: Metric, linear: float | None, champion: float | None) -> Html:
    """Draw a metric with its comparisons, as an SVG without text.

    Args:
        metric: value and interval of the model.
        linear: value of the linear baseline, or None.
        champion: value of the champion, or None.

    Returns:
        SVG; empty if the value is undefined or there is nothing to compare.
    """
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
