"""Removal of secrets from text that is shown, logged or stored."""

from __future__ import annotations

import re

CREDENTIALS = (
    # user:password@, up to the last @: a password can contain any character
    (re.compile(r"(\w[\w+.-]*://[^\s:/@\"'<>]*):[^\s\"'<>]+@"), r"\1:***@"),
    # a user without a password in a web address is a token
    (re.compile(r"(https?://)[^\s:/@\"'<>]+@"), r"\1***@"),
    # values in the query of a web address: signatures, tokens and keys under any name
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
    """Replace secrets in addresses, and after words such as `token:`, with `***`.

    Examples:
        >>> redact("postgresql://ann:hunter2@db.example/sales")
        'postgresql://ann:***@db.example/sales'
    """
    for pattern, kept in CREDENTIALS:
        text = pattern.sub(kept, text)
    return text
