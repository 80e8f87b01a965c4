"""Errors of readers for files that are not tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gristmill.pipelines.base import ConfigError, InputError, Problem
from gristmill.pipelines.ingestion.readers.formats import FORMATS

KEPT = 100
"""Maximum number of refused rows that are kept for the report."""


def declare(key: str, value: str) -> str:
    """Return what to type to declare a setting of a text table."""
    word = value if re.fullmatch(r"[\w…-]+", value) else f"'{value}'"
    return (
        f"gristmill new … --csv {key}={word}   in an experiment file, "
        f"data: {{csv: {{{key}: {word}}}}}"
    )


def unreadable(
    raw: Path, expected: str, found: str, next: str = "fix the file at its source"
) -> InputError:
    """Return the error for a file that cannot be read as a whole.

    Args:
        raw: the file or folder.
        expected, found, next: as in `GristmillError`.
    """
    return InputError(
        f"{raw.name} cannot be read as a table", expected=expected, found=found, next=next
    )


def forbidden(raw: Path) -> ConfigError:
    """Return the error for a file that the user has no permission to read."""
    return ConfigError(
        f"{raw.name} is not readable",
        expected="permission to read it",
        found="no permission",
        next=f"chmod u+rX '{raw}'",
    )


def broken(raw: Path, error: BaseException) -> InputError:
    """Return the error for a file that a library could not read, with its message shortened."""
    words = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, EOFError):
        words = "Truncated: " + words
    kinds = [kind.name for kind in FORMATS if not kind.folder]
    whole = f"a complete {', '.join(kinds[:-1])} or {kinds[-1]} file"
    return unreadable(raw, whole, words)


def refused(
    raw: Path,
    what: str,
    expected: str,
    problems: Sequence[Problem],
    next: str = "fix these lines in the source",
) -> InputError:
    """Return the error for rows that cannot be read; at most `KEPT` are listed.

    Args:
        raw: the file.
        what: the kind of row in the singular, such as `ragged row`.
        expected: what each row should be.
        problems: where the rows are.
        next: as in `GristmillError`.
    """
    count = f"{KEPT} or more" if len(problems) >= KEPT else str(len(problems))
    return InputError(
        f"{raw.name} has {count} {what}" + "s" * (len(problems) > 1),
        expected=expected,
        problems=problems[:KEPT],
        next=next,
    )


def check_names(raw: Path, names: Sequence[str]) -> None:
    """Check that column names are unique, not blank, and without line breaks.

    Raises:
        InputError: a name is not.
    """
    twice = [name for name, count in Counter(names).items() if count > 1 and name.strip()]
    if twice:
        shown = ", ".join(repr(name) for name in twice[:10])
        raise unreadable(raw, "each column name once", f"more than once: {shown}")
    blank = [place for place, name in enumerate(names, 1) if not name.strip()]
    if blank:
        raise unreadable(raw, "a name for each column", f"none for column {blank[0]}")
    odd = [name for name in names if "\n" in name or "\r" in name]
    if odd:
        raise unreadable(raw, "column names without a line break", f"{odd[0]!r}")


def check_same(raw: Path, names: Sequence[str], first: Path, wanted: Sequence[str]) -> None:
    """Check that two parts of a folder have the same columns, in any order.

    Args:
        raw: the part to check.
        names: its columns.
        first: the part to compare with.
        wanted: the columns of `first`.

    Raises:
        InputError: the columns differ.
    """
    lacking = [name for name in wanted if name not in names]
    more = [name for name in names if name not in wanted]
    if lacking or more:
        words = [f"without {', '.join(lacking[:10])}"] * bool(lacking)
        words += [f"with {', '.join(more[:10])}"] * bool(more)
        raise unreadable(
            raw,
            f"the columns of {first.name}: {', '.join(wanted[:10])}",
            "; ".join(words),
            "if these are different tables, unpack them and give one alone: --data FILE",
        )
