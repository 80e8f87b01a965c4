"""The types of all columns, settled over the whole file, and the rows in them.

The first rows say what the columns seem to be, and the file is read as that, straight to typed
columns: the usual file is read once. Where a later value contradicts, the columns in doubt are
looked at exactly over the whole file, and it is read again with what they turned out to be.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from gristmill.pipelines.base import Problem, side_by_side
from gristmill.pipelines.ingestion.readers.faults import KEPT, refused
from gristmill.pipelines.ingestion.readers.text_source import (
    Chunk,
    Misfit,
    Plan,
    Refused,
    TextSource,
)
from gristmill.pipelines.ingestion.readers.value_kinds import (
    ANY,
    UNDECIDED,
    Kind,
    arrow_type,
    chosen,
)

SAMPLE = 1 << 20
"""Bytes from which the first plan is made."""

BLOCK = 8 << 20
"""Bytes that are parsed at a time."""

Batches = Iterator[pa.RecordBatch]


class RowStream(NamedTuple):
    """What a reader gives: the columns, and the rows in blocks."""

    schema: pa.Schema
    batches: Batches


class Again(Exception):
    """What came so far is void, for a late value was of another kind: all begins again."""

    def __init__(self, rows: RowStream) -> None:
        super().__init__("types were settled anew")
        self.rows = rows


def settle(raw: Path, sources: Sequence[TextSource], not_numbers: Collection[str]) -> RowStream:
    """The columns and rows of a file, or of several with the same columns.

    Args:
        raw: the file, or the folder of the files.
        sources: the files.
        not_numbers: columns that are no numbers even where all values look like it.

    Raises:
        Again: while the rows are read, when a type must change or quotes misled; at most twice.
        InputError: it cannot be read.
    """
    return _Inference(raw, sources, not_numbers).settle()


@dataclass(frozen=True)
class _Inference:
    raw: Path
    sources: Sequence[TextSource]
    not_numbers: Collection[str]

    def settle(self) -> RowStream:
        source, first = next(self._pieces(SAMPLE), (None, None))
        found = source.fits(first, None) if source is not None and first is not None else {}
        undecided = {n for n, fits in found.items() if fits != ANY and UNDECIDED in fits}
        if undecided:
            found |= self._exactly(undecided)
        return self._rows(found)

    def _rows(self, found: Mapping[str, Kind]) -> RowStream:
        plan = {n: chosen(fits, n not in self.not_numbers) for n, fits in found.items()}
        schema = pa.schema([(name, arrow_type(kind)) for name, kind in plan.items()])
        return RowStream(schema, self._batches(plan, found))

    def _batches(self, plan: Plan, found: Mapping[str, Kind]) -> Batches:
        doubtful: set[str] = set()
        problems: list[Problem] = []
        pieces = side_by_side(self._pieces(BLOCK), lambda piece: piece[0].parse(piece[1], plan))
        for (source, _), parsed in pieces:
            if isinstance(parsed, Misfit):
                doubtful |= parsed.columns
            elif isinstance(parsed, Refused):
                where = f"{source.raw.name}, " if len(self.sources) > 1 else ""
                problems += [replace(one, where=where + one.where) for one in parsed.problems]
                if len(problems) >= KEPT:
                    break
            elif not doubtful and not problems:
                yield parsed
        if problems:
            carefully = [source.read_carefully() for source in self.sources]
            if any(carefully):
                raise Again(self.settle())
            raise refused(self.raw, *self.sources[0].refuses, problems)
        if doubtful:
            raise Again(self._rows({**found, **self._exactly(doubtful)}))

    def _exactly(self, names: Collection[str]) -> dict[str, Kind]:
        """The kinds that all values of some columns fit, over the whole file."""
        pieces = side_by_side(self._pieces(BLOCK), lambda piece: piece[0].fits(piece[1], names))
        return reduce(_both, (fits for _, fits in pieces), {})

    def _pieces(self, size: int) -> Iterator[tuple[TextSource, Chunk]]:
        return ((source, piece) for source in self.sources for piece in source.pieces(size))


def _both(one: dict[str, Kind], other: dict[str, Kind]) -> dict[str, Kind]:
    names = dict.fromkeys([*one, *other])
    return {name: one.get(name, ANY) & other.get(name, ANY) for name in names}
