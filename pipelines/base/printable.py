"""Text from data, file names and archives, made safe to print."""

from __future__ import annotations

import re

UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, except tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # these change the order of what follows
    "\u2028\u2029\ufeff\ud800-\udfff]"  # line separators; halves of characters
)


def printable(text: object) -> str:
    r"""Replace characters that control a terminal or reorder text by their escapes.

    All text goes through here on its way to the screen, to an error and to a log.

    Examples:
        >>> printable("\x1b]52;c;cm0=\x07 red")
        '\\u001b]52;c;cm0=\\u0007 red'
    """
    return UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", str(text))
