"""Text without secrets: what may be shown, logged or kept of an address or a file."""

from __future__ import annotations

import re

CREDENTIALS = (
    # user:password@; everything up to the last @, for a password may hold any sign
    (re.compile(r"(\w[\w+.-]*://[^\s:/@\"'<>]*):[^\s\"'<>]+@"), r"\1:***@"),
    # a lone user of a web address is a token
    (re.compile(r"(https?://)[^\s:/@\"'<>]+@"), r"\1***@"),
    # the values of a web address's query: signatures, tokens, keys by any name
    (
        re.compile(r"(\w[\w+.-]*://[^\s?\"'<>]*\?)([^\s\"'<>#)]+)"),
        lambda found: found[1] + re.sub(r"=[^&;]*", "=***", found[2]),
    ),
    (
        re.compile(
            r"(?i)((?:password|passwd|secret|token|api_?key)\w*[\"']?\s*[:=]\s*[\"']?)[^\s\"',}&]+"
        ),
        r"\1***",
    ),
)


def redact(text: str) -> str:
    """Text without the secrets in addresses and after words such as `token:`."""
    for pattern, kept in CREDENTIALS:
        text = pattern.sub(kept, text)
    return text
