"""Values and names as they may stand in a YAML file, and numbers as people write them."""

from __future__ import annotations

import fnmatch
import glob
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

WIDTH = 100
"""Columns of a line of an experiment file."""

PLAIN = re.compile(r"[^\W\d][\w./-]*( [\w./-]+)*")
OTHERWISE_READ = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))
"""Plain words that some reader of YAML takes for something else than a text."""

NUMBERED = re.compile(r"(.*?)(\d+)")
GROUP = 5
"""Columns of one stem and running numbers that are named by one pattern."""


def scalar(value: Any) -> str:
    """A value of an experiment file; texts that begin with a dollar are escaped."""
    if isinstance(value, str):
        return quoted(f"${value}" if value.startswith("$") else value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return number(value)


def quoted(text: str) -> str:
    """A text as a key or a value: plain where it can be."""
    if PLAIN.fullmatch(text) and text.isprintable() and text.lower() not in OTHERWISE_READ:
        return text
    return "".join(
        c if c.isprintable() else f"\\U{ord(c):08x}" for c in json.dumps(text, ensure_ascii=False)
    )


def broad(text: str) -> int:
    """Columns that a text takes on a terminal; Hangul takes two a letter."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def comment(text: str) -> str:
    """Text that can stand behind a `#`: one line, nothing that cannot be printed."""
    return "".join(c if c.isprintable() else "·" for c in " ".join(text.split()))


def number(value: Any) -> str:
    """Shortest form that YAML 1.2 reads back as the same number."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = repr(value)
    return text.replace("e", ".0e", 1) if re.fullmatch(r"-?\d+e[+-]?\d+", text) else text


def short(value: float) -> str:
    """A number for people: four significant digits, thousands parted."""
    if value and (abs(value) >= 1e9 or abs(value) < 1e-3):
        return f"{value:.2e}"
    if float(value).is_integer() and 0 <= value < 10_000:
        return f"{value:.0f}"  # also a year
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def moment(seconds: float) -> str:
    """A date for people; the time where there is one."""
    if not -62135596800 <= seconds <= 253402300799:
        return short(seconds)
    at = datetime.fromtimestamp(seconds, UTC)
    return at.strftime(
        "%Y-%m-%d" if (at.hour, at.minute, at.second) == (0, 0, 0) else "%Y-%m-%d %H:%M"
    )


DAYS = 5 * 86400.0
"""Span of dates from which the time of day is left out."""


def writer(type: str, low: float, high: float) -> Callable[[float], str]:
    """How values of a column of this type and span are written for people."""
    if type != "date":
        return short
    return (lambda value: moment(value)[:10]) if high - low > DAYS else moment


def outward(low: float, high: float) -> tuple[float, float]:
    """Loose bounds: the range widened by its own width at both ends, to round numbers.

    Where nothing was below zero the lower bound is zero, and the upper one above zero likewise:
    a sign is a fact about a quantity, its greatest value so far is not.
    """
    width = high - low or max(abs(high), 1.0)
    wide_low, wide_high = low - width, high + width
    if not math.isfinite(wide_low) or not math.isfinite(wide_high):
        return low, high
    least = 0.0 if low >= 0 > wide_low else _round(wide_low, math.floor)
    most = 0.0 if high <= 0 < wide_high else _round(wide_high, math.ceil)
    return least, most


def _round(value: float, towards: Any) -> float:
    """Two significant digits."""
    if value == 0:
        return 0.0
    places = 1 - math.floor(math.log10(abs(value)))
    if not -300 < places < 300:
        return value
    return float(round(towards(round(value * 10.0**places, 6)) / 10.0**places, max(places, 0)))


def stems(names: Sequence[str], within: Sequence[str]) -> dict[str, list[str]]:
    """Patterns for columns of one stem and running numbers, such as `pixel*`.

    Args:
        names: the columns to group.
        within: all columns; a pattern that names others as well is not taken.

    Returns:
        Columns by pattern, for groups of `GROUP` and more.
    """
    found: dict[str, list[str]] = {}
    for name in names:
        if (match := NUMBERED.fullmatch(name)) is not None:
            found.setdefault(match[1], []).append(name)
    groups = {}
    for stem, members in found.items():
        if len(members) < GROUP:
            continue
        for pattern in (f"{glob.escape(stem)}*", f"{glob.escape(stem)}[0-9]*"):
            if pattern not in within and fnmatch.filter(within, pattern) == members:
                groups[pattern] = members
                break
    return groups


def aligned(lines: Iterable[tuple[str, str]], indent: str) -> list[str]:
    """Lines with their comments in one column where that fits, else on a line above."""
    pairs = [(indent + text, comment(note)) for text, note in lines]
    room = [(broad(text), broad(note) + 4) for text, note in pairs]
    fitting = [long for (long, behind), (_, note) in zip(room, pairs, strict=True) if note]
    column = max((long for long in fitting if long <= WIDTH - 24), default=0)
    out: list[str] = []
    for (text, note), (long, behind) in zip(pairs, room, strict=True):
        if not note:
            out.append(text)
        elif long <= column and column + behind <= WIDTH:
            out.append(f"{text}{' ' * (column - long)}  # {note}")
        elif long + behind <= WIDTH:
            out.append(f"{text}  # {note}")
        else:
            out += [*wrapped(note, indent), text]
    return out


def wrapped(text: str, indent: str = "") -> list[str]:
    """A comment of as many lines as it needs."""
    import textwrap

    start = f"{indent}# "
    return textwrap.wrap(
        comment(text), WIDTH, initial_indent=start, subsequent_indent=start, break_on_hyphens=False
    )


def listed(entries: Sequence[str], start: str, indent: str) -> list[str]:
    """`start[a, b, c]`, broken between entries where the line is full."""
    line, out = f"{start}[", []
    for place, entry in enumerate(entries):
        piece = entry + ("]" if place == len(entries) - 1 else ",")
        if len(line) + len(piece) + 1 > WIDTH and not line.endswith("["):
            out.append(line.rstrip())
            line = indent
        line += piece + " "
    return [*out, line.rstrip()]
