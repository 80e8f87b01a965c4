"""How readers say that a file is no table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gristmill.pipelines.base import ConfigError, InputError, Problem
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


def forbidden(raw: Path) -> ConfigError:
    """The user lacks the right to read it."""
    return ConfigError(
        f"{raw.name} may not be read",
        expected="a file or folder that you may read",
        found="no permission",
        next=f"chmod u+rX '{raw}'",
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


def check_names(raw: Path, names: Sequence[str]) -> None:
    """Raises InputError for names that are blank, double or of several lines."""
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
    """Raises InputError where two parts of a folder have different columns."""
    lacking = [name for name in wanted if name not in names]
    more = [name for name in names if name not in wanted]
    if lacking or more:
        words = [f"without {', '.join(lacking[:10])}"] * bool(lacking)
        words += [f"with {', '.join(more[:10])}"] * bool(more)
        raise unreadable(
            raw, f"the columns of {first.name}: {', '.join(wanted[:10])}", "; ".join(words)
        )
