"""Plots of a column as SVG: the geometry of bars."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from gristmill.pipelines.profiling.column_plots import (
    COLOURS,
    HIGH,
    LABEL,
    LINE,
    OTHERS,
    PAIR,
    WIDE,
    histogram,
    legend,
    level_bars,
    pairs,
    ranges,
    shares,
)
from gristmill.pipelines.profiling.target_relation import Bin


def rectangles(svg: str) -> list[tuple[float, float, float, float]]:
    """Return x, y, width and height of each rectangle; all are inside the picture."""
    root = ET.fromstring(svg)
    _, _, wide, high = map(float, root.attrib["viewBox"].split())
    names = ("x", "y", "width", "height")
    found = [tuple(float(r.attrib[name]) for name in names) for r in root.iter("rect")]
    for x, y, width, height in found:
        assert 0 <= x <= x + width <= wide + 0.1
        assert 0 <= y <= y + height <= high + 0.1
    return [(x, y, width, height) for x, y, width, height in found]


def texts(svg: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(svg).iter("text")]


def test_the_bars_of_a_histogram_are_as_high_as_their_counts() -> None:
    made = histogram([1, 4, 0, 2], "0", "9")
    bars = rectangles(made)
    assert [height for *_, height in bars] == pytest.approx([HIGH / 4, HIGH, 0, HIGH / 2])
    assert {y + height for _, y, _, height in bars} == {HIGH}
    assert [x for x, *_ in bars] == [place * WIDE / 4 for place in range(4)]
    assert texts(made) == ["0", "9"]


def test_the_bars_of_levels_are_as_long_as_their_counts() -> None:
    made = level_bars([("often", 30), ("rare", 10)], 80)
    (x, y, longest, _), (x2, y2, other, _) = rectangles(made)
    assert x == x2 == LABEL
    assert y2 - y == LINE
    assert longest / other == pytest.approx(3, rel=0.01)
    assert texts(made) == ["often", "37.5%", "rare", "12.5%"]


def test_pairs_of_bars_have_one_scale_and_do_not_overlap() -> None:
    made = pairs([("a", 0.5, 0.25), ("b", 0.1, 0.2)])
    bars = rectangles(made)
    lengths = [width for _, _, width, _ in bars]
    assert [width / lengths[0] for width in lengths] == pytest.approx([1, 0.5, 0.2, 0.4], rel=0.01)
    assert lengths[0] > (WIDE - LABEL) / 2
    assert {x for x, *_ in bars} == {LABEL}
    tops = [y for _, y, _, _ in bars]
    assert [tops[2] - tops[0], tops[3] - tops[1]] == [PAIR, PAIR]
    for (_, y, _, height), following in zip(bars, tops[1:], strict=False):
        assert y + height < following
    assert texts(made) == ["a", "50.0%", "25.0%", "b", "10.0%", "20.0%"]


def test_pairs_without_any_share_have_no_length() -> None:
    assert [width for _, _, width, _ in rectangles(pairs([("a", 0.0, 0.0)]))] == [0, 0]


def test_the_shares_of_classes_fill_a_line() -> None:
    bins = [Bin("low", 8, shares=(0.25, 0.75)), Bin("high", 8, shares=(0.5, 0.25))]
    made = shares(bins)
    first, second = (
        [(x, width) for x, y, width, _ in rectangles(made) if y == line * LINE + 2]
        for line in (0, 1)
    )
    room = WIDE - LABEL
    assert first == [(LABEL, room * 0.25), (LABEL + room * 0.25, room * 0.75)]
    assert [width for _, width in second] == [room * 0.5, room * 0.25, room * 0.25]
    assert made.count(OTHERS) == 1  # the share of classes that are not shown


def test_the_range_of_a_bin_contains_its_median() -> None:
    made = ranges([Bin("a", 4, quartiles=(0, 5, 10)), Bin("b", 4, quartiles=(5, 5, 20))])
    (x, _, box, _), (median, _, mark, _), (x2, _, box2, _), (median2, *_) = rectangles(made)
    assert x == LABEL
    assert (x2 - x, box2) == pytest.approx((box / 2, box * 1.5))
    assert median + mark / 2 == pytest.approx(x + box / 2)
    assert median2 + mark / 2 == pytest.approx(x2)
    assert texts(made)[-2:] == ["0", "20"]


def test_a_legend_counts_the_classes_without_a_colour() -> None:
    assert "others" not in legend(["a", "b"])
    made = legend([f"class {number}" for number in range(20)])
    shown = made.count('<span class="class">') - 1
    assert f"{20 - shown} others" in made
    assert COLOURS[0] in made
