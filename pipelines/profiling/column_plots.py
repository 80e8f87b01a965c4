"""Small plots as SVG text: bars, shares and ranges. A page with hundreds of them stays small."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from gristmill.pipelines.profiling.target_relation import CLASSES, Bin
from gristmill.pipelines.profiling.yaml_text import short
from gristmill.pipelines.reporting import Html

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's palette, suitable for colour-blind readers."""

OTHERS = "#BBBBBB"
WIDE, HIGH = 300, 90
"""Size of a histogram, in points."""

LINE = 16
"""Height of a bar with its margin, in points."""

PAIR = 30
"""Height of a pair of bars with its margin, in points."""

LABEL = 96
"""Width of the labels left of bars, in points."""

LETTERS = 15
"""Largest number of letters in a label."""


def histogram(heights: Sequence[int], low: str, high: str) -> Html:
    """Draw bars side by side, with the ends of the range below.

    Args:
        heights: rows of each bar.
        low: lower end of the range, as text.
        high: upper end of the range, as text.
    """
    most, wide = max(heights, default=0) or 1, WIDE / max(len(heights), 1)
    bars = "".join(
        _rectangle(i * wide, HIGH * (1 - h / most), max(wide - 1, 1), HIGH * h / most, COLOURS[0])
        for i, h in enumerate(heights)
    )
    ends = _text(0, HIGH + 13, low) + _text(WIDE, HIGH + 13, high, "end")
    line = f'<path d="M0 {HIGH}.5H{WIDE}" stroke="#999"/>'
    return _picture(bars + line + ends, HIGH + 18)


def level_bars(levels: Sequence[tuple[str, int]], rows: int) -> Html:
    """Draw a bar for each level, with its share of the rows."""
    most = max((count for _, count in levels), default=0) or 1
    room = WIDE - LABEL - 44
    lines = "".join(
        _text(LABEL - 6, i * LINE + 12, _cut(label), "end", label)
        + _rectangle(LABEL, i * LINE + 2, room * count / most, LINE - 4, COLOURS[0])
        + _text(LABEL + room * count / most + 4, i * LINE + 12, f"{count / rows:.1%}")
        for i, (label, count) in enumerate(levels)
    )
    return _picture(lines, max(len(levels), 1) * LINE)


def shares(bins: Sequence[Bin]) -> Html:
    """Draw a line for each bin: the shares of the classes, side by side."""
    lines = []
    for place, made in enumerate(bins):
        top, left = place * LINE, float(LABEL)
        lines.append(_text(LABEL - 6, top + 12, _cut(made.label), "end", made.label))
        rest = max(0.0, 1 - sum(made.shares))
        colours = (*COLOURS[:CLASSES], OTHERS)
        parts = (*made.shares, *[0.0] * (CLASSES - len(made.shares)), rest)
        for colour, share in zip(colours, parts, strict=True):
            wide = (WIDE - LABEL) * share
            if share > 0.0005:
                lines.append(_rectangle(left, top + 2, wide, LINE - 4, colour, f"{share:.1%}"))
            left += wide
    return _picture("".join(lines), max(len(bins), 1) * LINE)


def ranges(bins: Sequence[Bin]) -> Html:
    """Draw a line for each bin: quartiles and median of the target."""
    low = min((made.quartiles[0] for made in bins), default=0.0)
    high = max((made.quartiles[2] for made in bins), default=1.0)
    scale = (WIDE - LABEL - 4) / ((high - low) or 1.0)
    lines = []
    for place, made in enumerate(bins):
        top = place * LINE
        first, middle, last = (LABEL + (q - low) * scale for q in made.quartiles)
        lines.append(_text(LABEL - 6, top + 12, _cut(made.label), "end", made.label))
        lines.append(_rectangle(first, top + 5, max(last - first, 1), LINE - 10, "#9CC4E0"))
        lines.append(
            _rectangle(middle - 1.5, top + 2, 3, LINE - 4, COLOURS[0], f"{made.rows} rows")
        )
    below = len(bins) * LINE + 13
    lines.append(_text(LABEL, below, short(low)) + _text(WIDE - 4, below, short(high), "end"))
    return _picture("".join(lines), below + 5)


def pairs(bins: Sequence[tuple[str, float, float]]) -> Html:
    """Draw two bars for each bin, in the first two colours.

    Args:
        bins: (label, share before, share now), shares in [0, 1].
    """
    most = max((max(before, now) for _, before, now in bins), default=0.0) or 1.0
    room = WIDE - LABEL - 44
    lines = []
    for place, (label, *both) in enumerate(bins):
        top = place * PAIR
        lines.append(_text(LABEL - 6, top + 17, _cut(label), "end", label))
        for line, (share, colour) in enumerate(zip(both, COLOURS, strict=False)):
            at, wide = top + 2 + line * 12, room * share / most
            lines.append(_rectangle(LABEL, at, wide, 11, colour, f"{share:.1%}"))
            lines.append(_text(LABEL + wide + 4, at + 9.5, f"{share:.1%}"))
    return _picture("".join(lines), max(len(bins), 1) * PAIR)


def legend(classes: Sequence[str]) -> Html:
    """Draw the colours of the classes."""
    shown = [*zip(COLOURS, classes[:CLASSES], strict=False)]
    if len(classes) > CLASSES:
        shown.append((OTHERS, f"{len(classes) - CLASSES} others"))
    mark = Html('<span class="class"><i style="background:{}"></i>{}</span>')
    return Html(" ").join(mark.format(colour, _cut(name, 40)) for colour, name in shown)


def _picture(inside: str, high: float) -> Html:
    size = f'viewBox="0 0 {WIDE} {high:g}" width="{WIDE}" height="{high:g}"'
    return Html(f'<svg {size} role="img">{inside}</svg>')


def _rectangle(x: float, y: float, wide: float, high: float, colour: str, title: str = "") -> str:
    inside = f"<title>{escape(title)}</title>" if title else ""
    return (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(wide, 0):.1f}" height="{max(high, 0):.1f}" '
        f'fill="{colour}">{inside}</rect>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", title: str = "") -> str:
    inside = f"<title>{escape(title)}</title>" if title and title != text else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}{inside}</text>'


def _cut(text: str, most: int = LETTERS) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
