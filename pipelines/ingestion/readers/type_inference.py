"""The types of all columns, settled over the whole file, and the rows in them.

The first rows say what the columns seem to be, and the file is read as that, straight to typed
columns: the usual file is read once. Where a later value contradicts, the columns in doubt are
looked at exactly over the whole file, and it is read again with what they turned out to be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeAlias

import pyarrow as pa

from gristmill.pipelines.base import Problem, side_by_side
from gristmill.pipelines.ingestion.readers.faults import KEPT, refused
from gristmill.pipelines.ingestion.readers.value_kinds import (
    ANY,
    UNDECIDED,
    Kind,
    arrow_type,
    chosen,
)

Batches = Iterator[pa.RecordBatch]


class Rows(NamedTuple):
    """What a reader gives: the columns, and the rows in blocks."""

    schema: pa.Schema
    batches: Batches


class Again(Exception):
    """What came so far is void, for a late value was of another kind: all begins again."""

    def __init__(self, rows: Rows) -> None:
        super().__init__("types were settled anew")
        self.rows = rows


Plan = Mapping[str, Kind]
"""What each column is read as."""


@dataclass(frozen=True)
class Refused:
    """Rows of a piece that are no rows of the table."""

    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Misfit:
    """Columns of a piece that hold values which contradict the plan."""

    columns: frozenset[str]


Parsed: TypeAlias = pa.RecordBatch | Refused | Misfit


class Source(Protocol):
    """A file whose types are settled by reading it."""

    raw: Path
    refuses: tuple[str, str]
    """What a refused row is called, and what is expected instead."""

    def pieces(self, size: int) -> Iterator[Any]:
        """The file from its beginning, in pieces of whole rows of about `size` bytes."""

    def fits(self, piece: Any, among: Collection[str] | None) -> dict[str, Kind]:
        """The kinds that all values of the named columns (None: of all) fit."""

    def more_carefully(self) -> bool:
        """Cuts the file in a slower way that is never wrong; False where that is done already."""

    def parsed(self, piece: Any, plan: Plan) -> Parsed:
        """A piece as the plan says, or why not."""


SAMPLE = 1 << 20
"""Bytes from which the first plan is made."""

BLOCK = 8 << 20
"""Bytes that are parsed at a time."""


def settled(source: Source, not_numbers: Collection[str] = ()) -> Rows:
    """The columns and rows of a file.

    Args:
        source: the file.
        not_numbers: columns that are no numbers even where all values look like it.

    Raises:
        Again: while the rows are read, when a type must change or quotes misled; at most twice.
        InputError: it cannot be read.
    """
    first = next(source.pieces(SAMPLE), None)
    found = source.fits(first, None) if first is not None else {}
    undecided = {n for n, fits in found.items() if fits != ANY and UNDECIDED in fits}
    if undecided:
        found |= _exactly(source, undecided)
    plan = _plan(found, not_numbers)
    return Rows(_schema(plan), _typed(source, plan, found, not_numbers))


def _plan(found: Mapping[str, Kind], not_numbers: Collection[str]) -> Plan:
    return {n: chosen(fits, n not in not_numbers) for n, fits in found.items()}


def _schema(plan: Plan) -> pa.Schema:
    return pa.schema([(name, arrow_type(kind)) for name, kind in plan.items()])


def _typed(
    source: Source, plan: Plan, found: Mapping[str, Kind], not_numbers: Collection[str]
) -> Batches:
    doubtful: set[str] = set()
    problems: list[Problem] = []
    for _, parsed in side_by_side(source.pieces(BLOCK), lambda p: source.parsed(p, plan)):
        if isinstance(parsed, Misfit):
            doubtful |= parsed.columns
        elif isinstance(parsed, Refused):
            problems += parsed.problems
            if len(problems) >= KEPT:
                break
        elif not doubtful and not problems:
            yield parsed
    if problems:
        if source.more_carefully():
            raise Again(settled(source, not_numbers))
        raise refused(source.raw, *source.refuses, problems)
    if doubtful:
        exact = _plan({**found, **_exactly(source, doubtful)}, not_numbers)
        raise Again(Rows(_schema(exact), _typed(source, exact, found, not_numbers)))


def _exactly(source: Source, names: Collection[str]) -> dict[str, Kind]:
    """The kinds that all values of some columns fit, over the whole file."""
    pieces = side_by_side(source.pieces(BLOCK), lambda piece: source.fits(piece, names))
    return reduce(_both, (fits for _, fits in pieces), {})


def _both(one: dict[str, Kind], other: dict[str, Kind]) -> dict[str, Kind]:
    names = dict.fromkeys([*one, *other])
    return {name: one.get(name, ANY) & other.get(name, ANY) for name in names}
