"""Formatting of numbers for people."""

from __future__ import annotations

import math

SMALLEST, LARGEST = 1e-4, 1e15
"""Range of absolute values that are written without an exponent."""

LEAST_P = 0.001
"""Smallest p-value that is written as a number."""


def number(value: float, digits: int = 4) -> str:
    """Format a number with some significant digits; those before the point are always complete.

    Args:
        value: any float; NaN and infinity are formatted as by Python.
        digits: significant digits, 1 or more; trailing zeros are removed.

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


def p_value(p: float | None) -> str:
    """Format a p-value for a column, with three decimals; None is empty.

    Examples:
        >>> p_value(0.0314), p_value(7.01e-07), p_value(1), p_value(None)
        ('0.031', '<0.001', '1.000', '')
    """
    if p is None:
        return ""
    return f"<{LEAST_P}" if p < LEAST_P else f"{p:.3f}"


def p_words(p: float | None) -> str:
    """Format a p-value for a sentence.

    Examples:
        >>> p_words(0.0314), p_words(7.01e-07), p_words(None)
        ('p = 0.031', 'p < 0.001', 'p unknown')
    """
    if p is None:
        return "p unknown"
    return f"p < {LEAST_P}" if p < LEAST_P else f"p = {p_value(p)}"
