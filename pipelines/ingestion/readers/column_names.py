"""The names of columns: one for each, each once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from gristmill.pipelines.ingestion.readers.faults import unreadable


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
