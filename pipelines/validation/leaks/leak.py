"""The kinds of leaks, and the record of a leak."""

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
    "formula",
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
    "recoding": ("error", "a column is a recoding of the target's classes"),
    "missingness": ("error", "the missing values of a column are exactly those of one class"),
    "copy": ("error", "a column is a monotonic function of the target"),
    "formula": ("error", "the target is an exact sum or difference of columns"),
    "target mean": ("error", "a column is the mean of the target over the rows of a level"),
    "identifier": ("error", "the order of an identifier is the order of the target"),
    "twice": ("error", "a key or a group is in two roles"),
    "future": ("error", "training or validation rows are not older than all test rows"),
    "strength": ("warning", "a column alone predicts the target almost perfectly"),
    "near duplicates": ("warning", "test rows are almost equal to training rows"),
    "row order": ("error", "the rows are a sequence, and neighbours can be in different roles"),
    "duplicates": ("warning", "test rows are equal to training or validation rows"),
}
"""Severity and meaning by kind. With too few rows or too many exceptions for a proof, an error
becomes a warning."""

ROW_ORDER: Literal["row order"] = "row order"
"""The kind without a column, also the entry of `features.allow_leaks` that allows it."""

ORDERED = (
    "split: {time: {column: COLUMN}}   to test on the newest rows, if a column has dates",
    "split: {group: COLUMN}   if a column names what the rows belong to",
    f"features: {{allow_leaks: [{ROW_ORDER}]}}   if the order of the rows has no meaning",
)
"""What to type when the rows are a sequence."""

PROOF = 0.005
"""Largest share of exceptions in a proof."""

SHOWN = 5
"""Number of rows listed as examples."""


@dataclass(frozen=True)
class Leak:
    """One way in which the target or a test row is revealed too early.

    Attributes:
        kind: one of `KINDS`.
        column: the column that leaks; empty if whole rows do.
        severity: an error is a proof, a warning needs a check by a person.
        words: the finding.
        count: checked rows that support the finding; for rows in two roles, the rows concerned.
        share: `count` as a share of the checked rows, in [0, 1].
        rows: numbers of some of these rows, counted from 1 below the header.
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
        """The line of the experiment file that allows the leak; empty if nothing does."""
        name = ROW_ORDER if self.kind == ROW_ORDER else self.column
        return f"features: {{allow_leaks: [{name}]}}" if name else ""


def make_leak(
    kind: Kind, column: str, words: str, count: int, share: float, rows: Iterable[int] = ()
) -> Leak:
    """Create a leak with the severity of its kind.

    Args:
        kind: kind of the leak.
        column: the column that leaks; empty if whole rows do.
        words: the finding.
        count: rows that support the finding.
        share: `count` as a share of the checked rows, in [0, 1].
        rows: numbers of these rows, from 0; the first `SHOWN` are kept.
    """
    some = tuple(int(row) + 1 for row in list(rows)[:SHOWN])
    return Leak(kind, column, KINDS[kind][0], words, int(count), round(float(share), 6), some)


def prove(
    kind: Kind, column: str, words: str, exceptions: int, rows: Sequence[int] | Places, enough: bool
) -> Leak:
    """Create a leak that all given rows except a few support.

    Args:
        kind: kind of the leak.
        column: the column that leaks.
        words: the finding.
        exceptions: number of rows that do not support it.
        rows: numbers of all rows that were checked, from 0.
        enough: whether the rows are enough for a proof; otherwise it is a warning.
    """
    n = len(rows)
    found = make_leak(kind, column, words, n - exceptions, 1 - exceptions / n, rows)
    return found if enough else replace(found, severity="warning")
