"""How readers say that a file is no table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gristmill.pipelines.base import InputError, Problem
from gristmill.pipelines.ingestion.readers.formats import FORMATS

KEPT = 100
"""Refused rows that are kept to be reported."""


def unreadable(
    raw: Path, expected: str, found: str, next: str = "mend the file at its source"
) -> InputError:
    """The file as a whole cannot be read."""
    return InputError(
        f"{raw.name} cannot be read as a table", expected=expected, found=found, next=next
    )


def broken(raw: Path, error: BaseException) -> InputError:
    """A library gave the file up; its words are shortened."""
    words = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, EOFError):
        words = "Truncated: " + words
    kinds = [kind.name for kind in FORMATS if not kind.folder]
    whole = f"a whole {', '.join(kinds[:-1])} or {kinds[-1]} file"
    return unreadable(raw, whole, words)


def refused(raw: Path, what: str, expected: str, problems: Sequence[Problem]) -> InputError:
    """Rows that are no rows of the table; the list may be cut at `KEPT`.

    Args:
        raw: the file.
        what: one of the rows, such as `ragged row`.
        expected: what each should be.
        problems: where they are.
    """
    count = f"{KEPT} or more" if len(problems) >= KEPT else str(len(problems))
    return InputError(
        f"{raw.name} has {count} {what}" + "s" * (len(problems) > 1),
        expected=expected,
        problems=problems[:KEPT],
        next="mend these lines in the source",
    )
