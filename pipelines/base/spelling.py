"""Suggestions for misspelled names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name most similar to `name`, or an empty text if none is similar.

    Examples:
        >>> nearest("acuracy", ["accuracy", "recall"])
        'accuracy'
    """
    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else ""


def suggest(
    name: str, known: Iterable[str], otherwise: str = "", *, before: str = "", mark: str = ""
) -> str:
    """Return `did you mean NAME?`, or `otherwise` if no known name is similar.

    Args:
        name: The name that was found.
        known: The valid names.
        otherwise: The text if there is no suggestion.
        before: Text before the suggestion, such as `; `, that joins it to a sentence.
        mark: Prefix of the suggested name, such as `$`.
    """
    near = nearest(name, known)
    return f"{before}did you mean {mark}{near}?" if near else otherwise
