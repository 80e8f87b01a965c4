"""Lengths of time as people write them."""

from __future__ import annotations

import re

DURATION = r"^\d+(\.\d+)?[smhdw]$"
"""A number and s, m, h, d or w, such as 36h."""

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def read_duration(text: str) -> float:
    """Return the seconds of a text such as `36h`, `7d` or `2.5w`.

    Raises:
        ValueError: It has another form.
    """
    if not re.match(DURATION, text):
        raise ValueError(f"{text!r} is not a number and one of {', '.join(SECONDS)}")
    return float(text[:-1]) * SECONDS[text[-1]]
