"""The nearest of several names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like `name`, or an empty text when none is near."""
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else ""


def suggest(
    name: str, known: Iterable[str], otherwise: str = "", *, before: str = "", mark: str = ""
) -> str:
    """Return `did you mean NAME?`, or `otherwise` when no known name is near.

    Args:
        name: What was found.
        known: What it may be.
        otherwise: The text without a suggestion.
        before: What joins the suggestion to the sentence before it.
        mark: What the name is written with, such as `$`.
    """
    near = nearest(name, known)
    return f"{before}did you mean {mark}{near}?" if near else otherwise
