"""How numbers are written for people."""

from __future__ import annotations

import math

SMALLEST, LARGEST = 1e-4, 1e15
"""From here to there a number is written without an exponent."""


def number(value: float, digits: int = 4) -> str:
    """Write a number with so many significant digits, but never fewer than those before the point.

    Args:
        value: any float; those that are not finite are written as Python writes them.
        digits: significant digits, 1 or more; zeros at the end are left out.

    Examples:
        >>> number(0.93812), number(12345.678), number(340.2, 2), number(0.0000123)
        ('0.9381', '12,346', '340', '1.23e-05')
    """
    size = abs(value)
    if not math.isfinite(value) or (size and not SMALLEST <= size < LARGEST):
        return f"{value:.{digits}g}"
    decimals = max(digits - 1 - math.floor(math.log10(size)), 0) if size else 0
    text = f"{value:,.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
