"""How readers say that a file is no table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.config import InputError, Problem

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
    return unreadable(raw, "a whole file of its kind", words)


def ragged(raw: Path, columns: int, problems: Sequence[Problem]) -> InputError:
    """Rows that have more or fewer values than the header; the list may be cut at `KEPT`."""
    count = f"{KEPT} or more" if len(problems) >= KEPT else str(len(problems))
    return InputError(
        f"{raw.name} has {count} ragged row" + "s" * (len(problems) > 1),
        expected=f"{columns} values in each row, as in the header",
        problems=problems[:KEPT],
        next="mend these lines in the source",
    )
