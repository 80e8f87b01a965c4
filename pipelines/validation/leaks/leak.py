"""What a leak is, and how it is told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from gristmill.pipelines.config import Severity
from gristmill.pipelines.tables import Places

Kind = Literal[
    "recoding",
    "missingness",
    "copy",
    "target mean",
    "identifier",
    "twice",
    "future",
    "strength",
    "near duplicates",
    "row order",
    "duplicates",
]

KINDS: dict[Kind, tuple[Severity, str]] = {
    "recoding": ("error", "a column names the classes of the target in other words"),
    "missingness": ("error", "whether a value is missing tells the class"),
    "copy": ("error", "a column rises or falls with the target, row by row"),
    "target mean": ("error", "a column is the target's mean over the rows of a level"),
    "identifier": ("error", "the order of an identifier is the order of the target"),
    "twice": ("error", "a key or a group is in two roles"),
    "future": ("error", "rows to learn from are dated on or after the first test row"),
    "strength": ("warning", "a column alone predicts nearly as well as the target itself"),
    "near duplicates": ("warning", "test rows lie next to rows that are learnt from"),
    "row order": ("warning", "the target depends on the place of a row in the file"),
    "duplicates": ("warning", "test rows equal rows that are learnt from"),
}
"""Each kind with its severity and its meaning. Where rows are too few for a proof, or it has more
exceptions than a proof may have, an error becomes a warning."""

PROOF = 0.005
"""Largest share of exceptions that a proof may have."""

SHOWN = 5
"""Rows that are named as examples."""


@dataclass(frozen=True)
class Leak:
    """One way in which the target, or a test row, is told before its time.

    Attributes:
        kind: one of `KINDS`.
        column: the column that tells; empty where whole rows do.
        severity: an error is a proof, a warning is a reason to look.
        words: what was found.
        count: rows that were looked at and bear it out; for rows in two roles, these rows.
        share: the same as a share of the rows that were looked at, in [0, 1].
        rows: the numbers of some such rows, counted from 1 below the header.
    """

    kind: Kind
    column: str
    severity: Severity
    words: str
    count: int
    share: float
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.column}: {self.words}" if self.column else self.words

    @property
    def allowed_by(self) -> str:
        """The line of the experiment file that allows it; empty where none does."""
        return f"features: {{allow_leaks: [{self.column}]}}" if self.column else ""


def make_leak(
    kind: Kind, column: str, words: str, count: int, share: float, rows: Iterable[int] = ()
) -> Leak:
    """A leak with the severity of its kind."""
    some = tuple(int(row) + 1 for row in list(rows)[:SHOWN])
    return Leak(kind, column, KINDS[kind][0], words, int(count), round(float(share), 6), some)


def prove(
    kind: Kind, column: str, words: str, exceptions: int, rows: Sequence[int] | Places, enough: bool
) -> Leak:
    """A leak that all of some rows but a few bear out; a warning where they are not enough."""
    n = len(rows)
    found = make_leak(kind, column, words, n - exceptions, 1 - exceptions / n, rows)
    return found if enough else replace(found, severity="warning")
