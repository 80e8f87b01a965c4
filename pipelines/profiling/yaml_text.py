"""Formatting of values and names for a YAML file, and of numbers for people."""

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
"""Largest width of a line of an experiment file."""

PLAIN = re.compile(r"[^\W\d][\w./-]*( [\w./-]+)*")
OTHERWISE_READ = frozenset(("null", "true", "false", "yes", "no", "on", "off", "y", "n"))
"""Plain words that some YAML parsers do not read as text."""

NUMBERED = re.compile(r"(.*?)(\d+)")
GROUP = 5
"""Least number of columns with the same stem and running numbers that share a pattern."""


def scalar(value: Any) -> str:
    """Format a value of an experiment file; a dollar sign at the beginning is escaped."""
    if isinstance(value, str):
        return quoted(f"${value}" if value.startswith("$") else value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return number(value)


def quoted(text: str) -> str:
    """Format a text as a key or a value, quoted only if necessary."""
    if PLAIN.fullmatch(text) and text.isprintable() and text.lower() not in OTHERWISE_READ:
        return text
    return "".join(
        c if c.isprintable() else f"\\U{ord(c):08x}" for c in json.dumps(text, ensure_ascii=False)
    )


def broad(text: str) -> int:
    """Return the width of a text on a terminal; a letter of Hangul is two columns wide."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def comment(text: str) -> str:
    """Format a text for a comment: one line, without unprintable characters."""
    return "".join(c if c.isprintable() else "·" for c in " ".join(text.split()))


def number(value: Any) -> str:
    """Return the shortest form that YAML 1.2 reads back as the same number."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    text = repr(value)
    return text.replace("e", ".0e", 1) if re.fullmatch(r"-?\d+e[+-]?\d+", text) else text


def short(value: float) -> str:
    """Format a number for people: four significant digits, with thousands separators."""
    if value and (abs(value) >= 1e9 or abs(value) < 1e-3):
        return f"{value:.2e}"
    if float(value).is_integer() and 0 <= value < 10_000:
        return f"{value:.0f}"  # also a year
    if float(value).is_integer() or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def moment(seconds: float) -> str:
    """Format a date for people, with the time of day unless it is midnight."""
    if not -62135596800 <= seconds <= 253402300799:
        return short(seconds)
    at = datetime.fromtimestamp(seconds, UTC)
    return at.strftime(
        "%Y-%m-%d" if (at.hour, at.minute, at.second) == (0, 0, 0) else "%Y-%m-%d %H:%M"
    )


DAYS = 5 * 86400.0
"""Range of dates, in seconds, above which the time of day is omitted."""


def writer(type: str, low: float, high: float) -> Callable[[float], str]:
    """Return the function that formats the values of a column for people.

    Args:
        type: the column's type in a schema.
        low: least value; for dates in seconds since 1970.
        high: greatest value, likewise.
    """
    if type != "date":
        return short
    return (lambda value: moment(value)[:10]) if high - low > DAYS else moment


def outward(low: float, high: float) -> tuple[float, float]:
    """Return loose, round bounds: the range widened by its width at both ends.

    A bound does not cross zero if no value does, because the sign is a property of the quantity,
    but its largest value so far is not.
    """
    width = high - low or max(abs(high), 1.0)
    wide_low, wide_high = low - width, high + width
    if not math.isfinite(wide_low) or not math.isfinite(wide_high):
        return low, high
    least = 0.0 if low >= 0 > wide_low else _round(wide_low, math.floor)
    most = 0.0 if high <= 0 < wide_high else _round(wide_high, math.ceil)
    return least, most


def _round(value: float, towards: Any) -> float:
    """Round to two significant digits."""
    if value == 0:
        return 0.0
    places = 1 - math.floor(math.log10(abs(value)))
    if not -300 < places < 300:
        return value
    return float(round(towards(round(value * 10.0**places, 6)) / 10.0**places, max(places, 0)))


def stems(names: Sequence[str], within: Sequence[str]) -> dict[str, list[str]]:
    """Return patterns for columns with the same stem and running numbers, such as `pixel*`.

    Args:
        names: the columns to group.
        within: all columns; a pattern that matches others as well is not used.

    Returns:
        Columns by pattern, for groups of `GROUP` or more.
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
    """Return lines with aligned comments, or with comments on the line above if too long."""
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
    """Return a text as the lines of a comment."""
    import textwrap

    start = f"{indent}# "
    return textwrap.wrap(
        comment(text), WIDTH, initial_indent=start, subsequent_indent=start, break_on_hyphens=False
    )


def listed(entries: Sequence[str], start: str, indent: str) -> list[str]:
    """Return `start[a, b, c]`, with line breaks between entries where necessary.

    Args:
        entries: formatted values.
        start: the text before the list, with its indent.
        indent: indent of the following lines.
    """
    line, out = f"{start}[", []
    for place, entry in enumerate(entries):
        piece = entry + ("]" if place == len(entries) - 1 else ",")
        if len(line) + len(piece) + 1 > WIDTH and not line.endswith("["):
            out.append(line.rstrip())
            line = indent
        line += piece + " "
    return [*out, line.rstrip()]
