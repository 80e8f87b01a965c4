"""Durations as people write them."""

from __future__ import annotations

import re

DURATION = r"^\d+(\.\d+)?[smhdw]$"
"""A number and s, m, h, d or w, such as 36h."""

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def read_duration(text: str) -> float:
    """Convert a duration such as `36h`, `7d` or `2.5w` to seconds.

    Raises:
        ValueError: The text has another form.

    Examples:
        >>> read_duration("36h")
        129600.0
    """
    if not re.match(DURATION, text):
        raise ValueError(f"{text!r} is not a number followed by one of {', '.join(SECONDS)}")
    return float(text[:-1]) * SECONDS[text[-1]]
